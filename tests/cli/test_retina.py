"""The command line: end to end on a small model and movie, and all that can be wrong."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import warnings

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from small_retina import few_epochs, small_network, small_recording

import neurocodec as nc
from neurocodec.cli.movies import load_interneurons, load_movie, load_part
from neurocodec.cli.parser import FAILED, INTERRUPTED, main
from neurocodec.cli.retina import _analysis_of, add_retina
from neurocodec.errors import InputError, NeurocodecWarning
from neurocodec.nn.retina.model import RetinaCNN
from neurocodec.reports import page
from neurocodec.zoo import retina_network, save_model


@pytest.fixture(scope="module", autouse=True)
def short_fits():
    with few_epochs():
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    save_model(small_network(), folder / "model.safetensors")
    nc.save(small_recording(), folder / "movie.nc")
    return folder


@pytest.fixture(scope="module")
def command(files):
    model, movie = str(files / "model.safetensors"), str(files / "movie.nc")
    options = ["--expansion", "1", "--layers", "layer2", "--duration", "0.8"]
    return ["retina", "--model", model, "--movie", movie, *options]


@pytest.fixture(scope="module")
def finished(command, tmp_path_factory):
    """Arguments of a run, and the folder that it has written."""
    folder = tmp_path_factory.mktemp("finished")
    options = ["--method", "act-grad", "--target", "sum", "--quiet", "--out", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "_others", lambda _: {})
        assert main([*command, *options]) == 0
    return [*command, *options], folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "result"


@pytest.fixture
def _png_only(monkeypatch):
    """Pages without the figures as SVG and PDF; `test_end_to_end` has them."""
    monkeypatch.setattr(page, "_others", lambda _: {})


@pytest.fixture
def _undrawn(monkeypatch, _png_only):
    """Pages without what is drawn, which takes most of the time."""
    monkeypatch.setattr(page, "_drawing", lambda _, alt, **_o: page.Drawing(b"png", alt))


def test_end_to_end(command, out, capsys):
    assert main([*command, "--steps", "5", "--seed", "3", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert str(out / "report.html") in said.out
    assert "80 frames" in said.out
    assert "contributions" in said.err  # the progress bar
    assert {file.name for file in out.iterdir()} == {
        "cells.nc",
        "combinations.nc",
        "contributions.nc",
        "field-shapes.nc",
        "fields.nc",
        "figures",
        "maps.nc",
        "mode-stability.nc",
        "modes-layer2.nc",
        "report.html",
        "responses.nc",
        "tension.nc",
    }
    tree = nc.open(out / "contributions.nc")
    assert tree.sizes["time"] == 77
    assert json.loads(tree.attrs["neurocodec"])["method"]["steps"] == 5
    assert nc.open(out / "modes-layer2.nc").config.seed == 3
    for ending in ("png", "svg", "pdf", "csv"):
        assert (out / "figures" / f"overview.{ending}").stat().st_size > 1000
    page = (out / "report.html").read_text("utf-8")
    assert "--steps 5 --expansion 1" in page.replace(".0", "")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A recording of four cells in the layout of torch-deep-retina, and a chirp file."""
    folder, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0)
    with h5py.File(folder / "r.h5", "w") as file:
        for part in ("train", "test"):
            file[f"{part}/time"] = np.arange(120) / 100
            file[f"{part}/stimulus"] = rng.integers(0, 9, (120, 9, 9), dtype=np.uint8)
            rate = rng.gamma(1.0, 9.0, (4, 120)).astype(np.float32)
            file[f"{part}/response/firing_rate_10ms"] = rate
    with h5py.File(folder / "chirp.h5", "w") as file:
        light = 1 + 0.5 * rng.normal(size=600).cumsum() / 20
        file["time"], file["stimulus"] = np.arange(600) / 50, light - light.min() + 0.1
        for where in ("local", "global"):
            traces = np.stack([light, rng.normal(size=600)]) + 0.1 * rng.normal(size=(2, 600))
            file[f"bipolar/{where}"] = traces
    return folder


@pytest.fixture
def measured(recordings, tmp_path):
    """A command on a model of recorded cells and their recording."""
    model = small_network("mine", ["cell03", "cell01", "cell02"])
    save_model(model, tmp_path / "mine.safetensors")
    options = ["--expansion", "1", "--layers", "layer2", "--method", "act-grad", "--quiet"]
    files = ["--model", str(tmp_path / "mine.safetensors"), "--recording", str(recordings / "r.h5")]
    return ["retina", *files, *options]


