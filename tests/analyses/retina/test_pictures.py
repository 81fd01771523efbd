"""Movies that channels and cells answer most to: those of the network, and told to be synthetic."""

import dataclasses

import numpy as np
import pytest
from small_retina import CELLS, small_analysis, small_network, small_recording

import neurocodec as nc
from neurocodec.analyses.retina import pictures
from neurocodec.reports.page import Drawing
from neurocodec.reports.retina.figures import figures
from neurocodec.reports.retina.page import render


@pytest.fixture(scope="module")
def made():
    analysis = small_analysis()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "STEPS", 8)
        return pictures.picture_movies(
            small_network(),
            small_recording().stimulus,
            analysis.rates,
            analysis.tree,
            progress=False,
        )


def test_cells_answer_to_their_own_movie(made):
    net, found = small_network(), made["cells"]
    assert found.cell.values.tolist() == CELLS
    for i, cell in enumerate(CELLS):
        window = found.stimulus.isel(cell=i).rename(lag="time").drop_vars(["time", "cell"])
        rate = nc.respond(net, window.astype("float32"), progress=False)
        np.testing.assert_allclose(rate.sel(cell=cell), found.target[i], rtol=1e-4)
    assert found.confirmed.any()


def test_channels_are_those_of_the_first_layer(made):
    assert made["channels"].feature.values.tolist() == [0, 1]
    assert nc.labels.provenance(made["channels"])["target"]["parameters"]["name"] == "layer1"


def test_the_page_has_them_where_they_were_made(made):
    analysis = small_analysis()
    whole = dataclasses.replace(analysis, pictures=made)
    drawn = {name: Drawing(b"png", alt) for name, _, alt in figures(whole)}
    text = render(whole, drawn, {})
    assert 'href="#pictures"' in text
    assert "These movies are synthetic" in text
    assert "pictures.nc" in text
    assert "pictures.nc" in whole.files
    without = {n: x for n, x in drawn.items() if not n.startswith("pictures-")}
    assert "synthetic" not in render(analysis, without, {})
