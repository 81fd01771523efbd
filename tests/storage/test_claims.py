"""Two writers of one folder: the second is refused; a killed one is no obstacle."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from places import importable

from neurocodec.errors import StorageError
from neurocodec.storage import RunWriter
from neurocodec.storage.claims import FILES, Claim

WAITING = """
import sys
from pathlib import Path
from neurocodec.storage.claims import Claim
claim = Claim(Path(sys.argv[1]), "the run")
sys.stdout.write("ready")
sys.stdout.flush()
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, str(tmp_path)],
        env=importable(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as first:
        assert first.stdout.read(5) == b"ready"
        with pytest.raises(StorageError) as error:
            Claim(tmp_path, "the run")
        told = f"by process {first.pid} on {re.escape(socket.gethostname())} since "
        assert re.search(told + r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", str(error.value))
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    Claim(tmp_path, "the run").release()


def test_a_second_thread_is_refused(tmp_path: Path) -> None:
    with (
        RunWriter(tmp_path / "run.nc", facts={}, size=2),
        ThreadPoolExecutor(1) as pool,
        pytest.raises(StorageError, match=f"by process {os.getpid()} on"),
    ):
        pool.submit(RunWriter, tmp_path / "run.nc", facts={}, size=2).result()
    with RunWriter(tmp_path / "run.nc", facts={}, size=2) as run:
        assert run.missing(2) == [slice(0, 2)]


def test_what_refuses_a_run_leaves_it_free(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "run.nc", facts={"a": 1}, size=2):
        pass
    with pytest.raises(StorageError, match="a was 1, is 2"):
        RunWriter(tmp_path / "run.nc", facts={"a": 2}, size=2)
    with RunWriter(tmp_path / "run.nc", facts={"a": 1}, size=2):
        pass


def test_a_forked_child_does_not_keep_the_claim(tmp_path: Path) -> None:
    claim = Claim(tmp_path, "the run")
    child = os.fork()
    if not child:
        signal.pause()
    try:
        claim.release()
        Claim(tmp_path, "the run").release(remove=True)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert not FILES & {p.name for p in tmp_path.iterdir()}
