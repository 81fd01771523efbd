"""Superclasses, and what is perturbed: categories of a network below concepts of a hierarchy."""

from functools import partial

import numpy as np
import pytest
import xarray as xr
from torch import nn

import neurocodec as nc
from neurocodec.analyses.images import analyse as image_analysis
from neurocodec.analyses.images.perturbation import superclass_categories
from neurocodec.categories.hierarchies import Hierarchy
from neurocodec.categories.masks import group_masks
from neurocodec.errors import InputError, UnknownNameError

KINDS = {
    "pug": ["dog"],
    "husky": ["dog", "worker"],
    "wolf": ["canine"],
    "tabby": ["cat"],
    "jeep": ["car"],
    "dog": ["canine"],
    "canine": ["animal"],
    "cat": ["animal"],
}
DATA_NOUN = """\
  1 This software and database is being provided to you, the LICENSEE, by
00001740 03 n 01 entity 0 000 | that which is
00015388 03 n 02 animal 0 beast 1 001 @ 00001740 n 0000 | a living organism
02084071 05 n 02 dog 0 domestic_dog 0 001 @ 00015388 n 0000 | a member of the genus Canis
02110958 05 n 01 pug 0 001 @ 02084071 n 0000 | small
02110185 05 n 01 husky 0 001 @ 02084071 n 0000 | large
01517565 05 n 02 crane 0 bird 0 001 @ 00015388 n 0000 | wades
02012849 05 n 01 common_crane 0 001 @ 01517565 n 0000 | grey
03126707 06 n 02 crane 0 lifter 0 001 @ 00001740 n 0000 | lifts
03126708 06 n 01 tower_crane 0 001 @ 03126707 n 0000 | high
"""
IDS = {
    "Pug": "n02110958",
    "Husky": "n02110185",
    "Grus grus": "n02012849",
    "tower": "n03126708",
    "something": "",
}


def network(outputs, ids=None):
    coords = {} if ids is None else {"wordnet_id": ids}
    return nc.Network(nn.Identity(), layers={}, outputs=outputs, output_coords=coords)


def test_kinds_of_a_concept_of_a_plain_table():
    net = network(["pug", "jeep", "husky"])
    table = {"pug": "dog", "husky": "dog", "jeep": "car"}
    assert superclass_categories(net, table, ["dog"]) == {"dog": ["pug", "husky"]}


@pytest.fixture
def wordnet(tmp_path):
    path = tmp_path / "data.noun"
    path.write_text(DATA_NOUN)
    return path


@pytest.fixture
def named():
    return network([*IDS], [*IDS.values()])


def test_all_categories_below_a_concept_count_in_the_order_of_the_outputs():
    net = network(["jeep", "husky", "tabby", "pug", "wolf", "unheard"])
    found = superclass_categories(net, KINDS, ["dog", "animal", "worker"])
    assert found == {
        "dog": ["husky", "pug"],
        "animal": ["husky", "tabby", "pug", "wolf"],
        "worker": ["husky"],
    }


def test_a_concept_that_is_a_category_itself_counts():
    assert superclass_categories(network(["dog", "pug", "jeep"]), KINDS, ["dog"]) == {
        "dog": ["dog", "pug"]
    }


def test_a_concept_may_have_all_categories():
    assert superclass_categories(network(["pug", "tabby"]), KINDS, ["animal"]) == {
        "animal": ["pug", "tabby"]
    }


@pytest.mark.parametrize("name", ["dog", "domestic dog", "n02084071", "dog (n02084071)"])
def test_ids_of_wordnet_are_those_of_the_outputs(wordnet, named, name):
    """The categories have names of their own; what they are is said by their ids."""
    assert superclass_categories(named, wordnet, [name]) == {name: ["Pug", "Husky"]}


def test_a_word_of_two_concepts_is_told_with_their_ids(wordnet, named):
    with pytest.raises(InputError, match="n01517565.*n03126707") as told:
        superclass_categories(named, wordnet, ["crane"])
    assert told.value.hint == "'n01517565'"
    assert superclass_categories(named, wordnet, ["lifter"]) == {"lifter": ["tower"]}
    assert superclass_categories(named, wordnet, ["crane (n01517565)"]) == {
        "crane (n01517565)": ["Grus grus"]
    }


def test_the_first_word_comes_before_the_others():
    tree = Hierarchy({"x": ("n1", "n2")}, {"n1": "hound, dog", "n2": "dog, pet"})
    assert tree.find("concept", "dog", ["n1", "n2"]) == "n2"


@pytest.mark.parametrize("name", ["dogg", "vehicle"])
def test_concepts_without_a_category_are_unknown(name):
    with pytest.raises(UnknownNameError, match="'dog'"):
        superclass_categories(network(["pug", "tabby"]), KINDS, [name])


def test_a_network_without_names_has_no_superclasses():
    with pytest.raises(InputError, match="outputs="):
        superclass_categories(nc.Network(nn.Identity(), layers={}), KINDS, ["dog"])


