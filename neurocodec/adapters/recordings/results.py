"""Recordings that `nc.save` wrote: as they were, with the stimulus left in its file."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.arrays import DATA, WHOLE
from neurocodec.adapters.recordings.lazy import stored_variable
from neurocodec.errors import InputError
from neurocodec.storage.decoding import decode
from neurocodec.storage.files import damage_reported
from neurocodec.storage.formats import format_of


def read_result(path: Path) -> xr.DataTree:
    """Recording that `nc.save` wrote; a Dataset becomes the only child, "recording"."""
    form = format_of(path)
    with damage_reported(path):
        groups = form.read(path)
        try:
            kept = {where: _loaded(path, where, group) for where, group in groups.items()}
        finally:
            for group in groups.values():
                group.close()
        found = decode(kept)
    if isinstance(found, xr.Dataset):
        found = xr.DataTree(children={WHOLE: xr.DataTree(found)})
    if isinstance(found, xr.DataTree):
        if any({*DATA} & {*node.data_vars} for node in found.subtree):
            return found
        raise InputError(
            came=f"{str(path)!r}, a result of neurocodec without a stimulus and responses",
            expected=f"some of {', '.join(map(repr, DATA))}",
            hint="nc.open(path) reads it",
        )
    raise InputError(
        came=f"{str(path)!r}, in which nc.save put a {type(found).__name__}",
        expected="a recording: a Dataset or DataTree with 'stimulus' and responses",
        hint="nc.open(path) reads it",
    )


def _loaded(path: Path, where: str, group: xr.Dataset) -> xr.Dataset:
    """Everything in memory but the frames of an HDF5 file."""
    lazy = {}
    if path.is_file() and v.STIMULUS in group and group[v.STIMULUS].dtype.kind in "fiu":
        found = group[v.STIMULUS].variable
        dims = tuple(map(str, found.dims))
        lazy[v.STIMULUS] = stored_variable(path, f"{where}/{v.STIMULUS}", dims, found.attrs)
    rest = group.drop_vars(list(lazy)).load()
    return rest.assign(lazy)[[*group.data_vars]].assign_attrs(group.attrs)
