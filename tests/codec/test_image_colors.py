"""Colors by the profile in a file."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.codec.test_image_kinds import coded, jpeg2000, needs_avif
from tests.photographs import photograph
from tfsq.codec import read_image

LEVELS = np.arange(256, dtype=np.uint8)[None].repeat(16, axis=0)


def gray_profile(gamma):
    """An ICC profile of gray with a curve that is a power."""
    curve = struct.pack(">4s4xIHxx", b"curv", 1, round(256 * gamma))
    white = struct.pack(">4s4x3i", b"XYZ ", 0xF6D6, 0x10000, 0xD32D)
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, 16)
    header = struct.pack(
        ">I4sI4s4s4s12x4s28x3i48x",
        192, b"    ", 0x02100000, b"mntr", b"GRAY", b"XYZ ", b"acsp", 0xF6D6, 0x10000, 0xD32D,
    )  # fmt: skip
    return header + tags + white + curve


def as_srgb(levels, gamma):
    light = (levels / 255) ** gamma
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def saved(pixels, image_format, profile):
    options = {"JPEG": {"quality": 100}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100}}
    return coded(pixels, image_format, icc_profile=profile, **options.get(image_format, {}))


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
@pytest.mark.parametrize(
    "image_format", ["PNG", "JPEG", "TIFF", "WEBP", pytest.param("AVIF", marks=needs_avif)]
)
def test_grays_are_converted_by_the_curve_of_their_profile(image_format, gamma, tmp_path):
    (tmp_path / "image").write_bytes(saved(LEVELS, image_format, gray_profile(gamma)))
    read = read_image(tmp_path / "image").astype(float)
    assert np.ptp(read, axis=-1).max() == 0
    assert np.abs(read[..., 0] - as_srgb(LEVELS, gamma)).max() <= 1
    assert read[0, 0, 0] == 0
    assert read[0, -1, 0] == 255
    assert (np.diff(read[0, :, 0]) >= 0).all()


def test_opaque_alpha_and_palettes_do_not_hide_a_profile_of_gray(tmp_path):
    levels = Image.fromarray(LEVELS)
    profile = gray_profile(1.0)
    expected = as_srgb(LEVELS, 1.0)
    for i, image in enumerate((levels.convert("LA"), levels.convert("P"))):
        image.save(tmp_path / f"{i}.png", icc_profile=profile)
        read = read_image(tmp_path / f"{i}.png")
        assert np.abs(read - expected[..., None]).max() <= 1


def test_grays_with_the_curve_of_srgb_are_left_as_they_are(tmp_path):
    profile = bytearray(gray_profile(1.0)[:-16])
    levels = LEVELS[0].astype(float)
    curve = np.rint(257 * 255 * ((levels / 255 + 0.055) / 1.055) ** 2.4)
    curve = np.where(levels <= 10, levels * 257 / 12.92, curve).astype(">u2")
    data = struct.pack(">4s4xI", b"curv", 256) + curve.tobytes()
    struct.pack_into(">I", profile, 0, len(profile) + len(data))
    struct.pack_into(">I", profile, 152, len(data))
    (tmp_path / "image").write_bytes(saved(LEVELS, "PNG", bytes(profile) + data))
    assert np.array_equal(read_image(tmp_path / "image")[..., 0], LEVELS)


def test_a_profile_of_gray_says_nothing_of_colors(tmp_path):
    pixels = photograph()[:20, :30]
    (tmp_path / "image").write_bytes(saved(pixels, "PNG", gray_profile(1.0)))
    assert np.array_equal(read_image(tmp_path / "image"), pixels)


@pytest.mark.parametrize("pixels", [LEVELS, photograph()[:20, :30]], ids=["gray", "color"])
@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_a_damaged_profile_is_refused_with_what_to_do(image_format, pixels, tmp_path):
    (tmp_path / "image").write_bytes(saved(pixels, image_format, b"no profile" * 20))
    message = "image has a color profile that cannot be used: .*Convert it to sRGB first, or strip"
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / "image")


@pytest.mark.parametrize("damage", [(b"kTRC", b"none"), (b"GRAY", b"GRA\xab")])
def test_a_profile_of_gray_that_is_damaged_is_refused(damage, tmp_path):
    profile = gray_profile(1.0).replace(*damage)
    (tmp_path / "image").write_bytes(saved(LEVELS, "PNG", profile))
    with pytest.raises(ValueError, match="image has a color profile that cannot be used"):
        read_image(tmp_path / "image")


@pytest.mark.parametrize("of_gray", [True, False])
def test_profiles_in_jpeg_2000_are_minded_though_pillow_drops_them(of_gray, tmp_path):
    profile = gray_profile(1.0)
    pixels = LEVELS
    if not of_gray:
        pixels = np.stack([LEVELS, LEVELS[:, ::-1], LEVELS], axis=-1)
        profile = rgb_profile_of_light()
    data = jpeg2000(pixels)
    place, inner = data.index(b"colr") - 4, data.index(b"jp2h") - 4
    (size,) = struct.unpack_from(">I", data, place)
    (whole,) = struct.unpack_from(">I", data, inner)
    color = struct.pack(">I4s3B", 11 + len(profile), b"colr", 2, 0, 0) + profile
    whole += len(color) - size
    data = data[:place] + color + data[place + size :]
    data = data[:inner] + struct.pack(">I", whole) + data[inner + 4 :]
    assert "icc_profile" not in Image.open(io.BytesIO(data)).info
    (tmp_path / "image").write_bytes(data)
    read = read_image(tmp_path / "image").astype(float)
    expected = as_srgb(pixels if pixels.ndim == 3 else pixels[..., None], 1.0)
    assert np.abs(read - expected).max() <= 2


def rgb_profile_of_light() -> bytes:
    """The primaries of sRGB, and numbers that are proportional to light."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", profile, 128)
    for entry in range(132, 132 + 12 * count, 12):
        name, offset = struct.unpack_from(">4sI", profile, entry)
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            struct.pack_into(">4sIHHi", profile, offset, b"para", 0, 0, 0, 1 << 16)
    return bytes(profile)
