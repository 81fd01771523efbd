"""Results in and out of files: netCDF and Zarr, whole files or none, runs that can be resumed."""

from neurocodec.storage.files import open, save  # noqa: A004 - reads as nc.open
from neurocodec.storage.runs import RunWriter

__all__ = ["RunWriter", "open", "save"]
