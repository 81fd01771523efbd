"""Concept vectors: what is fitted, its files, and codes of maps."""

import copy

import numpy as np
import pytest
import xarray as xr
from sklearn.decomposition import sparse_encode

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning, StorageError
from neurocodec.modes.concept_vectors import labelled_codes

CHANNELS = 6


def planted(images=60, per_image=3, seed=0):
    """Rows that are an offset and two of ten directions, three of an image."""
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(10, CHANNELS))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    loads = np.zeros((images * per_image, 10))
    for row in loads:
        row[rng.permutation(10)[:2]] = rng.uniform(1, 3, 2)
    values = loads @ atoms + np.arange(CHANNELS)
    names = np.repeat([f"picture {i}" for i in range(images)], per_image)
    return xr.DataArray(values, {"stimulus": ("vector", names)}, ("vector", "channel"))


def maps_of(count=3, seed=1):
    values = np.random.default_rng(seed).normal(size=(count, CHANNELS, 4, 5)).astype("float32")
    coords = {"stimulus": [f"shown {i}" for i in range(count)], "y": np.arange(4)}
    return xr.DataArray(values, coords, ("stimulus", "channel", "y", "x"))


def fitted(method="bisecting", **settings):
    return nc.ConceptVectors(method, **{"per_channel": 3, "active": 3, **settings}).fit(planted())


@pytest.fixture(scope="module")
def vectors():
    return fitted()


@pytest.mark.parametrize("method", ["bisecting", "kmeans", "exemplars", "random"])
def test_every_method_gives_so_many_unit_vectors(method):
    found = fitted(method)
    assert found.dictionary.dims == ("mode", "channel")
    assert found.dictionary.shape == (18, CHANNELS)
    np.testing.assert_allclose((found.dictionary**2).sum("channel"), 1, rtol=1e-5)
    assert found.r2 > 0.9
    xr.testing.assert_identical(fitted(method).dictionary, found.dictionary)
    assert not np.array_equal(fitted(method, seed=1).dictionary, found.dictionary)


def test_exemplars_are_directions_of_rows_that_were_not_held_out():
    found = fitted("exemplars", validation=0.0)
    left = planted() - found.offset
    units = (left / np.sqrt((left**2).sum("channel"))).values
    assert ((found.dictionary.values @ units.T).max(1) > 1 - 1e-5).all()


def test_the_offset_is_the_mean_of_rows_whose_images_are_not_held_out():
    rows = planted()
    np.testing.assert_allclose(fitted(validation=0.0).offset, rows.mean("vector"), rtol=1e-5)
    kept = fitted("exemplars", vectors=90, validation=0.5)  # every row of half of the images
    units = kept.dictionary.values
    left = (rows - kept.offset).values
    own = (left / np.linalg.norm(left, axis=1, keepdims=True) @ units.T).max(1) > 1 - 1e-6
    assert own.reshape(60, 3).all(1).sum() == own.reshape(60, 3).any(1).sum() == 30
    np.testing.assert_allclose(kept.offset, rows.values[own].mean(0), rtol=1e-5)
    assert float(np.abs(fitted(center="zero").offset).max()) == 0


def test_codes_are_those_of_scikit_learn(vectors):
    maps = maps_of()
    codes = vectors.transform(maps, active=3)
    assert codes.loading.dims == ("stimulus", "y", "x", "slot")
    assert codes.loading.dtype == np.float32
    assert codes.loading_mode.dtype == np.int16
    rows = maps.transpose("stimulus", "y", "x", "channel").values.reshape(-1, CHANNELS)
    left = (rows - vectors.offset.values).astype(float)
    atoms = vectors.dictionary.values.astype(float)
    expected = sparse_encode(left, atoms, algorithm="omp", n_nonzero_coefs=3)
    dense = np.zeros_like(expected)
    index = codes.loading_mode.values.reshape(len(dense), 3)
    np.put_along_axis(dense, index.astype(int), codes.loading.values.reshape(len(dense), 3), 1)
    np.testing.assert_allclose(dense, expected, atol=1e-4)
    made = vectors.inverse_transform(codes)
    assert made.dims == maps.dims
    np.testing.assert_allclose(
        made.transpose("stimulus", "y", "x", "channel").values.reshape(-1, CHANNELS),
        expected @ atoms + vectors.offset.values,
        atol=1e-4,
    )


