"""sdist -> wheel -> a fresh environment -> the main job, none of it from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from places import ROOT

import neurocodec as nc

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """Output of a command that sees nothing of this process's paths."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the sdist, and the wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def environment(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it.

    The dependencies are those of the environment that runs the tests: a line in a .pth file adds
    its folder to the path, but not the editable neurocodec, which is a .pth file there. `.ci/run`
    installs all of them anew.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    wheel = next(distributions.glob("*.whl"))
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index")
    run(*pip, "--quiet", wheel, cwd=folder)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    Path(site.strip(), "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_wheel_holds_the_package_its_models_and_datasets(distributions: Path) -> None:
    with zipfile.ZipFile(next(distributions.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"neurocodec", f"neurocodec-{nc.__version__}.dist-info"}
    for kind in ("models", "datasets"):
        tracked = {p.relative_to(ROOT) for p in (ROOT / kind).rglob("*") if p.is_file()}
        wanted = {f"neurocodec/{p}" for p in tracked if "__pycache__" not in p.parts}
        assert wanted <= {*names}
        assert wanted
    assert {"neurocodec/py.typed", "neurocodec/__init__.pyi"} <= {*names}
    assert not [name for name in names if name.endswith((".pyc", ".pkl", ".pt"))]


def test_sdist_holds_what_the_tests_need(distributions: Path) -> None:
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as sdist:
        tops = {Path(name).parts[1] for name in sdist.getnames() if len(Path(name).parts) > 1}
    assert {"neurocodec", "tests", "models", "datasets", "pyproject.toml", "LICENSE"} <= tops
    assert {"README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md"} <= tops
    assert not tops & {".venv", ".git", ".hypothesis"}


def test_versions_agree(environment: Path) -> None:
    code = "import neurocodec as nc; print(nc.__version__, nc.__file__)"
    version, file = run(environment / "bin" / "python", "-c", code, cwd=environment).split()
    assert version == PROJECT["version"] == nc.__version__
    assert Path(file).is_relative_to(environment)
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.slow
def test_main_job_runs_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    """On a second of the movie and with a mode for each of eight channels; `.ci/run` does more."""
    out = tmp_path / "retina"
    short = ("--duration", "1", "--layers", "layer2", "--expansion", "1", "--moments", "5")
    run(environment / "bin" / "neurocodec", "retina", *short, "--out", out, cwd=tmp_path)
    assert (out / "report.html").stat().st_size > 10_000
    tree = nc.open(out / "contributions.nc")
    assert float(tree["time"][-1] - tree["time"][0]) < 1
    for file in out.glob("*.nc"):
        assert nc.open(file) is not None


def test_only_torch_and_friends_are_in_the_base_install() -> None:
    """Extras stay out of the base install; what image adapters and netCDF need is in it."""
    base = " ".join(PROJECT["dependencies"])
    assert {"torchvision", "netCDF4"} <= {d.partition(">")[0] for d in PROJECT["dependencies"]}
    for extra in ("zarr", "dask", "pynwb", "timm", "captum", "pytest"):
        assert extra not in base
        assert any(extra in " ".join(v) for v in PROJECT["optional-dependencies"].values())
    for friend in ("torch", "torchvision", "netCDF4"):
        assert any(line.startswith(f"{friend}>=") for line in PROJECT["dependencies"])


WITHOUT_EXTRAS = """
import sys
sys.modules |= dict.fromkeys(("zarr", "dask", "distributed", "pynwb", "timm"))
import numpy as np
import PIL.Image
import neurocodec as nc
for i in range(3):
    PIL.Image.fromarray(np.full((40, 40, 3), 80 * i, np.uint8)).save(f"{i}.png")
net = nc.adapters.torchvision("resnet18")
images = nc.images(".", net)
target = nc.targets.Output("tench")
method = nc.methods.InputGrad()
contributions = nc.contributions(net, images, target=target, method=method, progress=False)
nc.save(contributions, "contributions.nc")
assert nc.open("contributions.nc").identical(contributions)
"""


@pytest.mark.slow
def test_images_and_netcdf_need_no_extra(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