@pytest.mark.slow
@pytest.mark.usefixtures("_png_only")
def test_a_recording_and_its_interneurons(measured, recordings, out):
    chirp = ["--interneurons", str(recordings / "chirp.h5"), "--spot", "5"]
    more = ["--interneuron-part", "local", "--part", "train", "--moments", "3"]
    assert main([*measured, *chirp, *more, "--out", str(out)]) == 0
    opened = {file.name: nc.open(file) for file in out.glob("*.nc")}
    assert set(opened) == {
        "cells.nc",
        "combinations.nc",
        "contributions.nc",
        "field-shapes.nc",
        "fields.nc",
        "interneurons.nc",
        "maps.nc",
        "mode-stability.nc",
        "modes-layer2.nc",
        "responses.nc",
        "tension.nc",
    }
    responses = opened["responses.nc"]
    assert responses.cell.values.tolist() == ["cell03", "cell01", "cell02"]
    with h5py.File(recordings / "r.h5") as file:
        stored = file["train/response/firing_rate_10ms"][3]
    np.testing.assert_array_equal(responses.recorded_firing_rate[:, 0], stored[4:])
    found = opened["interneurons.nc"]
    assert found.interneuron.values.tolist() == ["bipolar cluster 00", "bipolar cluster 01"]
    page = re.sub("[A-Za-z0-9+/]{60,}", "", (out / "report.html").read_text("utf-8"))
    assert "simulated" not in page.lower()
    for text in ("--spot 5", "--part train", "--interneuron-part local", "--moments 3"):
        assert text in page
    for name in ("interneurons", "interneuron-maps", "moments"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.usefixtures("_undrawn")
def test_a_fit_says_how_to_go_on(recordings, tmp_path, capsys):
    file, out = str(recordings / "r.h5"), str(tmp_path / "fit")
    words = ["--history", "4", "--channels", "1", "1", "--kernels", "3", "3", "--epochs", "1"]
    assert main(["fit-retina", file, "--out", out, "--segments", "all", *words]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == f"go on with: neurocodec retina --model {out} --recording {file}"
    more = ["--moments", "0", "--method", "act-grad", "--expansion", "1", "--quiet"]
    more += ["--layers", "layer2", "--mode-seeds", "0"]
    result = tmp_path / "out"
    assert main([*line.split()[4:], *more, "--out", str(result)]) == 0
    assert nc.open(result / "responses.nc").recorded_firing_rate.sizes["cell"] == 4


@pytest.mark.slow
@pytest.mark.usefixtures("_undrawn")
def test_no_moments_no_fields(measured, out):
    assert main([*measured, "--moments", "0", "--mode-seeds", "0", "--out", str(out)]) == 0
    assert not (out / "fields.nc").exists()
    assert "#explorer" not in (out / "report.html").read_text("utf-8")
    assert nc.open(out / "responses.nc").sizes["time"] == 116  # the part "test"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--part", "trian"], "try: 'train'"),
        (["--duration", "nan"], "--duration nan"),
        (["--moments", "-5"], "moments=-5"),
        (["--duration", "-1"], "--duration -1"),
        (["--interneuron-part", "local"], "--interneuron-part without --interneurons"),
        (["--interneurons", "chirp.h5", "--interneuron-part", "local"], "--spot 6"),
        (["--interneurons", "r.h5"], "no interneurons in"),
        (["--interneurons", "missing.h5"], "does not exist"),
        (["--movie", "r.h5"], "not allowed with argument"),
    ],
)
def test_bad_input_about_recordings(measured, recordings, out, capsys, monkeypatch, *, extra, said):
    monkeypatch.chdir(recordings)
    try:
        code = main([*measured, "--out", str(out), *extra])
    except SystemExit as ended:  # of the parser
        code = ended.code
    assert code == FAILED
    assert said in capsys.readouterr().err
    assert not (out / "report.html").exists()


def test_an_ensemble_needs_models_of_other_seeds(command, tmp_path, capsys):
    assert main([*command, "--ensemble", "--out", str(tmp_path)]) == FAILED
    assert "seed-1" in capsys.readouterr().err


