"""Models of ganglion cells: the CNN, the LN model, their training, torch-deep-retina's.

- `deep_retina`: ganglion-cell models of torch-deep-retina, rebuilt from their weights for
  analysis
- `linear_nonlinear`: the linear-nonlinear (LN) model of a ganglion cell: the baseline that a
  network has to beat
- `model`: RetinaCNN and its configuration
- `spike_history`: the LN model that knows its own spikes (GLM)
- `spikes`: spikes and the rates that a retina model predicts for them
- `training`: train_retina, its settings and history
"""

__all__ = ["deep_retina", "linear_nonlinear", "model", "spike_history", "spikes", "training"]
