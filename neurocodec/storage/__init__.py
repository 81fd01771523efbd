"""Results in and out of files: whole or not there, exact, resumable.

- `claims`: one writer at a time: a lock that goes with the process that has it
- `columns`: text of any kind, categories and nullable numbers, as numpy's own
- `decoding`: the labelled object that a file holds, from its groups of plain arrays
- `encoding`: any labelled object as groups of plain arrays, the same for every file format
- `files`: `nc.open`, `nc.save`: whole files or none; folders, chunks
- `formats`: netCDF and Zarr: groups of plain arrays into a new file, and lazily out of it
- `parts`: parts of a run on disk: numbered files of rows, and how they become one result
- `regions`: runs that several processes write: one Zarr store, in which each writes its ranges of
  samples
- `runs`: runs whose results are written as they come, and that go on where they were killed
"""

from neurocodec.storage.files import open, save  # noqa: A004 - reads as nc.open
from neurocodec.storage.runs import RunWriter

__all__ = ["RunWriter", "open", "save"]