def test_an_ensemble_is_the_model_and_those_in_its_folder(tmp_path):
    for place in (tmp_path, tmp_path / "seed-1", tmp_path / "seed-2"):
        place.mkdir(exist_ok=True)
        save_model(small_network(), place / "weights.safetensors")
    options = argparse.Namespace(ensemble=True, model=str(tmp_path))
    analyse = _analysis_of(small_network(), options)
    assert len(analyse.args[0]) == 3
    assert analyse.func is nc.analyse_ensemble


def test_a_named_part_has_what_is_wanted(tmp_path):
    times = {"time": np.arange(9) / 100}
    seen = xr.Dataset({"stimulus": (("time", "y", "x"), np.ones((9, 9, 9)))}, times)
    heard = xr.Dataset({"fluorescence": (("time", "interneuron"), np.ones((9, 1)))}, times)
    file = str(tmp_path / "parts.nc")
    nc.save(xr.DataTree.from_dict({"/seen": seen, "/heard": heard}), file)
    assert load_part(file).sizes["y"] == 9
    with pytest.raises(InputError, match="the part 'heard' without stimulus .*\n.*'seen'"):
        load_part(file, "heard")
    with pytest.raises(InputError, match="the part 'seen' without interneurons .*\n.*'heard'"):
        load_interneurons(file, small_network(), "seen")
    with pytest.raises(InputError, match="try: --recording .*parts.nc"):
        load_movie(file)
    with pytest.raises(InputError, match="at most 0.09 seconds"):
        load_part(file, "seen", 2.0)


def test_interneurons_are_shown_in_the_light_that_the_model_takes(recordings):
    small = small_network()
    config = dataclasses.replace(small.module.config, stimulus_mean=50.0, stimulus_deviation=20.0)
    net = retina_network(RetinaCNN(config).eval(), name="mine", frame_rate=100.0)
    file = str(recordings / "chirp.h5")
    contrast = load_interneurons(file, small).stimulus
    light = load_interneurons(file, net).stimulus
    np.testing.assert_allclose(light, 50 + 20 * contrast, rtol=1e-5)
    standardised = net.module.standardised(torch.from_numpy(light.values))
    np.testing.assert_allclose(standardised, contrast, atol=1e-5)
    assert load_interneurons(file, small, "local", 3.0).attrs["geometry"] == "disc"


@pytest.mark.slow
@pytest.mark.usefixtures("_png_only")
def test_quiet_is_quiet_and_a_rerun_gives_the_same(finished, capsys):
    arguments, folder = finished
    first = (folder / "report.html").read_bytes()
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
    assert (folder / "report.html").read_bytes() == first


def test_a_folder_of_another_run_is_refused(finished, capsys):
    arguments, _ = finished
    assert main([*arguments, "--method", "norm-grad"]) == FAILED
    said = capsys.readouterr().err
    assert "of another run: method" in said
    assert "--out ANOTHER-FOLDER" in said
    assert "delete" in said


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--model", "simulated-retinas"], "there is no bundled model 'simulated-retinas'"),
        (["--movie", "simulated-retinas"], "or a .nc or .zarr file"),
        (["--model", "missing.pt"], "no such file: 'missing.pt'"),
        (["--model", "."], "'.', which is a folder without weights.safetensors"),
        (["--movie", "missing.nc"], "'missing.nc', which does not exist"),
        (["--layers", "layer3"], "there is no layer 'layer3'"),
        (["--target", "suprisal"], "try: 'surprisal'"),
        (["--duration", "0.02"], "a movie of 2 frames\n  expected: at least 4"),
        (["--duration", "-1"], "--duration -1\n  expected: a number of seconds above 0"),
        (["--duration", "100"], "expected: at most 3 seconds"),
        (["--method", "act-grad", "--steps", "9"], "--steps only with integrated-gradients"),
        (["--expansion", "-1"], "expansion=-1"),
        (["--device", "gpu"], "device='gpu', which this machine does not have"),
        (["--device", "gpu"], "try: --device cpu"),
    ],
)
def test_bad_input_ends_with_a_message_and_code_2(command, out, capsys, extra, said):
    assert main([*command, "--quiet", "--out", str(out), *extra]) == FAILED
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert "--out" not in error
    assert not (out / "report.html").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none(command, out, capsys):
    assert main([*command, "--device", "cuda", "--out", str(out)]) == FAILED
    assert "without a usable CUDA device" in capsys.readouterr().err
    assert not out.exists()


