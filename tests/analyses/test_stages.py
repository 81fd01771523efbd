"""Results that are kept, and made again where they were made from something else."""

import pytest
import xarray as xr

from neurocodec import storage
from neurocodec.analyses.stages import RECORD, Stages
from neurocodec.errors import StorageError


def counted(values):
    """A maker that takes the next of some values, and fails when there are none left."""
    left = iter(values)
    return lambda: xr.DataArray(next(left), name="target")


def test_the_same_facts_are_made_once(tmp_path):
    make = counted([1.0])
    assert [float(Stages(tmp_path).keep("a.nc", {"seed": 0}, make)) for _ in range(3)] == [1.0] * 3


def test_a_second_look_reads_the_file(tmp_path):
    for _ in range(2):
        made = Stages(tmp_path).keep("one.nc", {"seed": 0}, lambda: xr.DataArray(1.0))
    assert float(made) == 1.0
    assert (tmp_path / "one.nc").exists()


def test_other_facts_are_made_again(tmp_path):
    make = counted([1.0, 2.0, 3.0])
    stages = Stages(tmp_path)
    found = [float(stages.keep("a.nc", {"seed": seed}, make)) for seed in (0, 1, 1, 0)]
    assert found == [1.0, 2.0, 2.0, 3.0]


def test_what_failed_is_not_kept(tmp_path):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Stages(tmp_path).keep("a.nc", {}, fail)
    assert float(Stages(tmp_path).keep("a.nc", {}, counted([4.0]))) == 4.0


def test_a_deleted_file_is_made_again(tmp_path):
    make = counted([1.0, 2.0])
    Stages(tmp_path).keep("modes/a.nc", {}, make)
    (tmp_path / "modes/a.nc").unlink()
    stages = Stages(tmp_path)
    assert float(stages.keep("modes/a.nc", {}, make)) == 2.0
    assert stages.files == ["modes/a.nc"]


def test_a_killed_write_leaves_no_record(tmp_path):
    """The record follows the file: a file without a record is not trusted."""
    make = counted([1.0, 2.0])
    Stages(tmp_path).keep("a.nc", {}, make)
    (tmp_path / RECORD).unlink()
    assert float(Stages(tmp_path).keep("a.nc", {}, make)) == 2.0


def test_a_file_that_was_made_again_and_killed_stands_for_nothing(tmp_path, monkeypatch):
    """Between the file and its record: the file is of the new facts, the record of the old."""
    make, save = counted([1.0, 2.0, 3.0]), storage.save
    Stages(tmp_path).keep("a.nc", {"seed": 0}, make)

    def save_and_die(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(storage, "save", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            Stages(tmp_path).keep("a.nc", {"seed": 1}, make)
    assert float(Stages(tmp_path).keep("a.nc", {"seed": 0}, make)) == 3.0


@pytest.mark.parametrize("text", ["{", "[1, 2]", "3"])
def test_a_damaged_record_is_told(tmp_path, text):
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(StorageError, match="delete"):
        Stages(tmp_path).keep("a.nc", {}, counted([1.0]))


def test_without_a_folder_nothing_is_kept():
    make = counted([1.0, 2.0])
    assert [float(Stages(None).keep("a.nc", {}, make)) for _ in range(2)] == [1.0, 2.0]