def test_the_lasso_minimises_what_it_should(vectors):
    rows, atoms = maps_of(1)[0], vectors.dictionary.values.astype(float)
    left = (rows - vectors.offset).transpose("y", "x", "channel").values.reshape(-1, CHANNELS)
    codes = vectors.transform(rows.expand_dims("stimulus"), solver="lasso", active=3)
    for row, values, index in zip(
        left.astype(float),
        codes.loading.values.reshape(-1, 3),
        codes.loading_mode.values.reshape(-1, 3),
        strict=True,
    ):
        dense = np.zeros(len(atoms))
        dense[index[index >= 0]] = values[index >= 0]
        slope = atoms @ (row - dense @ atoms)
        penalty = np.abs(slope).max()
        expected = sparse_encode(
            row[None], atoms, algorithm="lasso_cd", alpha=penalty, max_iter=20000
        )[0]

        def objective(z, row=row, penalty=penalty):
            return ((row - z @ atoms) ** 2).sum() / 2 + penalty * np.abs(z).sum()

        assert objective(dense) <= objective(expected) * (1 + 1e-4)


def test_solvers_differ_as_they_should(vectors):
    maps = maps_of()

    def lost(solver):
        made = vectors.inverse_transform(vectors.transform(maps, solver=solver, active=3))
        return float(((maps - made) ** 2).sum())

    assert lost("omp") < lost("lasso")
    assert lost("lasso_refit") < lost("lasso")


@pytest.mark.parametrize(
    ("dims", "places"),
    [
        (("vector", "channel"), ("vector",)),
        (("stimulus", "channel"), ("stimulus",)),
        (("stimulus", "token", "channel"), ("stimulus", "token")),
        (("time", "channel", "y", "x"), ("time", "y", "x")),
    ],
)
def test_rows_tokens_and_movies_have_codes_too(vectors, dims, places):
    shape = [CHANNELS if d == "channel" else 3 for d in dims]
    data = xr.DataArray(np.random.default_rng(0).normal(size=shape), dims=dims)
    codes = vectors.transform(data, active=2)
    assert codes.loading.dims == (*places, "slot")
    made = vectors.inverse_transform(codes)
    assert {*made.dims} == {*dims}
    assert float(((made - data) ** 2).sum()) < float(((data - vectors.offset) ** 2).sum())


def test_blocks_of_maps_change_nothing(vectors, monkeypatch):
    whole = vectors.transform(maps_of(5))
    monkeypatch.setattr(labelled_codes, "BLOCK", 40)
    xr.testing.assert_allclose(whole, vectors.transform(maps_of(5)))


def test_codes_in_a_file_are_those_in_memory_and_go_on(vectors, tmp_path, monkeypatch):
    maps, out = maps_of(6), tmp_path / "codes.nc"
    monkeypatch.setattr(labelled_codes, "BLOCK", 40)
    rows, calls = labelled_codes._Job.rows, []

    def failing(self, start, stop):
        calls.append(start)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rows(self, start, stop)

    monkeypatch.setattr(labelled_codes._Job, "rows", failing)
    with pytest.raises(KeyboardInterrupt):
        vectors.transform(maps, out=out)
    assert not out.exists()
    found = vectors.transform(maps, out=out)
    xr.testing.assert_identical(found.load(), vectors.transform(maps))
    assert calls.count(0) <= 3
    with pytest.raises(StorageError, match="active was 3, is 2"):
        vectors.transform(maps, active=2, out=out)


def test_files_and_copies_give_back_the_same(vectors, tmp_path):
    vectors.save(tmp_path / "vectors.nc")
    back = nc.ConceptVectors.load(tmp_path / "vectors.nc")
    for one in (back, copy.deepcopy(vectors), copy.copy(vectors)):
        assert repr(one) == repr(vectors)
        xr.testing.assert_identical(one.dictionary, vectors.dictionary)
        xr.testing.assert_identical(one.offset, vectors.offset)
        xr.testing.assert_identical(one.summary, vectors.summary)
        xr.testing.assert_identical(one.transform(maps_of()), vectors.transform(maps_of()))
    assert nc.ConceptVectors(**vectors.settings()).settings() == vectors.settings()


