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


@pytest.mark.slow
def test_own_recording():
    main = runpy.run_path(str(EXAMPLES / "own_recording.py"))["main"]
    found = main(seconds=20.0, epochs=6)
    assert found.rates.sizes["cell"] == 8
    match = found.responses()["correlation"]
    assert float(match.median()) > 0.5  # white noise, 20 s: far from the ceiling, far from 0
    assert found.dynamics is not None
    shapes = found.dynamics.shapes
    on = (shapes.polarity == "ON").mean("time")
    assert (on[:4] > 0.5).all()  # the first four cells are ON
