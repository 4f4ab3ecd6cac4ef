import io
import sys

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from tests.photographs import photograph
from tfsq.evaluation import REFERENCES, figures_of, measure
from tfsq.evaluation.references import reference


def is_available(name):
    try:
        reference(name)
    except ImportError:
        return False
    return True


# What every Pillow that tfsq installs with writes.
ALWAYS = {"jpeg", "jpeg444", "webp", "jpeg2000"}
AVAILABLE = [name for name in REFERENCES if name in ALWAYS or is_available(name)]
# Encoding takes seconds; the formats differ in an option.
SLOW = [pytest.param(n, marks=pytest.mark.slow) if "avif" in n else n for n in AVAILABLE]


def opened(data):
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("name", SLOW)
def test_rate_and_psnr_rise_over_the_ladder(name):
    # Small enough for no MS-SSIM, which would take most of the time.
    image = photograph()[-160:]
    figures = [measure(image, REFERENCES[name].at(q)) for q in REFERENCES[name].qualities]
    assert np.diff([figure.bpp for figure in figures]).min() > 0
    assert np.diff([figure.psnr for figure in figures]).min() > 0
    assert figures[0].bpp < 0.15
    assert figures[-1].bpp > 1.9


@pytest.mark.parametrize("name", AVAILABLE)
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
    psnr = 10 * np.log10(255**2 / mse) if mse else np.inf
    assert figures.psnr == pytest.approx(psnr)
    assert (figures.ms_ssim is None) == (min(size) < 161)


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("least_bytes", [0, 1500, 4000, 20_000, 10**9])
def test_file_of_a_size(name, least_bytes):
    image = photograph()[-160:]
    of_size, data = REFERENCES[name].of_size(image, least_bytes)
    quality = of_size.quality
    assert data == REFERENCES[name].at(quality).compress(image)
    lowest = REFERENCES[name].lowest_quality
    assert len(data) >= least_bytes or quality == REFERENCES[name].highest_quality
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


@pytest.mark.parametrize("name", AVAILABLE)
def test_noise_fits_at_every_quality(name):
    noise = np.random.default_rng(0).integers(0, 256, [160, 300, 3], np.uint8)
    for quality in (1, 94, REFERENCES[name].highest_quality):
        assert measure(noise, REFERENCES[name].at(quality)).psnr > 5


@pytest.mark.parametrize(
    ("name", "quality", "lowest"),
    [
        ("jpeg", 0, 1),
        ("jpeg", 101, 1),
        ("webp", -1, 0),
        ("webp", 101, 0),
        ("webp", 10.5, 0),
        ("avif", -1, 0),
    ],
)
def test_qualities_that_do_not_exist_are_refused(name, quality, lowest):
    message = f"`quality` of {name} must be an integer from {lowest} to 100. Received: {quality}"
    with pytest.raises(ValueError, match=message):
        measure(photograph(), REFERENCES[name].at(quality))


def test_what_pillow_does_not_write_is_refused(monkeypatch):
    monkeypatch.delitem(Image.SAVE, "AVIF", raising=False)
    message = r"AVIF 4:2:0 needs a Pillow that writes AVIF, as 11.3 and newer do. Received: Pillow "
    for function in (reference, lambda name: REFERENCES[name].at(50)):
        with pytest.raises(ImportError, match=message):
            function("avif")
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(ImportError, match=r"JPEG XL files need pillow_jxl: .*tfsq\[jxl\]"):
        reference("jxl")


@pytest.mark.parametrize(("name", "sampled"), [("jpeg444", False), ("jpeg", True)])
def test_colors_are_sampled_or_not(name, sampled):
    image = np.zeros([160, 160, 3], np.uint8)
    image[:, ::2, 0] = 255
    decoded = REFERENCES[name].at(95).decompress(REFERENCES[name].at(95).compress(image))
    # Columns of red, beside black ones.
    assert (np.abs(decoded.astype(int) - image).max() > 60) == sampled


def test_jpeg_2000_meets_its_rate_and_transforms_colors():
    image = photograph()[-160:]
    found = measure(image, REFERENCES["jpeg2000"].at(100))
    assert found.bpp == pytest.approx(1.0, rel=0.03)
    plain = io.BytesIO()
    Image.fromarray(image).save(
        plain, "JPEG2000", quality_mode="rates", quality_layers=[24], irreversible=True
    )
    decoded = np.asarray(opened(plain.getvalue()))
    assert found.psnr > figures_of(image, plain.getvalue(), decoded).psnr + 1


def test_other_names_and_arrays_are_refused():
    message = r"must be one of \['jpeg', .*'avif444'.*\]. Received: 'heic'"
    with pytest.raises(ValueError, match=message):
        reference("heic")
    jpeg = REFERENCES["jpeg"].at(10)
    for function in (jpeg.compress, lambda image: measure(image, jpeg)):
        with pytest.raises(ValueError, match=r"`image` must be a uint8 array.*Received: shape"):
            function(photograph() / 255)