def test_the_summary_is_of_rows_that_were_held_out():
    rows, found = planted(), fitted()
    told = found.summary
    held_out = nc.ConceptVectors(per_channel=3, active=3, validation=0.0).fit(rows)
    assert np.isnan(held_out.r2)
    assert held_out.r2_train > 0.9
    assert told["cluster_size"].sum() == 54 * 3  # of 60 images, 6 are held out
    codes = held_out.transform(rows)
    made = held_out.inverse_transform(codes)
    lost = np.sqrt(((rows - made) ** 2).sum("channel") / (rows**2).sum("channel"))
    np.testing.assert_allclose(held_out.summary["relative_l2_train"], lost.mean(), rtol=1e-4)
    np.testing.assert_allclose(held_out.l0, (codes.loading_mode >= 0).sum("slot").mean())
    without = codes.copy(deep=True)
    mode = int(told["explained_variance"].values.argmax())
    without.loading.values[codes.loading_mode.values == mode] = 0
    more = ((rows - held_out.inverse_transform(without)) ** 2 - (rows - made) ** 2).sum()
    expected = more / ((rows - rows.mean()) ** 2).sum()
    measured = held_out.summary["explained_variance"].sel(mode=mode)
    np.testing.assert_allclose(measured, expected, rtol=1e-3, atol=1e-6)


def test_maps_of_a_file_are_read_block_by_block(vectors, tmp_path, monkeypatch):
    nc.save(maps_of(6), tmp_path / "maps.zarr")
    monkeypatch.setattr(labelled_codes, "BLOCK", 40)
    seen, part = [], labelled_codes._Job.part

    def counted(self, start, stop):
        seen.append(stop - start)
        return part(self, start, stop)

    monkeypatch.setattr(labelled_codes._Job, "part", counted)
    xr.testing.assert_identical(vectors.transform(tmp_path / "maps.zarr"), whole_codes(vectors))
    assert max(seen[:6]) <= 2


def whole_codes(vectors):
    return vectors.transform(maps_of(6))


def test_vectors_of_one_image_are_fitted_where_none_is_held_out():
    one = planted().assign_coords(stimulus=("vector", np.zeros(180, int)))
    found = nc.ConceptVectors(vectors=9, active=2, validation=0).fit(one)
    assert found.dictionary.sizes["mode"] == 9


def test_pieces_of_a_movie_are_held_out():
    rows = planted().rename(stimulus="time").assign_coords(time=("vector", np.arange(180) / 10))
    found = nc.ConceptVectors("exemplars", vectors=90, active=2, validation=0.5).fit(rows)
    left = (rows - found.offset).values
    units = left / np.linalg.norm(left, axis=1, keepdims=True)
    kept = (units @ found.dictionary.values.T).max(1) > 1 - 1e-6
    assert np.abs(np.diff(kept.astype(int))).sum() < 30  # single rows would change sides 90 times


def test_dense_loadings_make_rows_too(vectors):
    loads = np.zeros((2, 18))
    loads[0, 4], loads[1, 7] = 2, -1
    made = vectors.inverse_transform(xr.DataArray(loads, dims=("stimulus", "mode")))
    np.testing.assert_allclose(made[0], 2 * vectors.dictionary[4] + vectors.offset, rtol=1e-5)


def test_rows_that_are_the_offset_are_told_of():
    rows = planted()
    rows[5] = 0
    with pytest.warns(NeurocodecWarning, match="1 of 180 vectors are the offset"):
        nc.ConceptVectors(vectors=9, active=2, center="zero", validation=0.0).fit(rows)


REPEATED = xr.DataArray(np.repeat(np.eye(4), 5, 0), dims=("vector", "channel"))


