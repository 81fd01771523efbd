import dataclasses
import json

import numpy as np
import pytest

from neurocodec.errors import InputError, UnknownNameError
from neurocodec.nn.sparse.config import PRESETS, SPARSIFIERS, SparseConfig


@pytest.mark.parametrize(
    "setting",
    [
        {"expansion": 0},
        {"expansion": float("inf")},
        {"expansion": "3"},
        {"threshold": 0},
        {"threshold": 1.0},
        {"seed": -1},
        {"seed": 0.5},
        {"seed": True},
        {"validation": 1.0},
        {"l1_loading": -0.1},
        {"l2_loading": float("nan")},
        {"epochs": 0},
        {"epochs": 2.0},
        {"epochs": True},
        {"batch_size": 0},
        {"patience": 0},
        {"nonnegative": 1},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_by_name(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        SparseConfig(**setting)


@pytest.mark.parametrize("name", ["sign", "encoder", "sparsifier", "atoms", "precision"])
def test_unknown_names_are_refused_with_those_there_are(name):
    with pytest.raises(UnknownNameError, match="nothing"):
        SparseConfig(**{name: "nothing"})


def test_a_sparsifier_that_does_not_go_with_the_encoder_is_refused_with_those_that_do():
    with pytest.raises(InputError, match="'share', 'topk'"):
        SparseConfig(sparsifier="gate")
    with pytest.raises(InputError, match=r"preset\('batch_topk'\)"):
        SparseConfig(sparsifier="batch_topk")


@pytest.mark.parametrize(
    ("encoder", "settings", "typed"),
    [
        ("linear", {}, "sparsifier='topk'"),
        ("linear", {"sparsifier": "jump_relu"}, "sparsifier='jump_relu'"),
        ("mlp", {}, "sparsifier='gate'"),
    ],
)
def test_a_number_that_rows_decide_says_what_trained_encoders_take(encoder, settings, typed):
    with pytest.raises(InputError, match=rf"expansion='auto' with(.|\n)*try: .*{typed}") as told:
        SparseConfig(expansion="auto", encoder=encoder, **settings)
    typed = told.value.hint.replace("nc.SparseModes", "SparseConfig")
    assert eval(typed).encoder == encoder  # noqa: S307 - what the message says can be typed


@pytest.mark.parametrize(
    ("preset", "setting"),
    [
        ("sparse_coding", {"learning_rate": 0.1}),
        ("sparse_coding", {"active": 3}),
        ("sparse_coding", {"relaxation": 0.5}),
        ("topk", {"threshold": 0.5}),
        ("topk", {"l2_loading": 1.0}),
        ("topk", {"hidden": 4}),
        ("jump_relu", {"candidates": 3}),
    ],
    ids=str,
)
def test_a_setting_without_effect_is_refused(preset, setting):
    with pytest.raises(InputError, match=f"leave out {next(iter(setting))}="):
        SparseConfig.preset(preset, **setting)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_made_and_written_as_json(name):
    config = SparseConfig.preset(name, seed=np.int64(3), expansion=np.float32(2))
    assert SparseConfig(**json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.parametrize("encoder", SPARSIFIERS)
def test_every_sparsifier_of_an_encoder_can_be_used(encoder):
    for sparsifier in SPARSIFIERS[encoder]:
        assert SparseConfig(expansion=10, encoder=encoder, sparsifier=sparsifier).modes(4) == 40


def test_unknown_presets_and_settings_are_refused():
    with pytest.raises(UnknownNameError, match="topk"):
        SparseConfig.preset("topkk")
    with pytest.raises(UnknownNameError):
        SparseConfig.preset(["topk"])
    with pytest.raises(UnknownNameError, match="epochs"):
        SparseConfig.preset("topk", epoch=3)
    with pytest.raises(UnknownNameError, match="setting"):
        SparseConfig().preset("topk", modes=3)


@pytest.mark.parametrize(
    "setting", [{"expansion": True}, {"l1_loading": False}, {"active": 2.0}, {"epochs": np.True_}]
)
def test_true_and_false_are_no_numbers_and_parts_are_no_counts(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        SparseConfig(**setting)


def test_numpy_numbers_are_taken_as_pythons_own():
    config = SparseConfig(epochs=np.int32(3), patience=np.int64(2), threshold=np.float64(0.5))
    assert config == SparseConfig(epochs=3, patience=2, threshold=0.5)
    assert {type(config.epochs), type(config.patience)} == {int}


def test_modes_are_the_expansion_times_the_channels():
    assert SparseConfig(expansion=3).modes(64) == 192
    assert SparseConfig.preset("topk", active=4).encoder == "linear"


def test_a_preset_of_the_paper_has_the_epochs_of_its_authors():
    assert SparseConfig.preset("paper_retina").epochs == 800


def test_what_topk_does_not_use():
    unused = ("l2_loading", "hidden", "threshold", "candidates", "relaxation")
    assert SparseConfig.preset("topk").unused() == unused
