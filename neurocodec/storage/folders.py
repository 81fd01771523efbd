"""Folders for results."""

from __future__ import annotations

from pathlib import Path

from neurocodec.errors import StorageError


def existing_folder(path: str | Path) -> Path:
    """Make a folder where there is none.

    Parameters
    ----------
    path
        Of the folder; its parents are made too.

    Raises
    ------
    StorageError
        Where something else is there, or it may not be made.

    Examples
    --------
    >>> existing_folder(".").is_dir()
    True
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            came=f"the folder {str(folder)!r}, which cannot be made: {error.strerror}",
            expected="a folder that can be written to",
            hint="another folder",
        ) from error
    return folder
