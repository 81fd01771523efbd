"""Masks of classes and concepts, and how well modes and channels go with them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import neurocodec as nc
from neurocodec.categories.hierarchies import Hierarchy, read_hierarchy
from neurocodec.categories.masks import group_masks
from neurocodec.categories.scores import UNITS
from neurocodec.errors import InputError, UnknownNameError
from neurocodec.kernels.class_correlation import Masks, bootstrap_medians
from neurocodec.kernels.correlation import unit_columns

ANIMALS = {
    "tabby": ["cat"],
    "pug": ["dog"],
    "husky": ["dog", "worker"],
    "jeep": ["car"],
    "cat": ["carnivore"],
    "dog": ["carnivore"],
    "carnivore": ["animal"],
    "car": ["vehicle"],
}
IMAGES = xr.DataArray(
    ["pug", "tabby", "jeep", "husky", "pug", "jeep"],
    {"stimulus": [10, 11, 12, 13, 14, 15], "source": ("stimulus", [*"abcdef"])},
    ("stimulus",),
)

DATA_NOUN = """\
  1 This software and database is being provided to you, the LICENSEE, by
  2 Princeton University under the following license.
00001740 03 n 01 entity 0 002 ~ 00015388 n 0000 ~ 02958343 n 0000 | that which is
00015388 03 n 02 animal 0 beast 1 002 @ 00001740 n 0000 ~ 02084071 n 0000 | a living organism
02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 003 @ 00015388 n 0000 %p 02158846 n 0000 \
+ 01198307 v 0102 | a member of the genus Canis @ 99999999 n 0000
02110958 05 n 0a pug 0 pug-dog 0 a 0 b 0 c 0 d 0 e 0 f 0 g 0 h 0 001 @ 02084071 n 0000 | small
02103406 05 n 01 Rex 1 001 @i 02084071 n 0000 | a famous dog
02958343 06 n 02 car 0 auto 0 002 @ 00001740 n 0000 @ 01234567 v 0000 | a motor vehicle
"""


@pytest.fixture
def data_noun(tmp_path):
    path = tmp_path / "data.noun"
    path.write_text(DATA_NOUN)
    return path


# ---- classes


def test_class_masks_say_who_belongs_where() -> None:
    found = nc.class_masks(IMAGES)
    assert found.dims == ("stimulus", "category")
    assert found.dtype == bool
    assert found.name == "member"
    assert found.category.values.tolist() == ["husky", "jeep", "pug", "tabby"]
    assert found.n_members.values.tolist() == [1, 2, 2, 1]
    assert found.sel(category="pug").values.tolist() == [True, False, False, False, True, False]
    assert found.source.values.tolist() == [*"abcdef"]
    assert found.label.values.tolist() == IMAGES.values.tolist()
    assert nc.labels.provenance(found)["function"] == "nc.class_masks"


def test_categories_of_a_network_keep_their_order_and_may_be_empty() -> None:
    found = nc.class_masks(IMAGES, ["jeep", "otter", "pug", "tabby", "husky"])
    assert found.category.values.tolist() == ["jeep", "otter", "pug", "tabby", "husky"]
    assert found.n_members.values.tolist() == [2, 0, 2, 1, 1]


def test_images_without_a_label_belong_to_no_class() -> None:
    labels = IMAGES.copy(data=np.array(["pug", "", "jeep", "", "pug", "jeep"]))
    found = nc.class_masks(labels)
    assert found.category.values.tolist() == ["jeep", "pug"]
    assert found.any("category").values.tolist() == [True, False, True, False, True, True]


@pytest.mark.parametrize("kind", ["array", "dataset", "tree"])
def test_labels_are_found_on_everything_that_has_them(kind) -> None:
    data = xr.DataArray(np.zeros((6, 2)), dims=("stimulus", "channel"), name="activation")
    data = data.assign_coords(label=("stimulus", IMAGES.values))
    if kind != "array":
        data = data.to_dataset()
    if kind == "tree":
        data = xr.DataTree.from_dict({"/": data[["label"]], "/conv1": data.drop_vars("label")})
    np.testing.assert_array_equal(nc.class_masks(data), nc.class_masks(IMAGES))


def test_masks_survive_a_file(tmp_path) -> None:
    for name, found in (
        ("classes.nc", nc.class_masks(IMAGES)),
        ("concepts.nc", nc.concept_masks(IMAGES, ANIMALS)),
    ):
        nc.save(found, tmp_path / name)
        assert nc.open(tmp_path / name).identical(found)


# ---- concepts


def test_concepts_have_the_members_of_all_classes_below_them() -> None:
    found = nc.concept_masks(IMAGES, ANIMALS, min_members=1, distinct=False)
    members = {
        str(c): found.sel(concept=c).values.nonzero()[0].tolist() for c in found.concept.values
    }
    assert members == {
        "animal": [0, 1, 3, 4],
        "carnivore": [0, 1, 3, 4],
        "dog": [0, 3, 4],
        "car": [2, 5],
        "vehicle": [2, 5],
        "cat": [1],
        "worker": [3],
    }
    assert found.n_members.values.tolist() == [4, 4, 3, 2, 2, 1, 1]
    depth = dict(zip(found.concept.values.tolist(), found.depth.values.tolist(), strict=True))
    assert (depth["animal"], depth["carnivore"], depth["dog"]) == (0, 1, 2)


def test_of_concepts_with_the_same_members_the_deepest_stays() -> None:
    found = nc.concept_masks(IMAGES, ANIMALS)
    assert found.concept.values.tolist() == ["carnivore", "dog", "car"]


def test_classes_are_concepts_where_asked_for() -> None:
    found = nc.concept_masks(IMAGES, ANIMALS, classes=True, min_members=1)
    assert {"pug", "husky", "tabby", "jeep"} <= {*found.concept.values.tolist()}


def test_a_concept_with_all_images_or_few_is_left_out() -> None:
    kinds = {name: ["thing"] for name in ("pug", "husky", "tabby")} | {"jeep": ["thing", "car"]}
    found = nc.concept_masks(IMAGES, kinds)
    assert found.concept.values.tolist() == ["car"]
    with pytest.raises(InputError, match="largest with 6 images"):
        nc.concept_masks(IMAGES, kinds, min_members=3)


def test_classes_that_the_hierarchy_does_not_have_are_named_or_skipped() -> None:
    few = {k: x for k, x in ANIMALS.items() if k != "husky"}
    with pytest.raises(UnknownNameError, match="'husky'"):
        nc.concept_masks(IMAGES, few)
    found = nc.concept_masks(IMAGES, few, missing="skip")
    assert found.sel(concept="dog").values.nonzero()[0].tolist() == [0, 4]


def test_classes_without_an_id_are_named_or_skipped() -> None:
    """Images of classes that the network does not know may be among them."""
    ids = {"pug": "pug", "tabby": "tabby", "jeep": "jeep"}
    with pytest.raises(UnknownNameError, match="'husky'"):
        nc.concept_masks(IMAGES, ANIMALS, ids=ids)
    found = nc.concept_masks(IMAGES, ANIMALS, ids=ids, missing="skip", distinct=False)
    assert found.sel(concept="dog").values.nonzero()[0].tolist() == [0, 4]


def test_a_table_is_read_like_a_mapping(tmp_path) -> None:
    path = tmp_path / "kinds.csv"
    lines = [f"{k},{above},note" for k, names in ANIMALS.items() for above in names]
    path.write_text("class,concept,comment\n" + "\n".join(lines))
    xr.testing.assert_identical(nc.concept_masks(IMAGES, path), nc.concept_masks(IMAGES, ANIMALS))


def test_imagenets_list_is_read_with_its_words(tmp_path) -> None:
    path = tmp_path / "wordnet.is_a.txt"
    path.write_text("n00015388 n02084071\nn02084071 n02110958\nn02084071 n02103406\n")
    (tmp_path / "words.txt").write_text("n02084071\tdog, domestic dog\nn02110958\tpug\n")
    found = nc.concept_masks(
        xr.DataArray(["n02110958", "n02103406", "n00015388"], dims="stimulus"), path
    )
    assert found.concept.values.tolist() == ["dog"]
    assert found.concept_id.values.tolist() == ["n02084071"]
    assert found.concept_words.values.tolist() == ["dog, domestic dog"]
    assert found.values[:, 0].tolist() == [True, True, False]


def test_wordnets_nouns_are_read(data_noun) -> None:
    tree = read_hierarchy(data_noun)
    assert tree.parents["n02110958"] == ("n02084071",)
    assert tree.parents["n02103406"] == ("n02084071",)  # an instance
    assert tree.parents["n02958343"] == ("n00001740",)  # the verb is no hypernym
    assert tree.parents["n02084071"] == ("n00015388",)  # no part, and nothing from the gloss
    assert tree.names["n02084071"] == "dog, domestic dog, Canis familiaris"
    assert tree.names["n02110958"].split(", ")[-1] == "h"  # ten words, which is 0a
    assert tree.above("n02110958") == {"n02084071", "n00015388", "n00001740"}
    assert tree.depth("n02110958") == 3


@pytest.mark.parametrize("way", ["labels", "coordinate", "mapping", "outputs"])
def test_wordnet_ids_are_found_in_every_place(data_noun, way) -> None:
    ids = {"pug": "n02110958", "Rex": "n02103406", "car": "n02958343"}
    names = ["pug", "Rex", "car", "pug"]
    images = xr.DataArray(names, dims="stimulus")
    given_ids = None
    if way == "labels":
        images = xr.DataArray([ids[n] for n in names], dims="stimulus")
    elif way == "coordinate":
        data = xr.DataArray(np.zeros(4), dims="stimulus")
        images = data.assign_coords(
            label=("stimulus", names), wordnet_id=("stimulus", [ids[n] for n in names])
        )
    elif way == "mapping":
        given_ids = ids
    else:
        given_ids = xr.DataArray(
            np.zeros(3),
            {"category": [*ids], "wordnet_id": ("category", [*ids.values()])},
            ("category",),
        )
    found = nc.concept_masks(images, data_noun, ids=given_ids)
    assert found.concept.values.tolist() == ["dog"]
    assert found.values[:, 0].tolist() == [True, True, False, True]


def test_concepts_that_share_a_word_are_told_apart_by_their_ids() -> None:
    tree = Hierarchy(
        {"a": ("n1",), "b": ("n2",), "c": ()},
        {"n1": "crane, bird", "n2": "crane, machine"},
    )
    images = xr.DataArray(["a", "b", "c", "c"], dims="stimulus")
    found = nc.concept_masks(images, tree, min_members=1)
    assert sorted(found.concept.values.tolist()) == ["crane (n1)", "crane (n2)"]


BAD = {
    "no labels": (lambda _: nc.class_masks(IMAGES.astype("U").to_dataset(name="x")[["source"]])),
    "empty labels": (lambda _: nc.class_masks(xr.full_like(IMAGES, ""))),
    "stranger": (lambda _: nc.class_masks(IMAGES, ["pug", "jeep", "tabby"])),
    "no hierarchy": (lambda _: nc.concept_masks(IMAGES, 3)),
    "no file": (lambda path: nc.concept_masks(IMAGES, path / "data.noun")),
    "no table": (lambda path: nc.concept_masks(IMAGES, written(path, "name,kind\npug,dog"))),
    "half a row": (lambda path: nc.concept_masks(IMAGES, written(path, "class,concept\npug,"))),
    "broken noun": (
        lambda path: nc.concept_masks(IMAGES, written(path, "  1 licence\n00001740 03 n zz a"))
    ),
    "broken list": (
        lambda path: nc.concept_masks(IMAGES, written(path, "n00000001 n00000002\nn1"))
    ),
    "circle": (lambda _: nc.concept_masks(IMAGES, {**ANIMALS, "animal": ["dog"]})),
    "id of no class": (lambda _: nc.concept_masks(IMAGES, ANIMALS, ids={"pug": "dog"})),
    "ids without names": (lambda _: nc.concept_masks(IMAGES, ANIMALS, ids=IMAGES)),
    "missing": (lambda _: nc.concept_masks(IMAGES, ANIMALS, missing="ignore")),
}


def written(folder, text):
    (folder / "file.txt").write_text(text)
    return folder / "file.txt"


@pytest.mark.parametrize("call", BAD.values(), ids=BAD)
def test_bad_masks_are_refused_with_words(call, tmp_path) -> None:
    with pytest.raises(InputError) as told:
        call(tmp_path)
    assert told.value.expected


# ---- correlation


@given(st.integers(2, 30), st.integers(1, 4), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_one_sparse_product_is_pearsons_correlation(size, count, seed) -> None:
    random = np.random.default_rng(seed)
    rows = random.standard_normal((size, 3)) * 1e3 + 1e4
    member = random.random((size, count)) < 0.4
    found = Masks(member).correlate(unit_columns(rows, 0))
    loadings = xr.DataArray(rows, dims=("stimulus", "mode"))
    masks = xr.DataArray(member, {"category": np.arange(count)}, ("stimulus", "category"))
    np.testing.assert_allclose(found, nc.correlate(loadings, masks), atol=1e-9)


def test_medians_that_are_drawn_again_scatter_around_the_median() -> None:
    values = np.random.default_rng(0).standard_normal(500) + 3
    found = bootstrap_medians(values, 400, 0)
    assert found.mean() == pytest.approx(np.median(values), abs=0.03)
    assert found.std() == pytest.approx(1.2533 / 500**0.5, rel=0.25)  # of a Gaussian's median


def test_modes_are_named_after_what_they_go_with() -> None:
    r = xr.DataArray(
        [[0.1, 0.7, np.nan], [np.nan] * 3, [0.3, -0.2, 0.3]],
        {"mode": [4, 5, 6], "category": ["cat", "dog", "ox"]},
        ("mode", "category"),
    )
    found = nc.describe_modes(r, best=2)
    assert found.best_concept.values.tolist() == [["dog", "cat"], ["", ""], ["cat", "ox"]]
    np.testing.assert_allclose(found.max_correlation, [0.7, np.nan, 0.3])
    np.testing.assert_allclose(found.best_correlation[0], [0.7, 0.1])
    assert found.mode.values.tolist() == [4, 5, 6]
    table = found.to_dataframe()
    assert table.loc[(4, 0), "best_concept"] == "dog"
    assert len(table) == 6


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (xr.DataArray(np.zeros(3), dims="mode"), "two dims"),
        (xr.DataArray(np.zeros((2, 2)), dims=("mode", "category")), "name of each concept"),
    ],
)
def test_what_is_no_correlation_is_refused(data, says) -> None:
    with pytest.raises(InputError, match=says):
        nc.describe_modes(data)


# ---- scores

NAMES = ("cat", "dog", "jeep", "ship")


def make(size=200, seed=0, layers=("conv1", "conv2")):
    """Tree in which channel k of the second layer is active for class k; the first is noise."""
    random = np.random.default_rng(seed)
    codes = random.permutation(size) % 4
    nodes = {}
    for place, layer in enumerate(layers):
        rows = random.gamma(1.0, size=(size, 6))
        rows[:, :4] += 3 * place * np.eye(4)[codes]
        rows[:, 5] = 0.0
        both = np.stack([rows, -rows[:, ::-1]], axis=1)
        nodes[f"/{layer}"] = xr.Dataset(
            {
                "contribution": (("stimulus", "sign", "channel"), both),
                "activation": (("stimulus", "channel"), random.gamma(1.0, size=(size, 6))),
            },
            {"sign": ["excitatory", "inhibitory"], "channel": np.arange(6)},
        )
    labels = {"stimulus": np.arange(size), "label": ("stimulus", np.array(NAMES)[codes])}
    return xr.DataTree.from_dict({"/": xr.Dataset(coords=labels), **nodes})


def test_scores_are_what_correlate_says() -> None:
    tree = make()
    masks = nc.class_masks(tree)
    found = nc.concept_scores(tree, masks, threshold=0.3)
    summary = found["summary"].to_dataset()
    assert summary.kind.values.tolist() == ["contribution_channel", "activation_channel"]
    for layer in ("conv1", "conv2"):
        rows = tree[layer]["contribution"].sel(sign="excitatory", drop=True)
        r = nc.correlate(rows, masks).max("category")
        one = summary.sel(layer=layer, kind="contribution_channel")
        assert int(one.n_units) == 5  # one never varies
        assert int(one.n_above) == int((r > 0.3).sum())
        assert float(one["median"]) == pytest.approx(float(r.median()))
        table = found[f"{layer}/contribution_channel"]
        np.testing.assert_allclose(table["max_correlation"], r, atol=1e-10)
    best = found["conv2/contribution_channel"]["best_concept"]
    assert best.values[:4, 0].tolist() == [*NAMES]
    assert best.values[5].tolist() == ["", "", ""]


def test_chance_is_what_shuffled_labels_reach() -> None:
    tree = make()
    found = nc.concept_scores(tree, nc.class_masks(tree), permutations=200)
    p = found["conv2/contribution_channel"]["p_value"].values
    assert (p[:4] == 1 / 201).all()
    assert np.isnan(p[5])
    noise = found["conv1/contribution_channel"]["p_value"].values
    assert noise[:5].min() > 0.01
    r = xr.DataArray(np.random.default_rng(1).standard_normal((200, 5)), dims=("stimulus", "x"))
    shuffled = [
        float(nc.correlate(r.copy(data=r.values[order]), nc.class_masks(tree["label"])).max())
        for order in (np.random.default_rng(k).permutation(200) for k in range(200))
    ]
    chance = float(found["summary/chance_maximum"].sel(layer="conv1", kind="contribution_channel"))
    assert chance == pytest.approx(np.quantile(shuffled, 0.95), abs=0.04)


def test_p_values_of_noise_are_fair() -> None:
    """Of layers of noise, five of a hundred have a unit with p <= 0.05."""
    layers = [f"l{i}" for i in range(60)]
    tree = make(80, 5, layers=["one"])
    random = np.random.default_rng(3)
    nodes = {
        f"/{name}": xr.Dataset(
            {
                k: (("stimulus", "channel"), random.standard_normal((80, 5)))
                for k in ("contribution", "activation")
            }
        )
        for name in layers
    }
    noise = xr.DataTree.from_dict({"/": tree.to_dataset(), **nodes})
    found = nc.concept_scores(noise, nc.class_masks(tree), permutations=39, bootstrap=0)
    kinds = ("contribution_channel", "activation_channel")
    smallest = [float(found[f"{n}/{k}"]["p_value"].min()) for n in layers for k in kinds]
    assert 0.0 <= np.mean(np.array(smallest) <= 0.05) <= 0.12
    assert np.mean(np.array(smallest) <= 0.5) == pytest.approx(0.5, abs=0.15)


def test_signs_of_single_channels_are_chosen() -> None:
    tree = make()
    masks = nc.class_masks(tree)
    found = nc.concept_scores(tree, masks, sign="inhibitory")
    best = found["conv2/contribution_channel"]["best_concept"].values[:, 0]
    assert best[2:].tolist() == [*NAMES[::-1]]
    net = nc.concept_scores(tree, masks, sign="net")
    rows = tree["conv2"]["contribution"].sum("sign")
    expected = nc.correlate(rows, masks).max("category")
    np.testing.assert_allclose(net["conv2/contribution_channel"]["max_correlation"], expected)


@pytest.fixture(scope="module")
def fitted():
    tree = make()
    settings = nc.SparseModes(expansion=1, epochs=3, progress=False)
    modes = {n: settings.copy().fit(tree[n]) for n in ("conv1", "conv2")}
    return tree, modes, {"conv2": settings.copy().fit(tree["conv2"]["activation"])}


def test_modes_are_scored_beside_channels_and_a_layer_may_be_without(fitted) -> None:
    tree, modes, activation_modes = fitted
    masks = nc.class_masks(tree)
    found = nc.concept_scores(tree, masks, modes=modes, activation_modes=activation_modes)
    summary = found["summary"].to_dataset()
    assert summary.kind.values.tolist() == [*UNITS]
    assert "activation_mode" not in found["conv1"].children
    assert int(summary.n_units.sel(layer="conv1", kind="activation_mode")) == 0
    assert np.isnan(summary["median"].sel(layer="conv1", kind="activation_mode"))
    expected = nc.correlate(modes["conv2"].loadings, masks).max("category")
    np.testing.assert_allclose(
        found["conv2/contribution_mode"]["max_correlation"], expected, atol=1e-10
    )


def test_loadings_and_fitted_modes_score_alike(fitted) -> None:
    tree, modes, _ = fitted
    masks = nc.class_masks(tree)
    one = nc.concept_scores(tree, masks, modes=modes)
    same = nc.concept_scores(tree, masks, modes={n: m.loadings for n, m in modes.items()})
    xr.testing.assert_identical(one["summary"].to_dataset(), same["summary"].to_dataset())


def test_held_out_images_are_scored_alone(fitted) -> None:
    tree, modes, _ = fitted
    masks, held = nc.class_masks(tree), modes["conv2"].loadings.held_out
    assert 0 < int(held.sum()) < len(held)
    found = nc.concept_scores(tree, masks, modes=modes, samples=held)
    part = nc.correlate(modes["conv2"].loadings[held.values], masks[held.values])
    np.testing.assert_allclose(
        found["conv2/contribution_mode"]["max_correlation"], part.max("category"), atol=1e-10
    )


def test_modes_transform_images_that_they_have_not_seen(fitted) -> None:
    _, modes, _ = fitted
    new = make(seed=9).isel(stimulus=slice(0, 150))
    masks = nc.class_masks(new)
    found = nc.concept_scores(new, masks, modes=modes)
    loadings = modes["conv2"].transform(new["conv2"])
    np.testing.assert_allclose(
        found["conv2/contribution_mode"]["max_correlation"],
        nc.correlate(loadings, masks).max("category"),
        atol=1e-10,
    )


def test_scores_survive_a_file_and_the_seed_decides(tmp_path) -> None:
    tree = make()
    masks = nc.concept_masks(tree, {"cat": "pet", "dog": "pet", "jeep": "car", "ship": "boat"})
    found = nc.concept_scores(tree, masks)
    assert found.identical(nc.concept_scores(tree, masks))
    nc.save(found, tmp_path / "scores.nc")
    assert nc.open(tmp_path / "scores.nc").identical(found)
    assert nc.labels.provenance(found)["function"] == "nc.concept_scores"
    assert found["conv2/contribution_channel"].to_dataset().to_dataframe().shape == (18, 4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sign": "both"}, "'net'"),
        ({"modes": {"conv3": None}}, "'conv2'"),
        ({"layers": ["conv3"]}, "'conv2'"),
        ({"samples": xr.DataArray(np.ones(200), dims="stimulus")}, "true or false"),
        ({"samples": xr.DataArray([True], dims="stimulus")}, "different 'stimulus'"),
        ({"bootstrap": 0.5}, "bootstrap=0.5"),
    ],
)
def test_bad_scores_are_refused_with_words(options, says) -> None:
    tree = make()
    with pytest.raises(InputError, match=says):
        nc.concept_scores(tree, nc.class_masks(tree), **options)


def test_masks_of_other_images_are_refused() -> None:
    tree = make()
    masks = nc.class_masks(tree)
    with pytest.raises(InputError, match="different 'stimulus'"):
        nc.concept_scores(tree, masks.assign_coords(stimulus=masks.stimulus + 1))
    with pytest.raises(InputError, match="'category'"):
        nc.concept_scores(tree, masks.rename(stimulus="time"))


def test_groups_of_classes_are_concepts():
    images = xr.DataArray(["pug", "jeep", "husky"], dims="stimulus")
    found = group_masks(images, {"dog": ["pug", "husky", "beagle"]})
    assert found.values[:, 0].tolist() == [True, False, True]
    assert found.n_members.values.tolist() == [2]


def test_numbers_of_concepts_and_draws_are_whole():
    r = xr.DataArray([[0.1, 0.7]], {"category": ["cat", "dog"]}, ("mode", "category"))
    assert nc.describe_modes(r, best=np.int64(1)).sizes["rank"] == 1
    with pytest.raises(InputError, match="best=True"):
        nc.describe_modes(r, best=True)


def test_missing_labels_belong_to_no_class() -> None:
    names = np.array(["cat", None, np.nan, "dog", ""], dtype=object)
    found = nc.class_masks(xr.DataArray(names, dims="stimulus"))
    assert found.category.values.tolist() == ["cat", "dog"]
    assert found.values.sum(axis=1).tolist() == [1, 0, 0, 1, 0]
