"""Figures of maps: the numbers behind the panels, what the words say, and bad input."""

from __future__ import annotations

import subprocess
import sys

import networks
import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec import plotting
from neurocodec.errors import InputError, UnknownNameError
from neurocodec.kernels import map_pictures
from neurocodec.labels import stamp
from neurocodec.plotting.maps.displayable import displayable

SIGNS = ["excitatory", "inhibitory"]
MEAN, DEVIATION = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.25, 0.3])


def normalised(image):
    values = np.asarray(image, np.float32).transpose(2, 0, 1) / 255
    return (values - MEAN[:, None, None]) / DEVIATION[:, None, None]


def labelled_images(count=3, size=(12, 10)):
    random = np.random.default_rng(0)
    return xr.DataArray(
        random.random((count, 3, *size)),
        {
            "stimulus": np.arange(10, 10 + count),
            "label": ("stimulus", np.array(["cat", "dog", "ship", "frog"])[:count]),
            "source": ("stimulus", np.array([f"folder/{i}.png" for i in range(count)])),
        },
        ("stimulus", "color", "y", "x"),
    )


def of(images, name="mode", items=(3, 7), *, signs=True):
    """Random maps of images as `nc.contribution_maps` returns them, with their contributions."""
    dims = ("stimulus", name) + ("sign",) * signs
    shape = (images.sizes["stimulus"], len(items)) + (2,) * signs
    values = np.random.default_rng(1).normal(size=(*shape, *images.shape[1:]))
    maps = xr.Dataset(
        {
            "contribution_map": ((*dims, "color", "y", "x"), values, {"units": "logit"}),
            "contribution": (dims, values.sum((-3, -2, -1)), {"units": "logit"}),
            "map_completeness_error": (dims, np.zeros(shape)),
            "target": ("stimulus", np.arange(shape[0]) + 0.5, {"units": "logit"}),
        },
        {name: list(items), **{n: images[n] for n in ("stimulus", "label", "source")}},
    )
    return maps.assign_coords(sign=SIGNS) if signs else maps


def drawn(figure):
    figure.draw_without_rendering()
    return figure


def grid(figure):
    """Axes by row and column; those without an image are empty."""
    specs = [ax.get_subplotspec() for ax in figure.axes]
    table = {}
    for ax, spec in zip(figure.axes, specs, strict=True):
        if spec is not None:
            table[spec.rowspan.start, spec.colspan.start] = ax
    return table


def image_of(ax):
    (image,) = ax.images
    return np.asarray(image.get_array())


def caption(figure):
    return figure.get_supxlabel().replace("\n", " ")


def test_stimuli_by_modes_and_signs_are_what_came():
    images = labelled_images()
    maps = of(images)
    figure = drawn(plotting.plot_maps(maps, images, filter=1, quantile=0.9, contrast=0.5))
    table = grid(figure)
    assert max(table) == (2, 8)
    heads = [table[0, j].get_title().split("\n") for j in range(9)]
    assert heads[0] == ["image"]
    assert heads[3] == ["mode 3", "inhibitory", "signed map"]
    assert heads[8] == ["mode 7", "inhibitory", "masked image"]
    assert table[1, 0].get_ylabel().split("\n") == ["dog", "1.png"]
    one = maps.contribution_map.isel(stimulus=1, mode=1, sign=0).values
    np.testing.assert_allclose(image_of(table[1, 5]), one.sum(0))
    assert table[1, 5].images[0].get_clim()[1] == pytest.approx(np.quantile(abs(one.sum(0)), 0.9))
    dark = np.minimum(1, abs(one.sum(0)) / np.quantile(abs(one.sum(0)), 0.9)) ** 0.5
    masked = images.isel(stimulus=1).values * dark
    np.testing.assert_allclose(image_of(table[1, 6]), masked.transpose(1, 2, 0))
    np.testing.assert_array_equal(image_of(table[2, 0]), images[2].transpose("y", "x", "color"))


