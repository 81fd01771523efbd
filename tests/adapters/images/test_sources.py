"""Where images come from."""

from PIL import Image

from neurocodec.adapters.images.sources import list_images


def test_folders_are_classes(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (2, 2)).save(tmp_path / name / "1.png")
    found = list_images(tmp_path)
    assert found.sources == ("cat/1.png", "dog/1.png")
    assert found.labels == ("cat", "dog")
