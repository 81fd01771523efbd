"""Image files as RGB images, and whether they are whole."""

from pathlib import Path

import numpy as np
from PIL import Image

from neurocodec.adapters.images.decoding import as_rgb, decode, file_end, find_broken, reason


def test_grey_is_read_as_rgb(tmp_path):
    Image.new("L", (2, 1), 7).save(tmp_path / "grey.png")
    assert decode(tmp_path / "grey.png").getpixel((0, 0)) == (7, 7, 7)


def test_a_reason_is_one_line():
    assert reason(OSError("image file is truncated")) == "image file is truncated"
    assert reason(OSError("first\nsecond")) == "first"


def test_sixteen_bits_become_eight():
    white = Image.fromarray(np.full((1, 1), 65535, np.uint16))
    assert as_rgb(white).getpixel((0, 0)) == (255, 255, 255)


def test_what_cannot_be_opened_is_broken():
    assert find_broken([Path("missing.png")]) == {
        0: "[Errno 2] No such file or directory: 'missing.png'"
    }


def test_an_empty_file_has_an_empty_end(tmp_path):
    (tmp_path / "empty").touch()
    assert file_end(tmp_path / "empty") == b""