def test_numbers_are_written_below():
    images = labelled_images()
    maps = of(images)
    maps["map_completeness_error"][0, 0, 0] = 0.5 * float(maps.contribution[0, 0, 0])
    table = grid(plotting.plot_maps(maps, images, kind="signed"))
    value = float(maps.contribution[0, 0, 0])
    assert table[0, 0].get_xlabel() == "target 0.5 logit"
    assert table[0, 1].get_xlabel() == f"{value:.3g} (map {1.5 * value:.3g})"
    assert table[0, 2].get_xlabel() == f"{float(maps.contribution[0, 0, 1]):.3g}"


def test_the_caption_has_the_values_of_all_options():
    images = labelled_images()
    figure = plotting.plot_maps(
        of(images), images, filter=5, contrast=0.6, quantile=0.95, title="ResNet", note="Made up."
    )
    assert figure.get_suptitle() == "ResNet"
    text = caption(figure)
    assert text.startswith("Made up. Signed map: ")
    for words in ("median of 5 x 5 pixels", "^0.6", "95 % quantile of each map", "(logit)"):
        assert words in text
    signed = caption(plotting.plot_maps(of(images), images, kind="signed", filter=1))
    assert "^" not in signed
    assert "median" not in signed
    assert "Masked" not in signed


def test_the_filter_goes_by_the_size_of_the_images():
    large = labelled_images(1, (224, 224))
    assert "median of 5 x 5" in caption(plotting.plot_maps(of(large), large, kind="masked"))
    small = labelled_images(1, (32, 32))
    figure = plotting.plot_maps(of(small), small, kind="masked")
    assert "median of 3 x 3" in caption(figure)
    one = of(small).contribution_map[0, 0, 0].values
    expected = map_pictures.masked_image(
        small[0].values, map_pictures.mask(one, size=3, quantile=0.99, contrast=0.7)
    )
    np.testing.assert_allclose(image_of(grid(figure)[0, 1]), expected.transpose(1, 2, 0))


def test_one_map_of_each_image_stands_below_it():
    images = labelled_images()
    maps = of(images).sel(mode=7, sign="inhibitory")
    table = grid(plotting.plot_maps(maps, images, kind="masked"))
    assert max(table) == (1, 2)
    assert table[0, 1].get_title().split("\n") == ["dog", "1.png"]
    assert table[1, 0].get_ylabel().split("\n") == ["mode 7", "inhibitory"]


@pytest.mark.parametrize("options", [{"rows": "mode"}, {"columns": "stimulus"}])
def test_modes_may_be_the_rows(options):
    images = labelled_images()
    maps = of(images, signs=False)
    table = grid(plotting.plot_maps(maps, images, kind="signed", filter=1, **options))
    assert max(table) == (2, 2)
    assert table[2, 0].get_ylabel() == "mode 7"
    np.testing.assert_allclose(
        image_of(table[2, 1]), maps.contribution_map.isel(stimulus=1, mode=1).sum("color")
    )


def test_channels_of_one_image_stand_beside_it():
    images = labelled_images()
    maps = of(images, "channel", (5, 2, 9)).isel(stimulus=1)
    table = grid(drawn(plotting.plot_maps(maps, images, kind="signed", filter=1)))
    assert [table[0, j].get_title() for j in range(4)] == [
        "dog\n1.png",
        "channel 5",
        "channel 2",
        "channel 9",
    ]
    assert [table[i, 0].get_ylabel() for i in range(2)] == SIGNS
    np.testing.assert_allclose(
        image_of(table[1, 2]), maps.contribution_map.isel(channel=1, sign=1).sum("color")
    )
    assert not table[1, 0].images
    turned = grid(plotting.plot_maps(maps, images, kind="signed", rows="channel"))
    assert turned[1, 0].get_ylabel() == "channel 5"


def test_modes_by_channels_of_one_image():
    images = labelled_images(1)
    parts = [of(images, "channel", (1, 2), signs=False).isel(stimulus=0) for _ in range(2)]
    maps = xr.concat(parts, xr.DataArray([4, 6], dims="mode", name="mode"))
    table = grid(plotting.plot_maps(maps, images, kind="masked", rows="mode", columns="channel"))
    assert max(table) == (1, 2)
    assert table[1, 0].get_ylabel() == "mode 6"
    assert table[0, 2].get_title() == "channel 2"
    assert len(table[0, 0].images) == 1
    assert not table[1, 0].images


