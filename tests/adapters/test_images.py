"""Images that stay in their files: what is decoded, in which order, with which label; errors."""

import csv
import io
import logging
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, WeightedRandomSampler

import neurocodec as nc
from neurocodec.adapters.images.decoding import as_rgb, find_broken
from neurocodec.adapters.images.images import ImageArray
from neurocodec.adapters.images.sources import Images

HEIGHT, WIDTH = 6, 5


def plain(image):
    """PIL -> (color, y, x) of 0..255, by numpy alone."""
    return np.asarray(image, "float32").transpose(2, 0, 1)


def pixels(value, height=HEIGHT, width=WIDTH):
    """Noise around a value, so that no two images are alike."""
    noise = np.random.default_rng(value).integers(0, 20, (height, width, 3))
    return (value + noise).astype("uint8")


def write(path, value=10, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(value)).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two classes; a file name that both have; text beside the images."""
    for value, name in enumerate(("dog/b.png", "dog/a.png", "cat/a.png", "cat/deep/c.PNG")):
        write(tmp_path / "photos" / name, 10 * value)
    Path(tmp_path, "photos", "cat", "notes.txt").write_text("no image")
    return tmp_path / "photos"


def network(outputs=("cat", "dog"), **options):
    return nc.Network(nn.Linear(2, len(outputs)), [], outputs=outputs, **options)


def truncated(path, name="cut.jpg"):
    """A JPEG file of which the second half is missing."""
    file = path / name
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    file.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    return file


def garbled(path):
    """A PNG file with a whole end and damaged pixels."""
    data = bytearray(write(path).read_bytes())
    start = data.index(b"IDAT") + 8
    data[start : start + 20] = bytes(20)
    path.write_bytes(data)
    return path


def test_an_array_has_the_shape_of_its_first_image():
    array = ImageArray(Images(("0",), dataset=[np.ones((1, 2, 2))], places=(0,)), [0])
    assert array.shape == (1, 1, 2, 2)
    assert array.dtype == np.float32


def test_folder_of_classes_in_order(folder):
    stimulus = nc.images(folder, preprocessing=plain)
    names = ["cat/a.png", "cat/deep/c.PNG", "dog/a.png", "dog/b.png"]
    assert stimulus.source.values.tolist() == names
    assert stimulus.label.values.tolist() == ["cat", "cat", "dog", "dog"]
    assert stimulus.dims == ("stimulus", "color", "y", "x")
    assert stimulus.dtype == np.float32
    assert stimulus.name == "stimulus"
    assert stimulus.file_size.values.tolist() == [(folder / n).stat().st_size for n in names]
    expected = [plain(pixels(value)) for value in (20, 30, 10, 0)]
    np.testing.assert_array_equal(stimulus.values, expected)
    assert nc.labels.provenance(stimulus)["preprocessing"] == "<function plain>"


def test_only_what_is_asked_for_is_decoded(folder):
    seen = []

    def watched(image):
        seen.append(image.getpixel((0, 0)))
        return plain(image)

    stimulus = nc.images(folder, preprocessing=watched)
    seen.clear()
    assert stimulus.isel(stimulus=slice(1, 3)).isel(color=0).values.shape == (2, HEIGHT, WIDTH)
    assert len(seen) == 2
    stimulus.isel(stimulus=-1).sel(color="red").load()
    assert len(seen) == 3


def slices(size):
    """Slices that select something: xarray itself fails at empty ones with a negative step."""
    return st.slices(size).filter(lambda s: len(range(*s.indices(size))))


def places(size):
    lists = st.lists(st.integers(-size, size - 1), min_size=1, max_size=5)
    return st.one_of(st.integers(-size, size - 1), slices(size), lists.map(np.array))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(row=places(4), color=places(3), y=slices(HEIGHT), x=places(WIDTH))
def test_indexing_is_that_of_an_array(folder, row, color, y, x):
    lazy = nc.images(folder, preprocessing=plain, check=False)
    picked = {"stimulus": row, "color": color, "y": y, "x": x}
    np.testing.assert_array_equal(lazy.isel(picked).values, lazy.load().isel(picked).values)


def test_torchvision_agrees_on_files_labels_and_pixels(folder):
    datasets = pytest.importorskip("torchvision.datasets")
    from torchvision.transforms import v2

    transform = v2.Compose([v2.Resize((4, 4)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    reference = datasets.ImageFolder(folder, transform)
    for source in (reference, DataLoader(reference, batch_size=3)):
        stimulus = nc.images(source)
        np.testing.assert_array_equal(stimulus.values, [image.numpy() for image, _ in reference])
        names = [reference.classes[i] for i in reference.targets]
        assert stimulus.label.values.tolist() == names
        listed = [Path(file).relative_to(folder).as_posix() for file, _ in reference.samples]
        assert stimulus.source.values.tolist() == listed
    from_folder = nc.images(folder, preprocessing=transform)
    assert from_folder.source.values.tolist() == listed
    net = network(preprocessing=plain)
    assert nc.images(reference, net).shape[2:] == (HEIGHT, WIDTH)  # the network's comes first


def test_workers_and_threads_read_the_same(folder):
    stimulus = nc.images(folder, preprocessing=plain)
    expected = [plain(pixels(value)) for value in (20, 30, 10, 0)]

    class Blocks(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, place):
            return torch.from_numpy(stimulus.isel(stimulus=place).values)

    read = torch.cat(list(DataLoader(Blocks(), batch_size=2, num_workers=2)))
    np.testing.assert_array_equal(read, expected)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda i: stimulus.isel(stimulus=i).values, range(4)))
    np.testing.assert_array_equal(read, expected)
    copy = pickle.loads(pickle.dumps(stimulus))  # noqa: S301 - as spawned workers and Dask get it
    np.testing.assert_array_equal(copy.values, expected)


def test_a_loaded_part_is_saved_and_opened(folder, tmp_path):
    part = nc.images(folder, preprocessing=plain).isel(stimulus=slice(1, 3))
    nc.save(part, tmp_path / "part.nc")
    assert nc.open(tmp_path / "part.nc").identical(part.load())


GREY = np.array([[0, 100], [200, 255]], "uint8")


def test_grey_palette_transparent_and_deep_images_become_rgb(tmp_path):
    cases = {
        "L": Image.fromarray(GREY),
        "LA": Image.merge("LA", [Image.fromarray(GREY), Image.new("L", (2, 2), 9)]),
        "RGBA": Image.merge("RGBA", [Image.fromarray(GREY)] * 3 + [Image.new("L", (2, 2), 9)]),
        "P": Image.fromarray(GREY).convert("RGB").quantize(4),
        "16": Image.fromarray(GREY.astype("uint16") * 257),
    }
    for name, image in cases.items():
        image.save(tmp_path / f"{name}.png")
    cases["P"].save(tmp_path / "P2.png", transparency=bytes([9, 8, 7, 6]))
    stimulus = nc.images(tmp_path, preprocessing=plain)
    assert stimulus.sizes["stimulus"] == 6
    np.testing.assert_array_equal(stimulus.values, np.broadcast_to(GREY, (6, 3, 2, 2)))


def test_cmyk_and_black_and_white(tmp_path):
    Image.new("CMYK", (2, 2), (255, 0, 0, 0)).save(tmp_path / "cyan.jpg", quality=100)
    Image.new("1", (2, 2), 1).save(tmp_path / "white.png")
    stimulus = nc.images(tmp_path, preprocessing=plain)
    np.testing.assert_allclose(stimulus.sel(stimulus=0).mean(("y", "x")), [0, 255, 255], atol=2)
    assert (stimulus.sel(stimulus=1) == 255).all()


@pytest.mark.parametrize("values", [np.ones((2, 2), "float32"), np.full((2, 2), 70_000, "int32")])
def test_values_of_unknown_range_are_broken(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "deep.tif")
    with pytest.raises(nc.errors.InputError, match=r"'deep.tif' \(.*range is not known"):
        nc.images(tmp_path, preprocessing=plain)


def test_broken_files_are_found_before_the_start(folder, caplog):
    truncated(folder / "cat")
    Path(folder, "dog", "empty.png").touch()
    Path(folder, "dog", "text.jpg").write_text("no image")
    with pytest.raises(nc.errors.InputError) as caught:
        nc.images(folder, preprocessing=plain)
    for name in ("3 of 7", "cat/cut.jpg", "truncated", "dog/empty.png", "dog/text.jpg"):
        assert name in str(caught.value)
    with caplog.at_level(logging.WARNING):
        stimulus = nc.images(folder, preprocessing=plain, broken="skip")
    assert "3 of 7 image files are broken and left out" in caplog.text
    assert stimulus.stimulus.values.tolist() == [0, 2, 3, 4]  # places in the source do not shift
    assert stimulus.label.values.tolist() == ["cat", "cat", "dog", "dog"]
    np.testing.assert_array_equal(stimulus.values, [plain(pixels(v)) for v in (20, 30, 10, 0)])


def test_the_quick_look_agrees_with_decoding(tmp_path):
    """A file is called whole where decoding it succeeds, whatever comes behind its end."""
    files = [
        write(tmp_path / f"{e}.{e}") for e in ("jpg", "png", "webp", "bmp", "gif", "ppm", "tif")
    ]
    longer = tmp_path / "longer.jpg"
    longer.write_bytes(files[0].read_bytes() + b"\0" * 100)
    trailing = tmp_path / "trailing.jpg"
    trailing.write_bytes(files[0].read_bytes() + b"from a camera")
    assert find_broken([*files, longer, trailing]) == {}
    for file in files:
        data = file.read_bytes()
        file.write_bytes(data[: len(data) * 2 // 3])
    assert set(find_broken(files)) == set(range(len(files)))


def test_damage_inside_a_file_shows_when_it_is_decoded(folder, caplog):
    garbled(folder / "cat" / "b.png")
    stimulus = nc.images(folder, preprocessing=plain)
    stimulus.isel(stimulus=slice(2, None)).load()
    with pytest.raises(nc.errors.InputError, match="cat/b.png"):
        stimulus.isel(stimulus=slice(0, 2)).load()
    with caplog.at_level(logging.WARNING):
        values = nc.images(folder, preprocessing=plain, broken="skip").values
    assert caplog.text.count("cat/b.png") == 1
    assert np.isnan(values[1]).all()
    expected = [plain(pixels(v)) for v in (20, 30, 10, 0)]
    np.testing.assert_array_equal(np.delete(values, 1, 0), expected)


def test_contributions_leave_skipped_images_out(folder, tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2))
    net = nc.Network(module, ["1"], outputs=["cat", "dog"], preprocessing=plain)

    def ran(**options):
        stimulus = nc.images(folder, net, broken="skip")
        return nc.contributions(
            net, stimulus, target=nc.targets.TopK(1), progress=False, batch_size=2, **options
        )

    whole = ran()
    garbled(folder / "cat" / "b.png")
    for tree in (ran(), ran(out=tmp_path / "run.nc")):
        assert tree.source.values.tolist() == whole.source.values.tolist()
        assert tree.label.values.tolist() == ["cat", "cat", "dog", "dog"]
        assert tree.stimulus.values.tolist() == [0, 2, 3, 4]
        np.testing.assert_allclose(tree["1/contribution"], whole["1/contribution"], rtol=1e-5)


def test_a_first_image_that_is_broken_is_skipped_too(folder):
    garbled(folder / "cat" / "A.png")
    stimulus = nc.images(folder, preprocessing=plain, broken="skip", check=False)
    assert stimulus.shape == (5, 3, HEIGHT, WIDTH)
    with pytest.raises(nc.errors.InputError, match=r"cat/A.png"):
        nc.images(folder, preprocessing=plain)


def test_nothing_but_broken_images(tmp_path):
    truncated(tmp_path)
    with pytest.raises(nc.errors.InputError, match="1 of 1"):
        nc.images(tmp_path, preprocessing=plain, broken="skip")
    with pytest.raises(nc.errors.InputError, match="no image that can be decoded"):
        nc.images(tmp_path, preprocessing=plain, broken="skip", check=False)


def test_folders_without_images(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(nc.errors.InputError, match="no files"):
        nc.images(tmp_path / "empty", preprocessing=plain)
    (tmp_path / "empty" / "a.heic").touch()
    (tmp_path / "empty" / "README").touch()
    with pytest.raises(nc.errors.InputError, match="1 of no ending, 1 of .heic"):
        nc.images(tmp_path / "empty", preprocessing=plain)
    (folder / "owl").mkdir()
    with pytest.raises(nc.errors.InputError, match="1 of 3 class folders .* 'owl'"):
        nc.images(folder, preprocessing=plain)
    (folder / "owl").rmdir()
    write(folder / "beside.png")
    with pytest.raises(nc.errors.InputError, match="1 images beside subfolders with 4"):
        nc.images(folder, preprocessing=plain)
    with pytest.raises(nc.errors.InputError, match="do not exist: 'nowhere'"):
        nc.images("nowhere", preprocessing=plain)


def test_files_of_the_same_name_keep_apart(folder):
    files = [folder / "dog" / "a.png", str(folder / "cat" / "a.png")]
    labels = {"cat/a.png": "tabby", "dog/a.png": "pug"}
    stimulus = nc.images(files, labels=labels, preprocessing=plain)
    assert stimulus.source.values.tolist() == ["dog/a.png", "cat/a.png"]
    assert stimulus.label.values.tolist() == ["pug", "tabby"]
    with pytest.raises(nc.errors.InputError, match="without a row"):
        nc.images(files, labels={"a.png": "tabby"}, preprocessing=plain)
    with pytest.raises(nc.errors.InputError, match="more than once"):
        nc.images([*files, folder / "cat" / ".." / "dog" / "a.png"], preprocessing=plain)


def test_lists(folder):
    one = nc.images(folder / "dog" / "b.png", preprocessing=plain)
    assert one.source.values.tolist() == ["b.png"]
    assert "label" not in one.coords
    for wrong, message in (([], "empty list"), ([folder / "x.png"], "do not exist"), (3, "int")):
        with pytest.raises(nc.errors.InputError, match=message):
            nc.images(wrong, preprocessing=plain)
    with pytest.raises(nc.errors.InputError, match="2 labels for 1 images"):
        nc.images([folder / "dog" / "b.png"], labels=["a", "b"], preprocessing=plain)


def table(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_labels_from_a_table(folder, tmp_path):
    path = tmp_path / "labels.csv"
    rows = [["file", "class_index", "class_name"], ["dog/b.png", 1, "dog"], ["dog/a.png", 1, "dog"]]
    rows += [["cat/a.png", 0, "cat"], ["c.PNG", 0, "cat"]]
    labels = nc.images(folder, labels=table(path, rows), preprocessing=plain).label.values
    assert labels.tolist() == ["cat", "cat", "dog", "dog"]
    for changed, message in (
        (rows[:-1], r"1 of 4 images without a row .* 'cat/deep/c.PNG'"),
        ([*rows, ["owl.png", 2, "owl"]], r"1 rows of .* without an image: 'owl.png'"),
        ([*rows, ["dog/a.png", 0, "cat"]], "two labels of 'dog/a.png'"),
        ([["name", "class"], ["dog/b.png", "dog"]], r"columns \['class', 'name'\]"),
        ([rows[0], ["dog/b.png", "", ""]], "label None"),
        ([rows[0], ["dog/b.png", "-1", ""]], "'-1'"),
        ([], r"columns \[\]"),
    ):
        with pytest.raises(nc.errors.InputError, match=message):
            nc.images(folder, labels=table(path, changed), preprocessing=plain)
    with pytest.raises(nc.errors.InputError, match="cannot be read"):
        nc.images(folder, labels=tmp_path / "missing.csv", preprocessing=plain)
    chosen = nc.images([folder / "dog" / "b.png"], labels=table(path, rows), preprocessing=plain)
    assert chosen.label.values.tolist() == ["dog"]  # a table may have more than a list


def test_labels_become_the_categories_of_the_network(folder, caplog):
    ids = ["n02123045", "n02110958"]
    net = network(("tabby", "pug"), output_coords={"wordnet_id": ids}, preprocessing=plain)
    for labels in (
        ["tabby", "n02123045", "pug", 1],
        [0, 0, 1, 1],
        ["0", "tabby", "1", "n02110958"],
    ):
        found = nc.images(folder, net, labels=labels).label.values.tolist()
        assert found == ["tabby", "tabby", "pug", "pug"]
    assert not caplog.records
    named = nc.images(folder, net, labels=["tabby", "owl", "pug", "owl"]).label.values.tolist()
    assert named == ["tabby", "owl", "pug", "owl"]
    assert "2 of 4 labels are none of the 2 categories" in caplog.text
    for beyond in (2, -1, "7"):
        with pytest.raises(nc.errors.InputError, match=f"class index {beyond}\n.*0 to 1"):
            nc.images(folder, net, labels=[0, 0, 0, beyond])


def test_index_and_name_of_a_table_are_compared(folder, tmp_path, caplog):
    rows = [["file", "class_index", "class_name"]]
    rows += [[f"{name}", 0, "cat"] for name in ("cat/a.png", "cat/deep/c.PNG")]
    rows += [[f"dog/{name}.png", 1, "hound"] for name in "ab"]
    path = table(tmp_path / "labels.csv", rows)
    net = network(preprocessing=plain)
    assert nc.images(folder, net, labels=path).label.values.tolist() == ["cat"] * 2 + ["dog"] * 2
    assert "'hound' is 'dog'" in caplog.text
    table(path, [[*row[:2], row[2].replace("hound", "cat")] for row in rows])
    with pytest.raises(nc.errors.InputError, match="class 'cat' and the class index 1.*'dog'"):
        nc.images(folder, net, labels=path)


def test_data_sets_without_files(caplog):
    values = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    dataset = TensorDataset(values, torch.tensor([0, 1, 1, 0, 1]))
    stimulus = nc.images(dataset, network())
    np.testing.assert_array_equal(stimulus.values, values)
    assert stimulus.label.values.tolist() == ["cat", "dog", "dog", "cat", "dog"]
    assert stimulus.source.values.tolist()[-1] == "TensorDataset[4]"
    part = nc.images(DataLoader(Subset(dataset, [4, 0]), shuffle=True, drop_last=True), network())
    np.testing.assert_array_equal(part.values, values[[4, 0]])
    assert part.label.values.tolist() == ["dog", "cat"]
    assert "shuffles" in caplog.text
    assert "last batch" in caplog.text
    other = nc.images(TensorDataset(values + 1, dataset.tensors[1]), network())
    identity = [nc.labels.provenance(x)["samples_sha256"] for x in (stimulus, other)]
    assert identity[0] != identity[1]


def test_data_sets_that_are_refused():
    dataset = TensorDataset(torch.rand(2, 3, 4, 4))
    loader = DataLoader(dataset, sampler=WeightedRandomSampler([1.0, 2.0], 2))
    with pytest.raises(nc.errors.InputError, match="WeightedRandomSampler"):
        nc.images(loader)
    batches = DataLoader(dataset, batch_sampler=[[1], [0]])
    with pytest.raises(nc.errors.InputError, match="with a list"):
        nc.images(batches)
    for size, message in ((0, "empty"), (1, "without a preprocessing")):
        with pytest.raises(nc.errors.InputError, match=message):
            nc.images(Subset([(Image.new("RGB", (2, 2)), 0)] * size, range(size)))

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(dataset)

    with pytest.raises(nc.errors.InputError, match="Stream"):
        nc.images(DataLoader(Stream()))


def test_preprocessing_is_needed_and_repeatable_and_of_one_size(folder):
    with pytest.raises(nc.errors.InputError, match="without a preprocessing"):
        nc.images(folder)
    rng = np.random.default_rng(0)
    with pytest.raises(nc.errors.InputError, match="draws random|other values of the same"):
        nc.images(folder, preprocessing=lambda image: plain(image) + rng.normal())
    with pytest.raises(nc.errors.InputError, match=r"shape \(6, 5, 3\)"):
        nc.images(folder, preprocessing=np.asarray)
    Image.fromarray(pixels(3, width=9)).save(folder / "dog" / "wide.png")
    stimulus = nc.images(folder, preprocessing=plain)
    with pytest.raises(nc.errors.InputError, match=r"dog/wide.png.*\n.*\(3, 6, 5\)"):
        stimulus.load()


def test_options_are_checked(folder):
    with pytest.raises(nc.errors.UnknownNameError, match="'skip'"):
        nc.images(folder, preprocessing=plain, broken="skp")
    with pytest.raises(nc.errors.InputError, match="which sees movies"):
        nc.images(folder, network(history=4), preprocessing=plain)


def test_torchvision_is_not_needed(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert nc.images(folder, preprocessing=plain).sizes["stimulus"] == 4


def test_rgb_of_an_rgb_image_is_itself():
    values = pixels(3)
    np.testing.assert_array_equal(np.asarray(as_rgb(Image.fromarray(values))), values)


def test_labels_that_have_no_order_or_are_no_labels(folder):
    for wrong in ({"a", "b", "c", "d"}, 3, (x for x in "abcd")):
        with pytest.raises(nc.errors.InputError, match="no order or no length"):
            nc.images(folder, labels=wrong, preprocessing=plain)
    for wrong in (1.0, ("cat", "feline")):
        with pytest.raises(nc.errors.InputError, match="the label "):
            nc.images(folder, labels=["cat", "cat", "dog", wrong], preprocessing=plain)


def test_labels_of_torch_and_xarray_are_whole_numbers(folder):
    net = network(preprocessing=plain)
    for labels in (torch.tensor([0, 0, 1, 1]), xr.DataArray([0, 0, 1, 1]), np.array([0, 0, 1, 1])):
        assert (
            nc.images(folder, net, labels=labels).label.values.tolist() == ["cat"] * 2 + ["dog"] * 2
        )


def test_two_labels_of_one_file_under_two_names(folder):
    files = {"cat/a.png": "cat", "c.PNG": "cat", "dog/a.png": "dog", "dog/b.png": "dog"}
    with pytest.raises(nc.errors.InputError, match="two labels of 'dog/b.png'"):
        nc.images(folder, labels=files | {"b.png": "cat"}, preprocessing=plain)
    nc.images(folder, labels=files | {"b.png": "dog"}, preprocessing=plain)


def test_links_that_lead_back_or_nowhere(folder, caplog):
    (folder / "cat" / "again").symlink_to(folder, target_is_directory=True)
    (folder / "dog" / "gone.png").symlink_to("nowhere.png")
    stimulus = nc.images(folder, preprocessing=plain, broken="skip")
    assert stimulus.sizes["stimulus"] == 4
    late = nc.images(folder, preprocessing=plain, broken="skip", check=False)
    assert np.isnan(late.values).all((1, 2, 3)).tolist() == [False] * 4 + [True]
    assert "dog/gone.png" in caplog.text


def test_folders_that_cannot_be_read(folder, monkeypatch):
    def walk(_root, onerror=None, **_options):
        onerror(PermissionError(13, "Permission denied", "photos/dog"))
        return iter(())

    monkeypatch.setattr("os.walk", walk)
    with pytest.raises(nc.errors.InputError, match="'photos/dog', which cannot be read"):
        nc.images(folder, preprocessing=plain)


def test_preprocessing_that_fails_names_the_image(folder):
    with pytest.raises(ZeroDivisionError) as caught:
        nc.images(folder, preprocessing=lambda _image: 1 / 0)
    assert "cat/a.png" in caught.value.__notes__[0]
    with pytest.raises(nc.errors.InputError, match=r"cat/a.png.*not finite"):
        nc.images(folder, preprocessing=lambda image: plain(image) * np.inf, broken="skip")
    with pytest.raises(nc.errors.InputError, match="a Linear as the network"):
        nc.images(folder, nn.Linear(2, 2), preprocessing=plain)


def flipped_never(image):
    """Draws a number, and happens to do nothing with it."""
    torch.rand(1)
    return plain(image)


class Jittered(Dataset):
    """Images to which the data set itself adds noise."""

    def __len__(self):
        return 3

    def __getitem__(self, place):
        return torch.full((3, 2, 2), float(place)) + torch.rand(1), place


def test_random_preprocessing_is_found_and_the_random_state_given_back(folder):
    before = torch.random.get_rng_state()
    with pytest.raises(nc.errors.InputError, match="draws random numbers"):
        nc.images(folder, preprocessing=flipped_never)
    with pytest.raises(nc.errors.InputError, match="draws random numbers"):
        nc.images(Jittered())
    assert torch.equal(torch.random.get_rng_state(), before)


class Stored(Dataset):
    """A data set of PIL images of which one cannot be read, with labels that are no classes."""

    targets = ((1, 2), (3, 4), (5, 6))

    def __len__(self):
        return 3

    def __getitem__(self, place):
        if place == 0:
            raise OSError("image file is truncated")
        return Image.fromarray(np.full((2, 2), 65535 * place // 2, np.uint16)), 0


def test_data_sets_of_images_are_read_like_files(caplog):
    stimulus = nc.images(Stored(), preprocessing=plain, broken="skip")
    assert "label" not in stimulus.coords
    assert stimulus.values[1:, 0, 0, 0].tolist() == [127, 255]  # 16 bits to 8, not cut at 255
    assert np.isnan(stimulus.values[0]).all()
    assert "Stored[0]" in caplog.text
    with pytest.raises(nc.errors.InputError, match=r"Stored\[0\].*truncated"):
        nc.images(Stored(), preprocessing=plain)


def test_image_folders_of_their_own_kind(folder):
    datasets = pytest.importorskip("torchvision.datasets")
    synonyms = datasets.ImageFolder(folder)
    synonyms.classes = [("tabby", "tabby cat"), ("pug", "pug-dog")]  # as torchvision's ImageNet
    synonyms.wnids = ["n02123045", "n02110958"]
    net = network(("tabby", "pug"), output_coords={"wordnet_id": synonyms.wnids})
    found = nc.images(synonyms, net, preprocessing=plain).label.values.tolist()
    assert found == ["tabby", "tabby", "pug", "pug"]

    def inverted(path):
        return Image.fromarray(255 - np.asarray(Image.open(path)))

    own = datasets.ImageFolder(folder, loader=inverted)
    stimulus = nc.images(own, preprocessing=plain)
    np.testing.assert_array_equal(stimulus.values[0], 255 - plain(pixels(20)))
    assert stimulus.source.values.tolist()[0] == "cat/a.png"
    assert stimulus.label.values.tolist() == ["cat", "cat", "dog", "dog"]
