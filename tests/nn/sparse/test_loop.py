"""What the loop of every fit reports."""

from neurocodec.nn.sparse.loop import Epoch


def test_an_epoch_says_what_was_reached():
    assert Epoch(1.0, 1.1, 0.5, 0.4, 3.0, 1.0).alive == 1.0