def test_several_results_stand_beside_each_other():
    images = labelled_images()
    modes, channels = of(images), of(images, "channel", (5, 2))
    whole = modes.isel(mode=0, sign=0, drop=True)
    whole = stamp(whole, "nc.contribution_maps", layers={})
    figure = plotting.plot_maps([whole, modes.sel(mode=3), channels], images, kind="masked")
    heads = [ax.get_title().replace("\n", ", ") for ax in figure.axes[:8]]
    assert heads == [
        "image",
        "whole network",
        "mode 3, excitatory",
        "mode 3, inhibitory",
        "channel 5, excitatory",
        "channel 5, inhibitory",
        "channel 2, excitatory",
        "channel 2, inhibitory",
    ]


def test_a_shared_scale_is_one_for_all_maps():
    images = labelled_images()
    maps = of(images)
    maps["contribution_map"] = maps.contribution_map * xr.DataArray([1.0, 20.0], dims="mode")
    figure = drawn(plotting.plot_maps(maps, images, filter=1, shared=True))
    table = grid(figure)
    signed = maps.contribution_map.sum("color").values
    limit = np.quantile(abs(signed), 0.99)
    assert {round(table[i, j].images[0].get_clim()[1], 9) for i in range(3) for j in (1, 5)} == {
        round(limit, 9)
    }
    assert image_of(table[0, 2]).max() < 0.3 * image_of(table[0, 6]).max()
    bar = next(ax for ax in figure.axes if ax.get_label() == "<colorbar>")
    assert bar.get_ylabel() == "contribution of a pixel (logit)"
    assert "quantile of all maps" in caption(figure)


def test_arrays_and_images_in_any_order_are_drawn():
    images = labelled_images()
    maps = of(images, signs=False).contribution_map
    turned = images.isel(stimulus=[2, 0, 1]).transpose("y", "x", "color", "stimulus")
    table = grid(plotting.plot_maps(maps.transpose("x", "mode", ...), turned, kind="masked"))
    np.testing.assert_array_equal(image_of(table[1, 0]), images[1].transpose("y", "x", "color"))
    assert table[0, 1].get_xlabel() == ""


def test_grey_images_are_drawn():
    images = labelled_images().isel(color=0)
    maps = of(labelled_images(), signs=False)
    grey = maps.assign(contribution_map=maps.contribution_map.isel(color=0))
    table = grid(plotting.plot_maps(grey, images, kind="signed", filter=1))
    np.testing.assert_array_equal(image_of(table[0, 0])[..., 2], images[0])
    np.testing.assert_allclose(image_of(table[0, 2]), grey.contribution_map[0, 1])


def test_normalisation_is_undone():
    images = labelled_images()
    taken = xr.apply_ufunc(
        lambda values: (values - MEAN) / DEVIATION,
        images,
        input_core_dims=[["color"]],
        output_core_dims=[["color"]],
    )
    found, how = displayable(taken, normalised)
    np.testing.assert_allclose(found.transpose(*images.dims).values, images.values, atol=1e-6)
    assert "undone" in how
    figure = plotting.plot_maps(of(images), taken, preprocessing=normalised)
    assert "normalisation undone" in caption(figure)


def test_unknown_normalisation_is_told():
    images = 3 * labelled_images() - 1
    found, how = displayable(images)
    for one, shown in zip(images.values, found.values, strict=True):
        np.testing.assert_allclose(shown, (one - one.min()) / np.ptp(one), atol=1e-6)
    assert "least to the largest" in how
    eight_bit = (255 * labelled_images()).astype("uint8")
    assert displayable(eight_bit)[1] == ""
    np.testing.assert_allclose(displayable(eight_bit)[0].values, eight_bit.values / 255)


def test_images_are_found_by_their_labels():
    images = labelled_images(4)
    table = grid(plotting.plot_maps(of(images).isel(stimulus=[2]), images.isel(stimulus=[3, 2])))
    np.testing.assert_array_equal(image_of(table[0, 0]), images[2].transpose("y", "x", "color"))


