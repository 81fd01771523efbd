"""Networks of torchvision, timm and torch-deep-retina, with their layers and weights.

- `deep_retina`: checkpoints of torch-deep-retina (github.com/baccuslab/torch-deep-retina) as
  networks
- `foreign`: models that `nc.load_model` does not know, and what to type instead
- `timm`: networks of timm, with their layers, preprocessing and categories
- `torchvision`: networks of torchvision, with their layers, preprocessing and categories
"""

__all__ = ["deep_retina", "foreign", "timm", "torchvision"]
