"""Tiles against whole images."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.corpus import busy_model
from tests.photographs import photograph
from tfsq import codec
from tfsq.codec import tiling

IMAGE = np.concatenate([photograph(), photograph()[::-1]])[:519, :300]


@pytest.fixture(
    scope="module", params=[("FactorizedPrior", None), ("MeanScaleHyperprior", "dct")], ids=str
)
def found(request):
    return codec.as_codec(busy_model(*request.param))


@pytest.mark.parametrize("tile", [64, 192, 448])
def test_tiles_give_what_the_whole_image_gives(found, tile, monkeypatch):
    whole = tiling.analyze(IMAGE, found)
    y_hat = found.encode(**whole)["y_hat"]
    picture = tiling.synthesize(y_hat, IMAGE.shape[:2], found)
    monkeypatch.setattr(tiling, "TILE", tile)
    seen = []
    tiled = tiling.analyze(IMAGE, found, seen.append)
    for name, latent in whole.items():
        np.testing.assert_allclose(tiled[name], latent, rtol=1e-4, atol=1e-3)
    multiple = found.metadata["size_multiple"]
    counts = [-(-(-(-size // multiple) * multiple) // tile) for size in IMAGE.shape[:2]]
    assert [(event.done, event.total) for event in seen] == [
        (i + 1, np.prod(counts)) for i in range(np.prod(counts))
    ]
    again = tiling.synthesize(y_hat, IMAGE.shape[:2], found)
    assert again.shape == IMAGE.shape
    # Sums in another order may round to the neighboring level, seldom.
    difference = np.abs(again.astype(int) - picture)
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_files_are_the_same_whatever_the_tiles(found, monkeypatch):
    data = codec.compress(IMAGE, found)
    stages = []
    monkeypatch.setattr(tiling, "TILE", 192)
    tiled = codec.compress(IMAGE, found, progress=lambda event: stages.append(event.stage))
    decoded = codec.decompress(tiled, found, progress=lambda event: stages.append(event.stage))
    assert decoded.shape == IMAGE.shape
    assert set(stages) == {"analysis", "synthesis"}
    # Latents at the middle between two integers aside.
    assert abs(len(tiled) - len(data)) <= 0.001 * len(data)


def test_a_smaller_halo_would_be_seen(found, monkeypatch):
    whole = tiling.analyze(IMAGE, found)
    monkeypatch.setattr(tiling, "TILE", 64)
    for halo in (0, 16):
        narrow = dataclasses.replace(found, metadata={**found.metadata, "halo": halo})
        tiled = tiling.analyze(IMAGE, narrow)
        assert np.abs(tiled["latent"] - whole["latent"]).max() > 0.01


def test_networks_that_name_no_stride_see_the_whole_image(found, monkeypatch):
    monkeypatch.setattr(tiling, "TILE", 64)
    metadata = {**found.metadata, "latent_stride": None, "halo": 0}
    whole = dataclasses.replace(found, metadata=metadata)
    calls = []

    def analysis(image):
        calls.append(image.shape)
        return found.analysis(image=image)

    tiling.analyze(IMAGE, dataclasses.replace(whole, analysis=analysis))
    assert len(calls) == 1


def test_strings_and_pixels_of_the_whole_image_functions_are_the_same(found):
    data = codec.unpack(codec.compress(IMAGE, found))
    whole = found.compress(image=tf.constant(IMAGE))
    assert tuple(whole["strings"].numpy()) == data.strings
    assert tuple(part.tobytes() for part in whole["fingerprints"].numpy()) == data.fingerprints
    size = tf.constant(IMAGE.shape[:2])
    decoded = found.decompress(size=size, **whole)["image"]
    assert np.array_equal(decoded, codec.decompress(codec.pack(data), found))
    wrong = tf.bitwise.invert(whole["fingerprints"])
    with pytest.raises(tf.errors.InvalidArgumentError, match="another fingerprint"):
        found.decompress(size=size, strings=whole["strings"], fingerprints=wrong)
