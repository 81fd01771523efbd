"""What a result, a method and a target are called in words."""

from neurocodec.labels import labelled
from neurocodec.nn.attribution.targets import Output
from neurocodec.reports.description import describe, method_name, target_name


def test_a_variable_has_its_dims_units_and_meaning():
    rate = labelled([1.0, 2.0], ["time"], name="firing_rate")
    assert describe(rate).splitlines() == [
        "DataArray",
        "  firing_rate (time: 2) float64, Hz: firing rate",
    ]


def test_options_that_a_method_did_not_use_are_left_out():
    method = {"kind": "IntegratedGradients", "steps": 10, "tolerance": 0.001}
    assert method_name(method) == "IntegratedGradients: steps 10"
    chosen = method_name({**method, "steps": "auto"})
    assert chosen == "IntegratedGradients: steps auto, tolerance 0.001"


def test_an_output_is_the_rate_of_a_cell():
    assert target_name(Output("cell 3")) == "firing rate of cell 3"
