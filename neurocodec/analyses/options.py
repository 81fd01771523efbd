"""What an analysis of images can be asked for, known without loading torch."""

from __future__ import annotations

from typing import Final

PARTS: Final = ("statistics", "modes", "maps", "perturbation")
"""Parts of the analysis, of which maps and perturbation need modes."""
TARGETS: Final = ("top1", "top5", "entropy", "margin")
"""Targets by name; any category of the network is one as well."""
STEPS: Final = 10
"""Of integrated gradients, where no other number is given."""
PER_CLASS: Final = 100
"""Images of each class that a perturbed network is shown, at most."""
EXPANSION: Final = 3
"""Modes per channel."""
