import io
import os
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from tests.photographs import photograph
from tfsq.codec import read_image, write_image
from tfsq.codec.image_files import stored_size


def save(image, path, **kwargs):
    image.save(path, **kwargs)
    return path


def test_png_round_trip(tmp_path):
    image = photograph()[:20, :30]
    write_image(image, tmp_path / "image.png")
    assert np.array_equal(read_image(tmp_path / "image.png"), image)
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA"])
def test_what_rgb_holds_is_read(tmp_path, mode):
    image = Image.fromarray(photograph()[:20, :30])
    expected = image.convert(mode).convert("RGB")
    path = save(image.convert(mode), tmp_path / "image.png")
    assert np.array_equal(read_image(path), np.asarray(expected))


def test_photograph_is_turned_upright(tmp_path):
    image = Image.fromarray(photograph()[:20, :30])
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(image, tmp_path / "image.png", exif=exif)
    assert np.array_equal(read_image(path), np.rot90(np.asarray(image), -1))


def test_transparency_is_refused_by_name(tmp_path):
    image = Image.new("RGBA", (4, 4), (1, 2, 3, 254))
    with pytest.raises(ValueError, match="image.png has transparent pixels"):
        read_image(save(image, tmp_path / "image.png"))
    palette = Image.new("P", (4, 4))
    with pytest.raises(ValueError, match="transparent pixels"):
        read_image(save(palette, tmp_path / "image.gif", transparency=0))


@pytest.mark.parametrize(
    ("mode", "ending", "message"),
    [
        ("CMYK", "jpg", "has Pillow mode CMYK"),
        ("I;16", "png", "more than 8 bits"),
        ("F", "tiff", "more than 8 bits"),
    ],
)
def test_what_rgb_does_not_hold_is_refused_by_name(tmp_path, mode, ending, message):
    path = save(Image.new(mode, (4, 4)), tmp_path / f"image.{ending}")
    with pytest.raises(ValueError, match=rf"image\.{ending} .*{message}"):
        read_image(path)


def png_of_16_bits(color, channels):
    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 2, 2, 16, color, 0, 0, 0)
    rows = 2 * (b"\0" + 2 * channels * b"\xff\xff")
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def tiff_of_16_bits():
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros([2, 2, 3], np.uint16), photometric="rgb")
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        png_of_16_bits(2, 3),
        png_of_16_bits(4, 2),
        png_of_16_bits(6, 4),
        tiff_of_16_bits(),
        b"P6 2 2 65535\n" + bytes(24),
    ],
    ids=["png", "png-gray-alpha", "png-alpha", "tiff", "ppm"],
)
def test_more_than_8_bits_are_refused_though_pillow_would_reduce_them(data, tmp_path):
    (tmp_path / "deep").write_bytes(data)
    Image.open(tmp_path / "deep").load()
    with pytest.raises(ValueError, match="deep has more than 8 bits a channel"):
        read_image(tmp_path / "deep")


def test_files_that_are_no_images_are_refused(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match="Not an image file"):
        read_image(path)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "missing.png")


def test_writing_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(b"before")
    with pytest.raises(TypeError):
        write_image(np.zeros([2, 2, 5], np.uint8), path)
    assert path.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1
    for ending in ("tfsq", "psd", "mpg"):
        with pytest.raises(ValueError, match="names no image format that Pillow writes"):
            write_image(photograph(), tmp_path / f"image.{ending}")
    with pytest.raises(FileNotFoundError, match="No such folder: .*missing"):
        write_image(photograph(), tmp_path / "missing" / "image.png")


def test_only_regular_files_are_replaced_and_keep_their_permissions(tmp_path):
    image = photograph()[:8, :8]
    os.mkfifo(tmp_path / "fifo.png")
    with pytest.raises(OSError, match=r"Not a regular file, which could be replaced: .*fifo\.png"):
        write_image(image, tmp_path / "fifo.png")
    assert (tmp_path / "fifo.png").is_fifo()
    write_image(image, tmp_path / "file.png")
    (tmp_path / "file.png").chmod(0o600)
    (tmp_path / "link.png").symlink_to("file.png")
    write_image(image[:4], tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    assert read_image(tmp_path / "file.png").shape == (4, 8, 3)
    assert (tmp_path / "file.png").stat().st_mode & 0o777 == 0o600


def test_animations_are_refused_by_name_and_further_views_left_out(tmp_path):
    frames = [Image.fromarray(photograph()[i : i + 20, :30]) for i in (0, 40)]
    path = save(frames[0], tmp_path / "image.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r"image\.gif has 2 frames; tfsq codes single images"):
        read_image(path)
    path = save(frames[0], tmp_path / "image.mpo", save_all=True, append_images=frames[1:])
    assert read_image(path).shape == (20, 30, 3)


def test_images_too_large_are_refused_before_they_are_decoded(tmp_path):
    path = save(Image.new("1", (2**16 + 1, 1)), tmp_path / "image.png")
    with pytest.raises(ValueError, match=r"image\.png has 65537x1 pixels; tfsq codes up to"):
        read_image(path)
    path = save(Image.new("1", (2**14, 2**13 + 1)), tmp_path / "image.png")
    with pytest.raises(ValueError, match="has 16384x8193 pixels"):
        read_image(path)
    # More than where Pillow refuses.
    path = save(Image.new("1", (20_000, 10_000)), tmp_path / "image.png")
    with pytest.raises(ValueError, match=r"image\.png is larger than the 134217728 pixels"):
        read_image(path)
    # More than where Pillow begins to warn.
    path = save(Image.new("1", (2**14, 2**13)), tmp_path / "image.png")
    assert read_image(path).shape == (2**13, 2**14, 3)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "tiff", "bmp", "jp2"])
