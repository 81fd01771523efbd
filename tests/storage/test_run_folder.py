"""What is still to be computed."""

from neurocodec.storage.run_folder import gaps


def test_gaps_are_filled_in_blocks():
    assert list(gaps([(2, 4)], 7, 2)) == [slice(0, 2), slice(4, 6), slice(6, 7)]
