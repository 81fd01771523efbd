"""Which hidden units made a number: targets, methods, passes along a path.

- `between_layers`: the part of a network between a layer and what a target reads
- `concepts`: what concept vectors of a layer contribute to what comes later, on a line from their
  offset
- `features`: directions in a hidden layer, one or many, as targets
- `integration`: integrated gradients in hidden layers: line integrals of dy/dh dh (CODEC eq.
  9-18)
- `method`: what a method is, and what it finds for one batch
- `methods`: `nc.methods`
- `passes`: forward and backward passes for a target, the path from baseline to input
- `pre_activation`: where the last nonlinearity of a block reads
- `reduction`: from maps to one number per channel: sums over positions, split by sign
- `target`: what a target is
- `targets`: `nc.targets`
- `window`: the part of a layer's maps that one position of a later layer can see
"""

__all__ = [
    "between_layers",
    "concepts",
    "features",
    "integration",
    "method",
    "methods",
    "passes",
    "pre_activation",
    "reduction",
    "target",
    "targets",
    "window",
]
