"""What commands share."""

import argparse

import pytest

from neurocodec.cli.images import add_images
from neurocodec.cli.options import command_line, expansion, method_named, steps
from neurocodec.cli.retina import add_retina
from neurocodec.nn.attribution import methods


def test_steps_are_a_number_or_auto():
    assert steps("20") == 20
    assert steps("auto") == "auto"
    with pytest.raises(argparse.ArgumentTypeError, match="from 1, or auto"):
        steps("0")


def test_modes_per_channel_are_a_number_or_auto():
    assert expansion("2.5") == 2.5
    assert expansion("auto") == "auto"
    with pytest.raises(argparse.ArgumentTypeError, match="a number, or auto"):
        expansion("many")


@pytest.mark.parametrize(("add", "count"), [(add_retina, 20), (add_images, 10)])
def test_the_help_names_the_steps_that_a_command_takes(add, count):
    parser = argparse.ArgumentParser()
    add(parser)
    assert f"a number or auto ({count})" in " ".join(parser.format_help().split())


def test_a_method_by_its_options():
    options = argparse.Namespace(method="integrated-gradients", steps=None, seed=3)
    assert method_named(options, 20) == methods.IntegratedGradients(steps=20)
    options.method = "smooth-grad"
    assert method_named(options, 20) == methods.SmoothGrad(seed=3)


def test_a_command_line_has_what_differs_from_the_defaults():
    parser = argparse.ArgumentParser()
    add_retina(parser)
    options = parser.parse_args(
        ["--layers", "layer1", "layer2", "--ensemble", "--quiet", "--steps", "auto"]
    )
    written = command_line(options, "retina", add_retina)
    assert written == "neurocodec retina --ensemble --layers layer1 layer2 --steps auto"
