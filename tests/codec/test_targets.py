"""Files of a size, of bits per pixel, or of a PSNR."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.corpus import busy_model
from tests.photographs import crops, photograph
from tests.tiny import Tiny
from tfsq import codec
from tfsq.codec import Target, tiling
from tfsq.codec.encoding import Encoded, Predicted
from tfsq.codec.targets import crossing

LMBDAS = (0.001, 0.004, 0.016, 0.064)
PHOTOGRAPH = photograph("astronaut")[:200, :300]
NOISE = np.random.default_rng(1).integers(0, 256, (70, 90, 3), np.uint8)
IMAGES = {"photograph": PHOTOGRAPH, "noise": NOISE, "1x1": PHOTOGRAPH[:1, :1]}
IMAGES |= {"1x3000": np.tile(PHOTOGRAPH[:1], (1, 10, 1)), "flat": np.full_like(NOISE, 77)}


@pytest.fixture(scope="module")
def found():
    tf.keras.utils.set_random_seed(1)
    model = Tiny(4, 48, lmbdas=LMBDAS)
    model.compile(tf.keras.optimizers.Adam(1e-3))
    for _ in range(3):
        model.train_step(crops(4))
    return codec.as_codec(model)


def psnr_of(image, data, found):
    mse = np.mean((image.astype(float) - codec.decompress(data, found)) ** 2)
    return 10 * np.log10(255**2 / mse)


def range_of(image, found):
    return [len(codec.compress(image, found, quality=q)) for q in (1, len(LMBDAS))]


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_files_have_at_most_a_size_and_hardly_less(name, share, found):
    image = IMAGES[name]
    least, most = range_of(image, found)
    limit = round(least + share * (most - least))
    data = codec.compress(image, found, quality=Target(size=limit))
    assert len(data) <= limit
    quality = codec.unpack(data).quality
    if len(data) < 0.99 * limit and quality < len(LMBDAS):
        above = codec.compress(image, found, quality=quality + 0.001)
        assert len(above) > limit
    assert codec.compress(image, found, quality=quality) == data


def test_bits_per_pixel_are_those_of_the_file(found):
    least, most = (8 * size / PHOTOGRAPH[..., 0].size for size in range_of(PHOTOGRAPH, found))
    for bpp in (0.8 * least + 0.2 * most, 0.3 * least + 0.7 * most):
        data = codec.compress(PHOTOGRAPH, found, quality=Target(bpp=bpp))
        assert 0.99 * bpp <= 8 * len(data) / PHOTOGRAPH[..., 0].size <= bpp


def test_psnr_is_reached_by_a_hundredth(found):
    ends = [
        psnr_of(PHOTOGRAPH, codec.compress(PHOTOGRAPH, found, quality=q), found) for q in (1, 4)
    ]
    for psnr in np.linspace(*ends, 4)[1:-1]:
        data = codec.compress(PHOTOGRAPH, found, quality=Target(psnr=psnr))
        assert psnr <= psnr_of(PHOTOGRAPH, data, found) <= psnr + 0.02
    lowest = codec.compress(PHOTOGRAPH, found, quality=Target(psnr=5))
    assert codec.unpack(lowest).quality == 1


@pytest.mark.slow
def test_refined_files_meet_a_size_too(found):
    limit = sum(range_of(PHOTOGRAPH, found)) // 2
    data = codec.compress(PHOTOGRAPH, found, refine_steps=3, quality=Target(size=limit))
    assert 0.99 * limit <= len(data) <= limit


def test_what_is_out_of_reach_is_refused_with_the_range(found):
    least, most = range_of(PHOTOGRAPH, found)
    assert len(codec.compress(PHOTOGRAPH, found, quality=Target(size=10 * most))) == most
    for target, message in (
        (Target(size=round(0.9 * least)), f"`size` must be at least {least} bytes, up to {most}"),
        (Target(size=1), f"`size` must be at least {least} bytes"),
        (Target(bpp=1e-3), r"`bpp` must be from \d\.\d+ to \d\.\d+, for this image of 300x200"),
        (Target(bpp=24), r"`bpp` must be from \d\.\d+ to \d\.\d+"),
        (Target(psnr=90), r"`psnr` must be at most \d\d\.\d\d dB, from \d\d\.\d\d"),
    ):
        with pytest.raises(ValueError, match=f"{message}.*Received: Target"):
            codec.compress(PHOTOGRAPH, found, quality=target)


def test_lambda_is_that_of_the_quality(found):
    lmbdas = [found.lmbda_at(quality) for quality in range(1, len(LMBDAS) + 1)]
    assert lmbdas == pytest.approx(list(LMBDAS))


def test_what_is_out_of_reach_is_found_at_the_ends(found, monkeypatch):
    qualities = []
    monkeypatch.setattr("tfsq.codec.api.Predicted.of", lambda *_: None)
    of = Encoded.of

    def counted(latents, codec, quality=None):
        qualities.append(quality)
        return of(latents, codec, quality)

    monkeypatch.setattr(Encoded, "of", counted)
    with pytest.raises(ValueError, match="`size` must be at least"):
        codec.compress(PHOTOGRAPH, found, quality=Target(size=1))
    assert sorted(qualities) == [1, len(LMBDAS)]


def test_targets_of_none_or_several_are_refused():
    for given in ({}, {"size": 5, "bpp": 1.0}):
        with pytest.raises(ValueError, match="must have one of size, bpp and psnr"):
            Target(**given)
    for wrong in ("0.5", 10**400, 1e-50, math.nan, True - 1):
        with pytest.raises(ValueError, match="`bpp` must be positive and finite in float32"):
            Target(bpp=wrong)
    for name in ("size", "bpp", "psnr"):
        with pytest.raises(ValueError, match=f"`{name}` must be positive and finite"):
            Target(**{name: 0})


def test_codecs_of_a_single_rate_refuse_targets(found):
    single = dataclasses.replace(found, metadata={**found.metadata, "lmbdas": None})
    with pytest.raises(ValueError, match="A codec of a single rate cannot meet a target"):
        codec.compress(PHOTOGRAPH, single, quality=Target(bpp=1.0))


@pytest.mark.parametrize("goal", [-1.0, 0.0, 0.5, 17.3, 99.0, 200.0])
def test_crossing_is_between_neighbors(goal):
    for power in (0.3, 1.0, 4.0):
        asked = []

        def value(n, power=power, asked=asked):
            asked.append(n)
            return 100.0 * (n / 1000) ** power

        below, above = crossing(value, goal, 0, 1000, lambda _: False)
        assert above == below + 1
        if 0.0 <= goal < 100.0:
            assert value(below) <= goal < value(above)
        assert len(set(asked)) <= 2 + 3 * math.ceil(math.log2(1000))


@pytest.mark.slow
@pytest.mark.parametrize("network", ["ScaleHyperprior", "MeanScaleHyperprior"])
def test_what_is_predicted_once_codes_the_same_files(network):
    codecs = codec.as_codec(busy_model(network, lmbdas=LMBDAS))
    latents = tiling.analyze(PHOTOGRAPH, codecs)
    predicted = Predicted.of(latents, codecs)
    qualities = (1.0, 1.234, 2.5, 4.0)
    encoded = [Encoded.of(latents, codecs, quality) for quality in qualities]
    for quality, one in zip(qualities, encoded):
        other = predicted.encoded(quality)
        assert (other.strings, other.fingerprints) == (one.strings, one.fingerprints)
        assert np.array_equal(other.y_hat, one.y_hat)
    sizes = [len(one.packed(PHOTOGRAPH.shape[:2], codecs)) for one in encoded]
    np.testing.assert_allclose(predicted.bytes_at(qualities), sizes, rtol=0.01)
    limit = (sizes[0] + sizes[-1]) // 2
    data = codec.compress(PHOTOGRAPH, codecs, quality=Target(size=limit))
    assert 0.99 * limit <= len(data) <= limit
    assert data == codec.compress(PHOTOGRAPH, codecs, quality=codec.unpack(data).quality)
