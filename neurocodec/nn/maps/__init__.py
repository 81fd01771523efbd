"""Which part of the input acts through chosen channels.

- `through_channels`: maps through chosen channels of a layer
- `ways_back`: from the gradient at a layer back to the input, through some of the layer's
  channels
- `whole_network`: maps of the whole network, to set these beside
"""

__all__ = ["through_channels", "ways_back", "whole_network"]
