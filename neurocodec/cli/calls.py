"""The options of a run, kept in its folder, so that it can be looked at again."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from neurocodec.errors import InputError
from neurocodec.storage.files import whole_file

CALL: Final = "call.json"
_NOT_KEPT: Final = {"run", "out", "quiet", "explorer"}
_PLACES: Final = ("images", "labels", "weights", "hierarchy", "network")
"""Options that may be files, which are found from any folder."""

_OPTIONS: Final = "the options of a run"


def note_call(options: argparse.Namespace) -> None:
    """Write the options of a run into its folder."""
    kept = {k: x for k, x in vars(options).items() if k not in _NOT_KEPT}
    kept |= {name: _absolute(kept[name]) for name in _PLACES if kept.get(name)}
    with whole_file(options.out / CALL) as scratch:
        scratch.write_text(json.dumps(kept, indent=1, sort_keys=True), "utf-8")


def noted_call(folder: Path) -> dict[str, Any]:
    """Read the options of a finished run."""
    path = folder / CALL
    hint = "neurocodec images ... --explorer, the command of that run once more; it goes on"
    if (folder / "concepts.html").is_file():
        raise InputError(
            came=f"{str(folder)!r}, which neurocodec concepts wrote",
            expected="the folder of neurocodec images that is finished",
            hint=f"open {str(folder / 'concepts.html')!r}, its own page, in a browser",
        )
    if not path.is_file():
        raise InputError(
            came=f"{str(folder)!r}, which has no {CALL}",
            expected="the folder of neurocodec images that is finished",
            hint=hint,
        )
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(
            came=f"{str(path)!r}, which cannot be read: {error}", expected=_OPTIONS, hint=hint
        ) from error
    if not isinstance(found, dict) or not {"network", "images"} <= {*found}:
        raise InputError(
            came=f"{str(path)!r}, which cannot be read: no network and images in it",
            expected=_OPTIONS,
            hint=hint,
        )
    return found


def _absolute(text: str) -> str:
    """Path of a file from any folder; of FILE.py:FUNCTION too; names stay names."""
    place, colon, name = text.rpartition(":") if ".py:" in text else (text, "", "")
    path = Path(place).expanduser()
    return f"{path.resolve()}{colon}{name}" if path.exists() else text
