"""What modes say about settings and data that cannot be right."""

import warnings

import numpy as np
import pytest
import torch
import xarray as xr
from planted import planted_rows

import neurocodec as nc
from neurocodec import labels
from neurocodec.errors import InputError, NeurocodecWarning, UnknownNameError
from neurocodec.modes.decomposition import dictionary_of
from neurocodec.modes.fitted import as_tree, state_of

QUICK = {"expansion": 2, "epochs": 3, "progress": False, "device": "cpu"}


def rows_of(samples=120, name="contribution", units="bit"):
    x, _ = planted_rows(samples, 4, 6, active=2, noise=0.05, seed=0)
    return labels.labelled(x, ("time", "channel"), name=name, units=units)


@pytest.fixture(scope="module")
def modes():
    return nc.SparseModes(**QUICK).fit(rows_of())


def test_copies_take_all_keywords_and_name_wrong_ones():
    modes = nc.SparseModes(**QUICK)
    with pytest.raises(UnknownNameError, match="'epoch'\n.*'epochs'"):
        modes.copy(epoch=4)
    other = modes.copy(memory=2**20, progress=True, device=torch.device("cpu"), epochs=4)
    assert (other.memory, other.progress, other.config.epochs) == (2**20, True, 4)
    assert (modes.memory, modes.progress) == (2**31, False)
    assert modes.copy(seed=1).device == modes.device


@pytest.mark.parametrize("device", [1.5, 0, True, "meta", torch.device("meta"), "no such"])
def test_devices_that_do_not_compute_are_refused(device):
    with pytest.raises(InputError, match=r"(?s)device=.*\n  try: device='cpu'"):
        nc.SparseModes(device=device)


@pytest.mark.parametrize(
    ("values", "kind", "hint"),
    [
        (np.full((9, 4), "a"), "<U1", "astype"),
        (np.ones((9, 4), dtype=complex), "complex128", "data.real"),
        (np.ones((9, 4), dtype="timedelta64[ns]"), "timedelta64", "np.timedelta64"),
        (np.ones((9, 4), dtype=object), "object", "astype"),
    ],
)
def test_rows_are_real_numbers(modes, values, kind, hint):
    rows = xr.DataArray(values, dims=("time", "channel"))
    for use in (nc.SparseModes(**QUICK).fit, modes.transform):
        with pytest.raises(InputError, match=f"dtype {kind}(.|\n)*{hint}"):
            use(rows)


def test_integers_and_booleans_are_numbers():
    fired = (rows_of() > 0).rename(None)
    found = nc.SparseModes(**QUICK).fit(fired)
    again = nc.SparseModes(**QUICK).fit(fired.astype(int))
    np.testing.assert_array_equal(found.dictionary, again.dictionary)


def test_wrong_dims_are_shown_with_the_shape_that_came(modes):
    rows = xr.DataArray(np.ones((120, 4)), dims=("time", "cell"))
    for use in (nc.SparseModes(**QUICK).fit, modes.transform):
        with pytest.raises(InputError, match=r"\(120, 4\)"):
            use(rows)
    parts = xr.DataArray(
        np.stack([rows_of(), -rows_of()], axis=1),
        {"sign": ["excitatory", "inhibitory"]},
        ("time", "sign", "channel"),
    )
    both = nc.SparseModes(**QUICK, sign="both").fit(parts)
    with pytest.raises(InputError, match=r"shape \(120, 4\).*\n.*'sign', 'channel'"):
        both.transform(rows_of())


def test_rows_of_another_variable_or_unit_are_refused(modes):
    with pytest.raises(InputError, match="variable 'activation', .* fitted to 'contribution'"):
        modes.transform(rows_of(name="activation"))
    with pytest.raises(InputError, match="units 'nat', .* fitted to 'bit'"):
        modes.transform(rows_of(units="nat"))


def test_what_has_no_known_name_or_unit_is_not_refused(modes):
    for rows in (rows_of().rename(None), rows_of().rename("mine"), rows_of().drop_attrs()):
        np.testing.assert_array_equal(modes.transform(rows), modes.loadings)
    nameless = nc.SparseModes(**QUICK).fit(rows_of().rename(None).drop_attrs())
    np.testing.assert_array_equal(nameless.transform(rows_of(name="activation")), nameless.loadings)
    assert nameless.inverse_transform(nameless.loadings).name == "contribution"


def test_loadings_of_some_modes_ask_for_all(modes):
    with pytest.raises(InputError, match=r"'mode'(.|\n)*modes\.loadings\.where"):
        modes.inverse_transform(modes.loadings[:, :3])
    first = modes.loadings.where(modes.loadings.mode < 3, 0)  # what the message says
    by_hand = modes.loadings[:, :3].values @ modes.dictionary[:3].values
    np.testing.assert_allclose(modes.inverse_transform(first), by_hand, rtol=1e-5, atol=1e-6)


