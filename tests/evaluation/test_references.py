import io

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from tests.photographs import photograph
from tfsq.evaluation import REFERENCES, measure
from tfsq.evaluation.references import reference


def opened(data):
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("name", REFERENCES)
def test_rate_and_psnr_rise_over_the_ladder(name):
    # Small enough for no MS-SSIM, which would take most of the time.
    image = photograph()[-160:]
    figures = [measure(image, REFERENCES[name].at(q)) for q in REFERENCES[name].qualities]
    assert np.diff([figure.bpp for figure in figures]).min() > 0
    assert np.diff([figure.psnr for figure in figures]).min() > 0
    assert figures[0].bpp < 0.15
    assert figures[-1].bpp > 1.9


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("size", [(1, 1), (40, 57), (170, 161)])
def test_figures_are_those_of_the_file_and_of_what_pillow_decodes(name, size):
    image = photograph()[: size[0], : size[1]]
    data = REFERENCES[name].at(30).compress(image)
    decoded = np.asarray(opened(data))
    assert decoded.shape == image.shape
    figures = measure(image, REFERENCES[name].at(30))
    assert figures.file_bytes == len(data)
    assert figures.bpp == 8 * len(data) / (size[0] * size[1])
    mse = np.mean((image.astype(float) - decoded) ** 2)
    assert figures.psnr == pytest.approx(10 * np.log10(255**2 / mse))
    assert (figures.ms_ssim is None) == (min(size) < 161)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("least_bytes", [0, 1500, 4000, 20_000, 10**9])
def test_file_of_a_size(name, least_bytes):
    image = photograph()[-160:]
    of_size, data = REFERENCES[name].of_size(image, least_bytes)
    quality = of_size.quality
    assert data == REFERENCES[name].at(quality).compress(image)
    lowest = REFERENCES[name].lowest_quality
    assert len(data) >= least_bytes or quality == 100
    if quality > lowest:
        assert len(REFERENCES[name].at(quality - 1).compress(image)) < least_bytes
    assert (quality == lowest) == (least_bytes == 0)


def test_jpeg_is_baseline_with_half_the_chroma_and_its_own_huffman_tables():
    image = photograph()
    for quality in (5, 50, 100):
        data = REFERENCES["jpeg"].at(quality).compress(image)
        with opened(data) as file:
            assert file.format == "JPEG"
            assert JpegImagePlugin.get_sampling(file) == 2  # Pillow's number of 4:2:0
            assert "progressive" not in file.info
        plain = io.BytesIO()
        Image.fromarray(image).save(plain, "JPEG", quality=quality, subsampling="4:2:0")
        assert len(data) < len(plain.getvalue())
        assert np.array_equal(np.asarray(opened(data)), np.asarray(opened(plain.getvalue())))


def test_webp_is_lossy_and_searched_for():
    image = photograph()
    for quality in (0, 50, 100):
        data = REFERENCES["webp"].at(quality).compress(image)
        assert data[8:16] == b"WEBPVP8 "  # "VP8L" would be lossless
        quick = io.BytesIO()
        Image.fromarray(image).save(quick, "WEBP", quality=quality, method=0)
        assert len(data) < len(quick.getvalue())


@pytest.mark.parametrize("name", REFERENCES)
def test_noise_fits_at_every_quality(name):
    noise = np.random.default_rng(0).integers(0, 256, [160, 300, 3], np.uint8)
    for quality in (1, 94, 100):
        assert measure(noise, REFERENCES[name].at(quality)).psnr > 5


@pytest.mark.parametrize(
    ("name", "quality", "lowest"),
    [("jpeg", 0, 1), ("jpeg", 101, 1), ("webp", -1, 0), ("webp", 101, 0), ("webp", 10.5, 0)],
)
def test_qualities_that_do_not_exist_are_refused(name, quality, lowest):
    message = f"`quality` of {name} must be an integer from {lowest} to 100. Received: {quality}"
    with pytest.raises(ValueError, match=message):
        measure(photograph(), REFERENCES[name].at(quality))


def test_other_names_and_arrays_are_refused():
    message = r"must be one of \['jpeg', 'webp'\]. Received: 'avif'"
    with pytest.raises(ValueError, match=message):
        reference("avif")
    jpeg = REFERENCES["jpeg"].at(10)
    for function in (jpeg.compress, lambda image: measure(image, jpeg)):
        with pytest.raises(ValueError, match=r"`image` must be a uint8 array.*Received: shape"):
            function(photograph() / 255)
