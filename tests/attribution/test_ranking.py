import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning, UnknownNameError


def found_of(plus, minus, target=None, **maps) -> xr.Dataset:
    dims = ("stimulus", "feature")
    plus, minus = np.asarray(plus, float), np.asarray(minus, float)
    rows = {"excitation": plus, "inhibition": minus}
    rows["target"] = plus - minus if target is None else np.asarray(target, float)
    data = {name: (dims, x) for name, x in rows.items()}
    data |= {name: ((*dims, "y", "x"), x) for name, x in maps.items()}
    names = [f"image {i}" for i in range(len(plus))]
    return xr.Dataset(data, {"stimulus": names, "feature": [f"f{i}" for i in range(plus.shape[1])]})


PLUS = [[9.0], [6.0], [5.0], [0.0], [1.0]]
MINUS = [[1.0], [6.2], [4.0], [0.1], [8.0]]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("exciting", [0, 2]),  # 8, -.2, 1, -.1, -7
        ("inhibiting", [4, 1]),
        ("silent", [3, 2]),  # 10, 12.2, 9, .1, 9
        ("tension", [1, 2]),  # 1, 6, 4, 0, 1
        ("paper", [1, 3]),
    ],
)
def test_rules_by_hand(by, expected):
    ranked = nc.rank_stimuli(found_of(PLUS, MINUS), by, count=2)
    assert ranked.values.tolist() == [expected]
    assert ranked.stimulus.values.tolist() == [[f"image {i}" for i in expected]]
    assert (np.diff(ranked.rank_score) <= 0).all()
    assert ranked.dims == ("feature", "rank")


def test_the_papers_rule_has_a_band_and_says_when_it_is_empty():
    with pytest.warns(NeurocodecWarning, match="2 of 4 stimuli meet the rule"):
        ranked = nc.rank_stimuli(found_of(PLUS, MINUS), "paper", count=4)
    assert ranked.values.tolist() == [[1, 3, -1, -1]]
    assert ranked.stimulus.values.tolist() == [["image 1", "image 3", "", ""]]


def test_specific_is_what_is_not_large_for_every_feature():
    plus = [[10.0, 10.0], [3.0, 0.5], [0.5, 3.0], [0.0, 0.0]]
    found = found_of(plus, plus)
    assert nc.rank_stimuli(found, count=1).values.tolist() == [[0], [0]]
    assert nc.rank_stimuli(found, "specific", count=1).values.tolist() == [[1], [2]]


def planted():
    """Noise; stimulus 3 has both signs at one place, stimulus 7 at two, 9 one sign alone."""
    rng = np.random.default_rng(0)
    plus, minus = rng.uniform(0, 0.1, (2, 40, 2, 4, 5))
    plus[3, :, 1, 1] = minus[3, :, 1, 1] = 5
    plus[7, :, 0, 0], minus[7, :, 3, 4] = 5, 5
    plus[9, :, 2, 2] = 9
    sums = [maps.sum((2, 3)) for maps in (plus, minus)]
    return found_of(*sums, excitation_map=plus, inhibition_map=minus)


@pytest.mark.parametrize(("by", "place"), [("together", 3), ("apart", 7)])
def test_planted_places_are_found(by, place):
    assert nc.rank_stimuli(planted(), by, count=1).values.tolist() == [[place]] * 2


def test_one_feature_needs_no_dim_and_lazy_rows_are_read():
    found = found_of(PLUS, MINUS).isel(feature=0, drop=True)
    ranked = nc.rank_stimuli(found.chunk(stimulus=2), count=2)
    assert ranked.dims == ("rank",)
    assert ranked.values.tolist() == [1, 2]
    assert nc.rank_stimuli(found.rename(stimulus="time"), count=1).time.values.tolist() == [
        "image 1"
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"by": "tense"}, UnknownNameError, "tension"),
        ({"count": 6}, InputError, "count=6 of 5 stimuli"),
        ({"count": 0}, InputError, "count=0"),
        ({"by": "apart"}, InputError, r"no 'excitation_map'(.|\n)*maps=True"),
        ({"by": "specific"}, InputError, "one feature"),
        ({"found": xr.DataTree()}, InputError, "a DataTree"),
        ({"found": found_of(PLUS, MINUS).drop_vars("inhibition")}, InputError, "no 'inhibition'"),
        ({"found": found_of(PLUS, np.full((5, 1), np.nan))}, InputError, "NaN or infinity"),
        (
            {"found": found_of(PLUS, MINUS, np.ones((5, 1))), "by": "paper"},
            InputError,
            "never change",
        ),
    ],
)
def test_what_cannot_be_ranked_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        nc.rank_stimuli(**{"found": found_of(PLUS, MINUS), "count": 2, **options})