def test_images_of_the_categories_are_members_and_strangers_are_not():
    images = xr.DataArray(["pug", "sofa", "", "husky", "jeep"], dims="stimulus")
    found = group_masks(images, {"dog": ["husky", "pug", "beagle"], "boat": ["ship"]})
    assert found.sel(concept="dog").values.tolist() == [True, False, False, True, False]
    assert found.n_members.values.tolist() == [2, 0]


# ---- in an analysis

OUTPUTS = ["pug", "husky", "jeep", "wolf"]


def answering(ids=None):
    """A network that answers with the largest of four channels."""
    readout = nn.Linear(4, 4, bias=False)
    nn.init.eye_(readout.weight)
    coords = {} if ids is None else {"wordnet_id": ids}
    return nc.Network(
        nn.Sequential(nn.ReLU(), readout).eval(),
        {"early": "0"},
        outputs=OUTPUTS,
        output_coords=coords,
    )


def shown(count=48):
    """Pugs, huskies, jeeps and sofas; every other pug looks like a wolf, of which there is none."""
    code = np.arange(count) % 4
    values = 0.3 * np.random.default_rng(0).random((count, 4)) + np.eye(4)[code]
    values[code == 3] = values[code == 3][:, [3, 0, 1, 2]]
    values[::8, 3] += 2
    label = np.array(["pug", "husky", "jeep", "sofa"])[code]
    return xr.DataArray(
        values.astype("float32"), {"label": ("stimulus", label)}, ("stimulus", "feature")
    )


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Fits of a few epochs: what modes there are does not matter here."""
    monkeypatch.setattr(image_analysis, "SparseModes", partial(nc.SparseModes, epochs=2))


def analyse(net, images, **options):
    options = {"expansion": 1, "progress": False, **options}
    return nc.analyse_images(net, images, parts=["modes", "perturbation"], **options)


@pytest.mark.parametrize("kind", ["table", "wordnet"])
def test_superclasses_have_categories_that_no_image_has(wordnet, kind):
    """An answer of "wolf" to a pug is right for the dogs, though there is no wolf to be seen."""
    if kind == "table":
        net, options = answering(), {"hierarchy": KINDS, "superclasses": ["canine"]}
    else:
        net = answering(["n02110958", "n02110185", "n03126708", "n02084071"])
        options = {"hierarchy": wordnet, "superclasses": ["dog"]}
    found = analyse(net, shown(), **options)
    curve = found.superclasses["early"]
    assert curve.concept.values.tolist() == options["superclasses"]
    here = curve.sel(concept=options["superclasses"][0])
    assert float(here.baseline_accuracy.sel(group="target")) == 1
    assert int(here.n.sel(group="target")) == 12  # half of the pugs and of the huskies
    own = found.perturbation["early"]
    assert float(own.baseline_accuracy.sel(category="pug", group="target")) < 1
    assert (curve.shared_images == 0).all()
    assert not found.left_out


def test_images_need_no_numbers():
    """Gradients are of some of the images, which are found again among all."""
    found = analyse(answering(), shown(), per_class=2)
    assert not found.left_out
    numbered = shown().assign_coords(stimulus=np.arange(48))
    again = analyse(answering(), numbered, per_class=2)
    xr.testing.assert_equal(found.perturbation["early"], again.perturbation["early"])


def test_what_has_too_few_images_is_named():
    options = {"hierarchy": {**KINDS, "wolf": ["wild"]}, "superclasses": ["dog", "wild"]}
    found = analyse(answering(), shown(), categories=["jeep", "wolf", "pug"], **options)
    assert found.perturbation["early"].category.values.tolist() == ["jeep", "pug"]
    assert found.superclasses["early"].concept.values.tolist() == ["dog"]
    assert found.left_out["perturbation"].startswith("wolf: fewer than 5 images")
    assert found.left_out["superclasses"].startswith("wild: fewer than 5 images")


def test_superclasses_of_images_without_classes_are_left_out():
    options = {"hierarchy": KINDS, "superclasses": ["dog"]}
    found = analyse(answering(), shown().drop_vars("label"), **options)
    assert found.left_out["superclasses"] == "the images have no classes"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"hierarchy": KINDS, "superclasses": ["dogg"]}, "'dog'"),
        ({"hierarchy": "nowhere.csv", "superclasses": ["dog"]}, "nowhere"),
        ({"superclasses": ["dog"]}, "without a hierarchy"),
        ({"per_class": 0}, "per_class=0"),
        ({"expansion": -1}, "expansion=-1"),
        ({"layers": ["early"], "perturb": ["late"]}, "'early'"),
    ],
)
def test_bad_input_is_told_before_anything_is_computed(tmp_path, options, says):
    net = answering()
    layers = {**net.layers, "late": nc.Layer("1")}
    net = nc.Network(net.module, layers, outputs=OUTPUTS)
    with pytest.raises(InputError, match=says):
        analyse(net, shown(), out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
