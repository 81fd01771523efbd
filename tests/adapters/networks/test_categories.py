"""Names of ImageNet's categories."""

import pytest

import neurocodec as nc
from neurocodec.adapters.networks.categories import imagenet_labels, require, unique
from neurocodec.errors import InputError


def test_a_library_that_is_missing_is_told_with_the_line_to_type():
    with pytest.raises(InputError) as found:
        require("a_library")
    assert str(found.value).splitlines() == [
        "a_library is not installed",
        "  expected: the libraries of image networks",
        '  try: pip install "neurocodec[images]"',
    ]


def test_names_that_occur_twice_get_their_position():
    assert unique(["tench", "crane", "crane"]) == ["tench", "crane (1)", "crane (2)"]


def test_names_and_ids_of_a_thousand_outputs():
    names, coords = imagenet_labels(1000)
    assert names[281] == "tabby"
    assert coords["wordnet_id"][281] == "n02123045"


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_module_is_no_name_and_the_way_that_is_told_works(library):
    pytest.importorskip(library)
    module = nc.adapters.torchvision("resnet18").module
    if library == "timm":
        module = nc.adapters.timm("resnet18").module
    build = getattr(nc.adapters, library)
    with pytest.raises(InputError, match="in place of the name") as caught:
        build(module)
    assert f"try: nc.adapters.{library}('resnet" in str(caught.value)
    net = build("resnet18", adjust=lambda _: module)
    assert net.module is module
    assert net.name == "resnet18 (a module of its own)"