def ranked(*, signs=False):
    """Maps of the images of two modes; the second has only two."""
    images = labelled_images()
    order = xr.DataArray([[2, 0, 1], [0, 1, 2]], {"mode": [3, 7]}, ("mode", "rank"))
    pictures = images.isel(stimulus=order).transpose("mode", "rank", ...)
    maps = of(images, signs=signs)
    stacked = [maps.sel(mode=m).isel(stimulus=order.sel(mode=m)) for m in (3, 7)]
    found = xr.concat(stacked, "mode", coords="all", data_vars="all", join="exact")
    found["loading"] = ("mode", "rank"), [[0.99, 0.95, 0.91], [0.9, 0.89, np.nan]]
    found["contribution_map"][1, 2] = np.nan
    return found, pictures


def test_images_of_modes_with_their_part():
    maps, pictures = ranked()
    figure = drawn(plotting.plot_mode_images(maps, pictures, filter=1, note="Held out."))
    axes = np.reshape(figure.axes, (2, 6))
    assert axes[0, 0].get_title() == "ship\n2.png\nloading 0.99"
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["mode 3", "mode 7"]
    np.testing.assert_array_equal(
        image_of(axes[1, 2]), pictures[1, 1].transpose("y", "x", "color").values
    )
    one = maps.contribution_map[0, 2].values
    expected = pictures[0, 2].values * map_pictures.mask(one, quantile=0.99, contrast=0.7)
    np.testing.assert_allclose(image_of(axes[0, 5]), expected.transpose(1, 2, 0))
    assert axes[0, 5].get_xlabel() == f"{float(maps.contribution[0, 2]):.3g}"
    assert not axes[1, 4].images
    assert not axes[1, 5].images
    assert axes[1, 4].get_title() == ""
    assert caption(figure).startswith("Held out. Masked image")
    assert "^0.7" in caption(figure)


def test_images_of_modes_with_both_signs_and_other_names():
    maps, pictures = ranked(signs=True)
    figure = plotting.plot_mode_images(
        maps, pictures, kind="both", names=["the first", "the second"]
    )
    axes = np.reshape(figure.axes, (2, 15))
    assert axes[0, 1].get_title() == "excitatory\nsigned map"
    assert axes[0, 4].get_title() == "inhibitory\nmasked image"
    assert axes[1, 0].get_ylabel() == "the second"


def movie_maps(*, at_end=False):
    times = np.arange(30) / 10
    random = np.random.default_rng(0)
    movie = xr.DataArray(random.normal(size=(30, 6, 7)), {"time": times}, ("time", "y", "x"))
    values = random.normal(size=(2, 3, 2, 5, 6, 7))
    values[0, :, :, 1] *= 5  # 0.3 s before
    values[1, :, :, 4] *= 5  # now
    dims = ("time", "channel", "sign", "lag", "y", "x")
    coords = {
        "time": times[[12, 29] if at_end else [12, 20]],
        "channel": [0, 4, 5],
        "sign": SIGNS,
        "lag": ("lag", np.arange(-4, 1) / 10, {"units": "s"}),
        "y": ("y", np.arange(6) * 50.0, {"units": "um"}),
    }
    maps = xr.Dataset({"contribution_map": (dims, values, {"units": "bit"})}, coords)
    maps["contribution"] = maps.contribution_map.sum(("lag", "y", "x"))
    maps["contribution"].attrs["units"] = "bit"
    return maps, movie.assign_coords(y=maps.y)


