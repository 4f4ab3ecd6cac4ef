"""Images of a run: when they are decoded, how many stay, and what becomes of bad ones."""

import concurrent.futures
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.photographs import photograph
from tests.training.small import SMALL
from tfsq import codec, training
from tfsq.training import data


@pytest.fixture
def decoded(monkeypatch):
    """The names of files that are decoded, in order."""
    names, read = [], codec.read_image

    def noting(path):
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(codec, "read_image", noting)
    return names


def cut(path):
    """Truncates an image behind its header."""
    path.write_bytes(path.read_bytes()[:-400])


def test_images_that_do_not_serve_are_named(files, tmp_path):
    with pytest.raises(ValueError, match="No images to train on"):
        training.training_images([], 64)
    with pytest.raises(ValueError, match=r"a.png is 120x100, smaller than a crop of 128"):
        training.training_images(files, 128)
    (tmp_path / "c.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"Not an image file: .*c\.png"):
        training.training_images([tmp_path / "c.png"], 64)
    with pytest.raises(ValueError, match="`cache_size` must be at least 0"):
        training.training_images(files, 64, cache_size=-1)


def test_images_that_do_not_serve_are_skipped_and_named_if_asked_for(files, tmp_path):
    bad, small, missing = (tmp_path / f"{name}.png" for name in ("bad", "small", "missing"))
    bad.write_bytes(b"no image")
    codec.write_image(photograph()[:20, :90], small)
    skipped = []
    paths = [bad, files[0], small, files[1], missing]
    images = training.training_images(paths, 64, skipped.append)
    assert images.paths == files
    assert [image.shape for image in images] == [(100, 120, 3), (120, 100, 3)]
    for reason, message in zip(skipped, ("Not an image file: ", "small.png is 90x20", "missing")):
        assert message in reason
    with pytest.raises(ValueError, match="No images to train on, of 1 files"):
        training.training_images([bad], 64, skipped.append)


def test_images_are_decoded_when_they_are_needed_and_once_if_there_is_a_place(files, decoded):
    for cache_size, expected in ((0, 6), (36_000, 4), (72_000, 2)):
        images = training.training_images(files, 64, cache_size=cache_size)
        assert decoded == []
        for _ in range(3):
            assert np.array_equal(images[1], Image.open(files[1]))
            assert np.array_equal(images[0], Image.open(files[0]))
        assert len(decoded) == expected
        decoded.clear()


def test_crops_do_not_depend_on_the_cache_or_on_threads(files):
    found = []
    for cache_size in (0, 40_000, data.CACHE_SIZE):
        images = training.training_images(files, 64, cache_size=cache_size)
        batches = training.crops_dataset(images, 64, batch_size=3, seed=0).take(10)
        found.append(np.stack([batch.numpy() for batch in batches]))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    images = training.training_images(files, 64, cache_size=36_000)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        shapes = list(pool.map(lambda i: images[i % 2].shape, range(400)))
    assert shapes == [(100, 120, 3), (120, 100, 3)] * 200
    assert len(images._decoded) == 1


def test_damage_found_in_the_pixels_is_skipped_too(files, decoded):
    expected = training.training_images(files[1:], 64)
    cut(files[0])
    skipped = []
    images = training.training_images(files, 64, skipped.append)
    assert skipped == []
    batches = training.crops_dataset(images, 64, batch_size=3, seed=0).take(10)
    crops = np.concatenate([batch.numpy() for batch in batches])
    assert len(skipped) == 1
    assert "Damaged image file" in skipped[0]
    assert decoded.count("a.png") == 1
    windows = np.lib.stride_tricks.sliding_window_view(expected[0], (64, 64, 3))
    places = windows.reshape(-1, 64, 64, 3)
    for crop in crops:
        assert any((places == one).all(axis=(1, 2, 3)).any() for one in (crop, crop[:, ::-1]))


@pytest.mark.parametrize("on_skipped", [None, lambda reason: None])
def test_damage_that_ends_a_run_is_told_as_it_is(files, on_skipped, tmp_path):
    settings = training.TrainingSettings(**SMALL)
    for file in files:
        cut(file)
    message = "Damaged image file: .*.png" if on_skipped is None else "No images to train on, of 2"
    with pytest.raises(ValueError, match=f"^{message}"):
        training.train(files, tmp_path / "run", settings, on_skipped=on_skipped)


LARGE = r"""
import pathlib, re, sys
from tfsq.training import crops_dataset, training_images
paths = sorted(pathlib.Path(sys.argv[1]).glob("*.jpg"))
images = training_images(paths, 128, cache_size=int(sys.argv[2]))
# What `getrusage` says counts what the process was forked from.
status = pathlib.Path("/proc/self/status")
peak = lambda: int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) // 1024
before = peak()
for batch in crops_dataset(images, 128, 8, seed=0).take(10):
    pass
print(peak() - before)
"""


@pytest.mark.slow  # Two processes that decode 40 large photographs.
def test_memory_is_bounded(tmp_path):
    image = Image.fromarray(photograph()).resize((2000, 1500))
    for number in range(40):
        image.save(tmp_path / f"{number}.jpg", quality=80)
    grown = {}
    for mebibytes in (20, 2000):
        command = [sys.executable, "-c", LARGE, str(tmp_path), str(mebibytes * 2**20)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        grown[mebibytes] = int(done.stdout.split()[-1])
    # 36 of them are 309 MiB; some are decoded at once.
    assert grown[2000] > 250
    assert grown[20] < 150
