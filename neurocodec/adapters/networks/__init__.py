"""Networks of torchvision, timm, torch-deep-retina and open-retina, with their layers and weights.

- `deep_retina`: checkpoints of torch-deep-retina (github.com/baccuslab/torch-deep-retina) as
  networks
- `foreign`: models that `nc.load_model` does not know, and what to type instead
- `neuralpredictors`: models of neuralpredictors
- `openretina`: models of open-retina, one session of each
- `timm`: networks of timm, with their layers, preprocessing and categories
- `torchvision`: networks of torchvision, with their layers, preprocessing and categories
"""

__all__ = ["deep_retina", "foreign", "neuralpredictors", "openretina", "timm", "torchvision"]
