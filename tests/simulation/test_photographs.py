"""The photographs that other packages ship."""

from neurocodec.simulation.photographs import photographs


def test_there_are_three_photographs():
    assert [p.shape for p in photographs()] == [(427, 640), (427, 640), (600, 512)]