def test_options():
    parser = argparse.ArgumentParser()
    add_retina(parser)
    assert parser.parse_args(["--steps", "auto"]).steps == "auto"


@pytest.mark.parametrize("steps", ["0", "-3", "many", "1.5"])
def test_steps_are_a_number_or_auto(command, capsys, steps):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--steps", steps])
    assert ended.value.code == FAILED
    assert "expected a whole number from 1, or auto" in capsys.readouterr().err


def test_an_unwritable_out_is_named(command, tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    assert main([*command, "--quiet", "--out", str(tmp_path / "taken")]) == FAILED
    assert "cannot be made" in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on(command, out, capsys, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    command = [*command, "--moments", "0", "--mode-seeds", "0", "--quiet", "--out", str(out)]
    monkeypatch.setattr("neurocodec.modes.sparse.SparseModes.fit", interrupted)
    assert main(command) == INTERRUPTED
    assert "The same command goes on from here" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr(page, "_others", lambda _: {})
    monkeypatch.setattr(page, "_drawing", lambda _, alt, **_o: page.Drawing(b"png", alt))
    assert (out / "contributions.nc").exists()
    assert main(command) == 0


def test_warnings_are_one_line(command, out, capsys, monkeypatch):
    def warned(*_arguments, **_options):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("few rows", NeurocodecWarning, stacklevel=2)
        raise KeyboardInterrupt

    monkeypatch.setattr("neurocodec.analyses.retina.analyse.analyse_retina", warned)
    shown = warnings.showwarning
    main([*command, "--out", str(out)])
    assert "neurocodec: warning: few rows\n" in capsys.readouterr().err
    assert warnings.showwarning is shown


def test_the_environment_is_given_back(files, monkeypatch, capsys):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    seen = []
    monkeypatch.setattr(
        "neurocodec.storage.open",
        lambda _path: (
            seen.append(os.environ["OMP_WAIT_POLICY"])
            or nc.labels.labelled([1.0], ["time"], name="target")
        ),
    )
    assert main(["info", str(files / "movie.nc")]) == 0
    assert seen == ["PASSIVE"]
    assert "OMP_WAIT_POLICY" not in os.environ
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert main(["info", str(files / "movie.nc")]) == 0
    assert seen[1] == os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert "target" in capsys.readouterr().out


def test_a_movie_is_cut_to_its_first_frames(files):
    assert load_movie(str(files / "movie.nc"), 0.5).sizes["time"] == 50
    assert load_movie(str(files / "movie.nc"), 3.0).sizes["time"] == 300
    assert load_movie("simulated-retina", 0.5).stimulus.sizes["time"] == 50


def test_a_movie_may_be_an_array_or_a_zarr_folder(tmp_path):
    pytest.importorskip("zarr")
    movie = small_recording().stimulus
    nc.save(movie, tmp_path / "movie.zarr")
    assert load_movie(str(tmp_path / "movie.zarr")).identical(movie)


def test_info_says_what_a_file_is(files, capsys):
    assert main(["info", str(files / "movie.nc")]) == 0
    said = capsys.readouterr().out
    assert "movie.nc: Dataset" in said
    assert "stimulus (time: 300, y: 9, x: 9) float32" in said
    assert "firing_rate (time: 300, cell: 4) float32, Hz: firing rate" in said


def test_info_has_the_provenance(finished, capsys):
    _, folder = finished
    assert main(["info", str(folder / "modes-layer2.nc")]) == 0
    said = capsys.readouterr().out
    assert "SparseModes\n  2 modes, held-out R2" in said
    assert "function: nc.SparseModes.fit" in said
    assert max(map(len, said[said.index("provenance") :].splitlines())) <= 100


def test_a_reader_who_has_had_enough_is_not_shown_a_traceback(files):
    with subprocess.Popen(
        [sys.executable, "-m", "neurocodec", "info", str(files / "movie.nc")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 0


def test_info_of_something_else(tmp_path, capsys):
    (tmp_path / "notes.nc").write_text("not a result")
    assert main(["info", str(tmp_path / "notes.nc")]) == FAILED
    assert "cannot be read" in capsys.readouterr().err


def test_python_m_neurocodec_and_a_quick_help():
    code = (
        "import sys; from neurocodec.cli.parser import parser;"
        " parser(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "neurocodec", "retina", "--help"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("usage: neurocodec retina")
    assert "--movie" in done.stdout