def test_damaged_files_are_refused_by_name(tmp_path, ending):
    whole = save(Image.fromarray(photograph()[:64, :64]), tmp_path / f"whole.{ending}")
    data, path = whole.read_bytes(), tmp_path / f"image.{ending}"
    for length in range(0, len(data) // 2, 97):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=rf"image file: .*image\.{ending}"):
            read_image(path)
    rng = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(data)
        for place in rng.integers(len(data), size=8):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert read_image(path).dtype == np.uint8
        except ValueError as error:
            assert "image." in str(error)


def linear_by_the_name_of(profile: bytes) -> bytes:
    """A profile whose three curves are replaced by straight lines."""
    changed = bytearray(profile)
    (count,) = struct.unpack_from(">I", profile, 128)
    for entry in range(132, 132 + 12 * count, 12):
        if profile[entry : entry + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            (offset,) = struct.unpack_from(">I", profile, entry + 4)
            struct.pack_into(">4sIHHi", changed, offset, b"para", 0, 0, 0, 1 << 16)
    return bytes(changed)


def test_colors_are_converted_by_the_profile(tmp_path):
    image = Image.fromarray(photograph()[:20, :30])
    path = save(image, tmp_path / "plain.png")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = save(image, tmp_path / "srgb.png", icc_profile=srgb)
    assert np.array_equal(read_image(same), read_image(path))
    other = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    assert np.array_equal(
        read_image(save(image, tmp_path / "xyz.png", icc_profile=other)), read_image(path)
    )
    # Linear light under the name of sRGB: what is dark in its numbers is brighter to the eye.
    profile = linear_by_the_name_of(srgb)
    linear = read_image(save(image, tmp_path / "linear.png", icc_profile=profile))
    assert linear.mean() > read_image(path).mean() + 20
    with pytest.raises(ValueError, match=r"broken\.png has a color profile that cannot be used"):
        read_image(save(image, tmp_path / "broken.png", icc_profile=b"no profile"))


def tiff_of(*pages, sub_pages=0, **options):
    """A TIFF of several pages; the first may have others in SubIFDs."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for i, page in enumerate(pages):
            given = {**options, "subifds": sub_pages} if i == 0 and sub_pages else options
            writer.write(page, photometric="rgb", **given)
    return file.getvalue()


@pytest.mark.parametrize("ending", ["dng", "nef", "tif"])
@pytest.mark.parametrize(
    ("pages", "options", "message"),
    [
        ((8, 32), {"sub_pages": 1}, "holds further images in SubIFDs.*Develop or flatten"),
        ((32, 16, 8), {"sub_pages": 2}, "holds further images in SubIFDs"),
        ((32,), {"subfiletype": 1}, "begins with a preview or a mask"),
        ((32,), {"extratags": [(255, 3, 1, 2, True)]}, "begins with a preview or a mask"),
        ((32, 16), {}, "has 2 frames; tfsq codes single images"),
    ],
)
def test_previews_of_raw_files_and_pyramids_are_refused(pages, options, message, ending, tmp_path):
    path = tmp_path / f"image.{ending}"
    path.write_bytes(tiff_of(*(photograph()[:size, :size] for size in pages), **options))
    for read in (read_image, stored_size):
        with pytest.raises(ValueError, match=rf"image\.{ending} {message}"):
            read(path)


def test_a_mask_is_no_image(tmp_path):
    image = Image.fromarray(photograph()[:20, :30])
    path = save(image, tmp_path / "image.tif", tiffinfo={254: 4})
    with pytest.raises(ValueError, match="begins with a preview or a mask"):
        read_image(path)


def test_other_tiffs_are_read(tmp_path):
    path, pixels = tmp_path / "image.tif", photograph()[:20, :30]
    for options in ({}, {"subfiletype": 0}, {"subfiletype": 2}, {"compression": "zlib"}):
        path.write_bytes(tiff_of(pixels, **options))
        assert np.array_equal(read_image(path), pixels)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("ending", ["png", "jpg", "tiff", "webp"])
def test_sizes_are_those_of_the_pixels_but_for_turns(orientation, ending, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(photograph()[:20, :30])
    path = save(image, tmp_path / f"image.{ending}", exif=exif)
    assert sorted(stored_size(path)) == sorted(read_image(path).shape[:2])


def test_sizes_need_no_pixels(tmp_path):
    for ending in ("jpg", "png", "webp"):
        path = save(Image.fromarray(photograph()[:64, :96]), tmp_path / f"image.{ending}")
        data = bytearray(path.read_bytes())
        data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
        path.write_bytes(data)
        assert stored_size(path) == (64, 96)
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match="Not an image file"):
        stored_size(path)
    with pytest.raises(FileNotFoundError):
        stored_size(tmp_path / "missing.png")