def test_loadings_of_other_modes_and_of_another_layer_are_refused_where_they_say_so(modes):
    others = nc.SparseModes(**QUICK, seed=1).fit(rows_of())
    for loadings in (others.loadings, others.transform(rows_of())):
        with pytest.raises(InputError, match=r"other modes\n(.|\n)*transform\(rows\)"):
            modes.inverse_transform(loadings)
    modes.inverse_transform(others.transform(rows_of()).drop_attrs())
    first, second = (
        nc.SparseModes(**QUICK).fit(labels.stamp(rows_of(), "made", layer=name))
        for name in ("conv1", "conv2")
    )
    for loadings in (first.loadings, first.transform(rows_of())):
        assert first.inverse_transform(loadings).shape == (120, 4)
        with pytest.raises(InputError, match=r"loadings of the layer 'conv1', for .* 'conv2'"):
            second.inverse_transform(loadings)


def test_plain_arrays_are_no_loadings(modes):
    with pytest.raises(InputError, match="loadings of type ndarray"):
        modes.inverse_transform(modes.loadings.values)


def test_more_active_modes_than_there_are_is_warned_of_where_it_was_typed():
    modes = nc.SparseModes.preset("topk", **QUICK, active=9)
    with pytest.warns(NeurocodecWarning, match="active=9 .* the 8 modes") as found:
        modes.fit(rows_of())
    assert [w.filename for w in found] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        modes.copy(active=8).fit(rows_of())


def test_few_rows_are_warned_of_where_it_was_typed():
    rows = rows_of(8)
    for modes in (nc.SparseModes(**QUICK), nc.BaselineModes("dictionary_learning", modes=8)):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            modes.fit(rows)
        few = [w for w in found if "fewer than 8 modes" in str(w.message)]
        assert [w.filename for w in few] == [__file__]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_numbers_of_numpy_are_saved(tmp_path, kind):
    settings = QUICK | {"expansion": kind(2), "epochs": np.int64(3)}
    for i, modes in enumerate(
        (
            nc.SparseModes(**settings, l1_loading=kind(0.5), seed=np.int32(1)),
            nc.BaselineModes("dictionary_learning", modes=3, alpha=kind(0.5), max_iter=5),
        )
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeurocodecWarning)
            modes.fit(rows_of()).save(tmp_path / f"{i}.nc")
        again = nc.open(tmp_path / f"{i}.nc")
        assert again.settings() == modes.settings()
        xr.testing.assert_identical(again.transform(rows_of()), modes.transform(rows_of()))


def test_the_dictionary_of_modes_or_rows_of_it(modes):
    rows = modes.dictionary[:2]
    xr.testing.assert_identical(dictionary_of(modes), modes.dictionary)
    assert dictionary_of(rows) is rows


def test_settings_of_numpy_are_written_as_numbers(modes):
    tree = as_tree(modes._fitted(), {"alpha": np.float32(0.5), "sizes": np.arange(2)})
    assert state_of(tree).settings == {"alpha": 0.5, "sizes": [0, 1]}


@pytest.mark.parametrize("sign", ["excitatory", "inhibitory", "both", "net"])
def test_loadings_of_the_rows_fitted_have_the_same_labels_again(sign):
    parts = xr.DataArray(
        np.stack([rows_of(), -0.1 * rows_of()], axis=1),
        {"sign": ["excitatory", "inhibitory"], "label": ("time", np.arange(120)), "trial": 7},
        ("time", "sign", "channel"),
        name="contribution",
    )
    modes = nc.SparseModes(**QUICK, sign=sign, nonnegative=False).fit(parts)
    again = modes.transform(parts)
    assert ("sign" in again.coords) == (sign in ("excitatory", "inhibitory"))
    wanted = modes.loadings.drop_vars("held_out")
    xr.testing.assert_identical(again.drop_attrs(), wanted.drop_attrs())


def test_the_loss_is_that_of_the_rows_held_out(modes):
    assert "held-out" in modes.history.loss.attrs["long_name"]
    assert "training" in modes.history.loss_train.attrs["long_name"]
    assert labels.provenance(modes.history)["function"] == "nc.SparseModes.fit"


def test_a_penalty_that_no_row_is_long_enough_for_is_refused_before_the_fit(modes):
    strong = modes.copy(l1_loading=1e3)
    with pytest.raises(InputError, match=r"l1_loading=1000(.|\n)*below .*\n.*l1_loading=0\.045"):
        strong.fit(rows_of())
    with pytest.raises(InputError, match="l1_loading=1000"):
        nc.fit_modes(rows_of(), [modes, strong], progress=False)
    reach = modes.prepare(rows_of(), {}).reach
    fitted = rows_of().values[~modes.loadings.held_out.values]
    length = np.linalg.norm(fitted, axis=1)
    assert reach == pytest.approx(length.max() / np.sqrt((length**2).mean()), rel=1e-6)
    with pytest.raises(InputError, match="l1_loading"):
        modes.copy(l1_loading=reach).fit(rows_of())
    assert modes.copy(l1_loading=0.9 * reach, epochs=1).fit(rows_of()).alive > 0


def test_modes_that_are_never_active_are_warned_of(modes):
    reach = modes.prepare(rows_of(), {}).reach
    silent = modes.copy(expansion=0.25, epochs=1, l1_loading=0.9999 * reach)  # one mode, no row's
    with pytest.warns(NeurocodecWarning, match="no mode is active on any row with l1_loading="):
        assert silent.fit(rows_of()).alive == 0
    assert modes.alive > 0
