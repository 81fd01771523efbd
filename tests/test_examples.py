"""The examples run as they are."""

import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_own_network():
    pytest.importorskip("torchvision")
    tree = runpy.run_path(str(EXAMPLES / "own_network.py"))["main"]()
    assert list(tree.children) == ["layer2.1", "layer3.1", "layer4.1"]
    for node in tree.children.values():
        # ten steps leave little of the change of the logit unexplained
        size = np.abs(node.contribution).sum(["sign", "channel"])
        assert (np.abs(node.completeness_error) < 0.1 * size).all()
    assert tree["source"].values.tolist() == ["china", "china", "flower", "flower"]