def test_maps_of_a_movie_in_space_and_over_lags():
    maps, movie = movie_maps()
    figure = drawn(plotting.plot_movie_maps(maps, movie, quantile=0.9, title="retina"))
    table = grid(figure)
    assert max(table) == (3, 6)
    assert table[0, 0].get_title() == "1.20 s\nframe 0.30 s before"
    assert table[2, 0].get_title() == "2.00 s"
    assert table[0, 4].get_title() == "channel 4\ninhibitory"
    np.testing.assert_array_equal(image_of(table[0, 0]), movie.sel(time=0.9, method="nearest"))
    one = maps.contribution_map[0, 1, 1].values
    np.testing.assert_allclose(image_of(table[0, 4]), one.sum(0))
    assert table[0, 4].images[0].get_clim()[1] == pytest.approx(np.quantile(abs(one.sum(0)), 0.9))
    course = table[1, 4].lines[1]
    np.testing.assert_allclose(course.get_ydata(), one.sum((1, 2)))
    np.testing.assert_allclose(course.get_xdata(), maps.lag)
    assert sum(course.get_ydata()) == pytest.approx(float(table[0, 4].get_xlabel()), rel=1e-2)
    assert table[1, 4].lines[2].get_xdata()[0] == pytest.approx(-0.3)
    assert (table[0, 0].get_ylabel(), table[2, 0].get_xlabel()) == ("y (um)", "x (pixel)")
    assert table[3, 1].get_xlabel() == "lag (s)"
    assert "90 % quantile of each map" in caption(figure)
    assert "(bit)" in caption(figure)


def test_a_map_at_the_lag_of_its_frame_and_one_scale():
    maps, movie = movie_maps(at_end=True)
    figure = plotting.plot_movie_maps(maps, movie, at="peak", shared=True, quantile=1.0)
    table = grid(figure)
    at_peak = [maps.contribution_map[0, ..., 1, :, :], maps.contribution_map[1, ..., 4, :, :]]
    np.testing.assert_allclose(image_of(table[2, 6]), at_peak[1][2, 1])
    largest = max(float(abs(part).max()) for part in at_peak)
    assert table[0, 1].images[0].get_clim()[1] == pytest.approx(largest)
    assert len({table[i, j].get_ylim() for i in (1, 3) for j in range(1, 7)}) == 1


def test_one_map_of_a_movie():
    maps, movie = movie_maps()
    one = maps.isel(time=1, channel=0, sign=1)
    table = grid(drawn(plotting.plot_movie_maps(one, movie)))
    assert table[0, 1].get_title() == "channel 0\ninhibitory"
    assert table[0, 1].get_xlabel() == f"{float(one.contribution):.3g}"
    np.testing.assert_allclose(image_of(table[0, 1]), one.contribution_map.sum("lag"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.sel(time=slice(1.0, None)), "movie of"),
        (lambda m: m.isel(x=slice(3)), "movie of"),
        (lambda m: m.isel(time=0), "movie"),
    ],
)
def test_another_movie_is_refused(change, message):
    maps, movie = movie_maps()
    with pytest.raises(InputError, match=message):
        plotting.plot_movie_maps(maps, change(movie))


def test_maps_of_another_kind_are_refused():
    maps, movie = movie_maps()
    images = labelled_images()
    with pytest.raises(InputError, match="plot_movie_maps"):
        plotting.plot_maps(maps, movie)
    with pytest.raises(InputError, match="plot_maps"):
        plotting.plot_movie_maps(of(images), images)
    with pytest.raises(InputError, match="plot_maps"):
        plotting.plot_mode_images(of(images), images)
    with pytest.raises(InputError, match="contribution_maps"):
        plotting.plot_maps(of(images)[["contribution"]], images)
    with pytest.raises(UnknownNameError, match="'sum', 'peak'|'peak', 'sum'"):
        plotting.plot_movie_maps(maps, movie, at="all")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "mask"}, "'masked'"),
        ({"filter": 4}, "odd"),
        ({"contrast": 0}, "contrast=0"),
        ({"quantile": 99}, "quantile=99"),
        ({"rows": "chanel"}, "'stimulus', 'mode'"),
        ({"rows": "mode", "columns": "mode"}, "rows='mode' and columns='mode'"),
    ],
)
def test_bad_options_are_refused(options, message):
    images = labelled_images()
    with pytest.raises(InputError, match=message):
        plotting.plot_maps(of(images), images, **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i.isel(stimulus=[0, 1]), r"stimuli \[10, 11\]"),
        (lambda i: i.isel(stimulus=[0, 1, 1]), "each once"),
        (lambda i: i.isel(x=slice(4)), "images of x=4 and maps of x=10"),
        (lambda i: i.rename(x="column"), "dims"),
        (lambda i: i.isel(color=[0, 1]), "2 colors"),
        (lambda i: i.isel(stimulus=0), "are not those of maps"),
        (lambda i: i.values, "ndarray"),
    ],
)
def test_images_that_do_not_fit_are_refused(change, message):
    images = labelled_images()
    with pytest.raises(InputError, match=message):
        plotting.plot_maps(of(images), change(images))