@pytest.mark.filterwarnings("ignore:.*are the offset itself")
@pytest.mark.parametrize(
    ("settings", "rows", "message"),
    [
        ({"method": "bisect"}, planted(), "bisecting"),
        ({"per_channel": 0}, planted(), "per_channel=0"),
        ({"vectors": 2.5}, planted(), "vectors=2.5"),
        ({"active": 0}, planted(), "active=0"),
        ({"validation": 1.0}, planted(), "validation=1.0"),
        ({"seed": -1}, planted(), "seed=-1"),
        ({"center": "median"}, planted(), "'mean'"),
        ({"vectors": 999}, planted(), "999 concept vectors of 162 vectors"),
        ({"vectors": 5, "validation": 0.0}, REPEATED, "4 of them different"),
        ({"vectors": 5, "method": "kmeans", "validation": 0.0}, REPEATED, "4 of them different"),
        ({}, planted() * np.nan, "NaN or infinite"),
        ({}, planted().values, "type ndarray"),
        ({}, planted() * 1j, "complex"),
        ({}, planted().rename(channel="unit"), r"\('vector', 'channel'\)"),
        ({}, maps_of(), "draws them of maps"),
        ({}, planted()[:1], "of one image"),
        ({"validation": 0}, planted()[:0], "of no image"),
        ({"center": "batch_norm"}, planted(), "without the network"),
        ({}, xr.DataTree.from_dict({"a": xr.Dataset(), "b": xr.Dataset()}), r"\['a', 'b'\]"),
        ({}, xr.Dataset({"other": 1}), r"\['other'\]"),
        ({}, planted() * 0 + 3, "4 concept vectors of 0 vectors"),
        ({}, nc.labels.stamp(planted(), "nc.contributions", reduce="channel"), "summed over"),
    ],
)
def test_what_cannot_be_fitted_is_refused(settings, rows, message):
    with pytest.raises(InputError, match=message):
        nc.ConceptVectors(**{"vectors": 4, "active": 2, **settings}).fit(rows)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (maps_of(), {"active": 7}, "active=7 of 6 channels"),
        (maps_of(), {"active": 0}, "active=0"),
        (maps_of(), {"active": 2.5}, "active=2.5"),
        (maps_of(), {"out": 3}, "out=3"),
        (maps_of().rename(stimulus="mode"), {}, "maps with dims"),
        (maps_of(), {"solver": "ista"}, "ista"),
        (maps_of()[:, :4], {}, "maps of 4 channels, for vectors of 6"),
        (maps_of() * np.inf, {}, "NaN or infinite"),
        (maps_of().astype(str), {}, "dtype"),
        (maps_of()[0], {}, "maps with dims"),
        (maps_of(), {"layer": "early"}, "layer='early'"),
    ],
)
def test_maps_that_cannot_be_coded_are_refused(vectors, data, options, message):
    with pytest.raises(InputError, match=message):
        vectors.transform(data, **options)


def test_channels_in_another_order_are_refused():
    rows = planted().assign_coords(channel=list("abcdef"))
    found = nc.ConceptVectors(vectors=9, active=2).fit(rows)
    found.transform(rows)
    with pytest.raises(InputError, match="other channels"):
        found.transform(rows.isel(channel=[1, 0, 2, 3, 4, 5]))


def test_codes_of_other_vectors_are_refused(vectors):
    codes = vectors.transform(maps_of())
    with pytest.raises(InputError, match="other concept vectors"):
        fitted("kmeans").inverse_transform(codes)
    with pytest.raises(InputError, match="loading_mode"):
        vectors.inverse_transform(codes[["loading"]])
    far = codes.copy(deep=True).drop_attrs()
    far.loading_mode.values[0, 0, 0, 0] = 18
    with pytest.raises(InputError, match="the vector 18, of 18"):
        vectors.inverse_transform(far)


def test_what_is_not_fitted_or_not_kept_is_told(vectors):
    with pytest.raises(InputError, match="not fitted"):
        _ = nc.ConceptVectors().dictionary
    with pytest.raises(InputError, match="nearly all are 0"):
        _ = vectors.loadings
    with pytest.raises(InputError, match="do not say which layer"):
        _ = vectors.layer
