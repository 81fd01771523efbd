"""Marks of two runs, compared: what is other is named; what passes change is left out."""

from __future__ import annotations

import pytest

from neurocodec.identity.marks import Identity


def test_what_is_added_or_taken_away_is_told() -> None:
    one, two = Identity({"network.a": "1"}), Identity({"network.a": "1", "network.hook": "2"})
    assert two.differences(one) == ["network.hook was not there"]
    assert one.differences(two) == ["network.hook is other than it was"]
    assert not one.differences(Identity(two.data, changed=("network.hook",)))


def test_code_is_compared_in_one_version_of_python_only() -> None:
    one = Identity(code={"forward": "1"})
    assert one.differences(Identity(code={"forward": "2"}))
    assert not one.differences(Identity(code={"forward": "2"}, python="2.7"))


@pytest.mark.parametrize(
    ("answers", "same"), [([[1.0, 2.00001]], True), ([[1.0, 2.1]], False), ([[1.0]], False)]
)
def test_answers_may_differ_by_rounding(answers: list[list[float]], same: bool) -> None:
    assert (not Identity(answers=answers).differences(Identity(answers=[[1.0, 2.0]]))) is same