def test_a_file_of_maps_is_drawn_as_it_is_opened(tmp_path):
    net, images = networks.retina_network(), networks.images(2)
    still = nc.Network(networks.convolutional(), {"a": "2"})
    options = {"target": nc.targets.Output(0), "channels": [0, 1], "progress": False}
    maps = nc.contribution_maps(still, images, "a", out=tmp_path / "maps.nc", **options)
    again = nc.open(tmp_path / "maps.nc")
    first, second = (grid(plotting.plot_maps(m, images)) for m in (maps, [again]))
    np.testing.assert_array_equal(image_of(first[1, 3]), image_of(second[1, 3]))
    assert first[0, 3].get_xlabel() == second[0, 3].get_xlabel() != ""
    movie, out = networks.movie(), tmp_path / "movie.zarr"
    nc.contribution_maps(net, movie, "layer1", times=0.1, out=out, **options)
    assert plotting.plot_movie_maps(nc.open(out), movie).axes


def test_selections_with_nothing_left_are_refused():
    images = labelled_images()
    with pytest.raises(InputError, match="at least one map"):
        plotting.plot_maps(of(images).isel(stimulus=[]), images)
    maps = nc.contribution_maps(
        networks.retina_network(),
        networks.movie(),
        "layer1",
        target=nc.targets.Output(0),
        channels=[0],
        progress=False,
    )
    with pytest.raises(InputError, match="at least one map"):
        plotting.plot_movie_maps(maps.isel(time=[]), networks.movie())
    with pytest.raises(InputError, match="without labels of time"):
        plotting.plot_movie_maps(maps.isel(time=[0]), networks.movie().drop_vars("time"))


@pytest.mark.parametrize("maps", [[], None, "maps"])
def test_no_maps_are_refused(maps):
    with pytest.raises(InputError, match=r"as maps(.|\n)*nc.contribution_maps"):
        plotting.plot_maps(maps, labelled_images())


def test_maps_that_cannot_be_drawn_are_refused():
    images = labelled_images()
    maps = of(images)
    broken = maps.contribution_map.copy()
    broken[1, 0, 0, 0, 2, 3] = np.nan
    with pytest.raises(InputError, match="1 NaN"):
        plotting.plot_maps(broken, images)
    with pytest.raises(InputError, match="different 'stimulus'"):
        plotting.plot_maps([maps, maps.isel(stimulus=[0, 1])], images)
    with pytest.raises(InputError, match="at most 200"):
        plotting.plot_maps(of(images, items=range(40)), images)
    with pytest.raises(InputError, match="one more dim"):
        plotting.plot_maps(maps.expand_dims(channel=2), images)
    stacked, pictures = ranked()
    with pytest.raises(InputError, match="different 'rank'"):
        plotting.plot_mode_images(stacked, pictures.isel(rank=[0, 1]))


def test_the_short_name_is_the_same_function():
    assert nc.plot.maps is plotting.plot_maps
    assert nc.plot.mode_images is plotting.plot_mode_images
    figures = {n.removeprefix("plot_") for n in plotting.__all__ if n.startswith("plot_")}
    assert set(dir(nc.plot)) == figures
    for name in figures:
        assert getattr(nc.plot, name) is getattr(plotting, f"plot_{name}")
    assert nc.plot.__doc__
    assert not hasattr(nc.plot, "excerpt")
    with pytest.raises(AttributeError, match="'movie_maps'"):
        _ = nc.plot.movie_map
    assert not hasattr(nc.plot, "__wrapped__")


def test_short_names_load_no_figures_before_they_are_used():
    code = (
        "import sys, neurocodec as nc; nc.plot, hasattr(nc.plot, '__wrapped__');"
        "assert not {'matplotlib', 'torch'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
