import numpy as np
import pytest

from tests.photographs import photograph
from tfsq import codec, training


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    codec.write_image(photograph("coffee")[:100, :120], paths[0])
    codec.write_image(photograph("rocket")[:120, :100], paths[1])
    return paths


def batches(files, seed=0, count=5):
    data = training.crops_dataset(files, crop_size=64, batch_size=3, seed=seed)
    return np.stack([batch.numpy() for batch in data.take(count)])


def test_crops_come_from_the_images_and_repeat_with_the_seed(files):
    first = batches(files)
    assert first.shape == (5, 3, 64, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, batches(files))
    assert not np.array_equal(first, batches(files, seed=1))
    windows = [
        np.lib.stride_tricks.sliding_window_view(codec.read_image(path), (64, 64, 3))[:, :, 0]
        for path in files
    ]
    places = [window.reshape(-1, 64, 64, 3) for window in windows]
    flipped = 0
    for crop in first.reshape(-1, 64, 64, 3):
        straight = any((place == crop).all(axis=(1, 2, 3)).any() for place in places)
        mirrored = any((place == crop[:, ::-1]).all(axis=(1, 2, 3)).any() for place in places)
        assert straight or mirrored
        flipped += mirrored
    assert 0 < flipped < 15


def test_images_that_do_not_serve_are_named(files, tmp_path):
    with pytest.raises(ValueError, match="No images to train on"):
        training.crops_dataset([], 64, 1, 0)
    with pytest.raises(ValueError, match=r"a.png is 120x100, smaller than a crop of 128"):
        training.crops_dataset(files, 128, 1, 0)
    (tmp_path / "c.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"Not an image file: .*c\.png"):
        training.crops_dataset([tmp_path / "c.png"], 64, 1, 0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"steps": 0}, "`steps` must be at least 1"),
        ({"steps": 10, "steps_per_epoch": 3}, "`steps` must be a multiple"),
        ({"crop_size": 100}, "`crop_size` must be a multiple of 64"),
        ({"crop_size": 128, "distortion": "ms-ssim"}, "must be at least 176 for ms-ssim"),
        ({"seed": -1}, "`seed` must be at least 0"),
        (
            {"hard_fraction": 1.0},
            r"`hard_fraction` must be in \[0, 1\). Received: hard_fraction=1.0",
        ),
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        training.TrainingSettings(**setting)
