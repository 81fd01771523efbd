"""What an analysis can be asked for, and its defaults, known without loading torch."""

from __future__ import annotations

from typing import Final

METHODS: Final = ("integrated-gradients", "act-grad", "input-grad", "smooth-grad", "norm-grad")
"""Names of methods of `nc.methods` on the command line; the first is the default."""
MOMENTS: Final = 120
"""Times at which the fields of all cells are kept, beside those of the combinations."""
MODE_SEEDS: Final = 2
"""Fits of the modes that say which of them come back."""
PARTS: Final = ("statistics", "modes", "maps", "perturbation")
"""Parts of the analysis of images, of which maps and perturbation need modes."""
STABILITY: Final = "stability"
"""A further part, of modes, which is left out where it is not asked for: it takes seven fits."""
PER_CLASS: Final = 100
"""Images of each class that a perturbed network is shown, at most."""
TARGETS: Final = ("top1", "top5", "entropy", "margin", "label")
"""Targets for images by name; any category of the network is one as well."""

RETINA_STEPS: Final = 20
"""Of integrated gradients for a retina model, where no other number is given."""
IMAGE_STEPS: Final = 10
"""Of integrated gradients for images, where no other number is given."""
EXPANSION: Final = "auto"
"""As many modes as the rows have."""
