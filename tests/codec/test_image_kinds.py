"""Which kinds of image files are read, and what is said of the others."""

import io
import os
import struct
import threading

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.photographs import photograph
from tfsq.codec import read_image
from tfsq.codec.image_files import stored_size

RAMP = np.arange(256, dtype=np.uint8)[None].repeat(8, axis=0)
IN_COLOR = np.stack([RAMP, RAMP[:, ::-1], RAMP], axis=-1)
DEEP = "deep has more than 8 bits a channel"
needs_avif = pytest.mark.skipif(
    ".avif" not in Image.registered_extensions(), reason="Pillow is older than 11.3"
)


def refused(data, tmp_path, message):
    (tmp_path / "deep").write_bytes(data)
    for read in (read_image, stored_size):
        with pytest.raises(ValueError, match=message):
            read(tmp_path / "deep")


def coded(pixels, image_format, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format, **options)
    return file.getvalue()


def jpeg2000(pixels, boxed=True, depth=None):
    """Lossless; with `depth` of all components, whose numbers then count from the new middle."""
    data = bytearray(coded(pixels, "JPEG2000", irreversible=False, no_jp2=not boxed))
    if depth is not None:
        start = data.index(b"\xff\x4f\xff\x51")
        (count,) = struct.unpack_from(">H", data, start + 40)
        for component in range(count):
            data[start + 42 + 3 * component] = depth - 1
        if boxed:
            data[data.index(b"ihdr") + 14] = depth - 1
    return bytes(data)


@pytest.mark.parametrize("boxed", [True, False])
@pytest.mark.parametrize("pixels", [RAMP, IN_COLOR], ids=["gray", "color"])
def test_white_of_jpeg_2000_is_white_and_a_ramp_rises(pixels, boxed, tmp_path):
    (tmp_path / "image").write_bytes(jpeg2000(pixels, boxed))
    read = read_image(tmp_path / "image")
    assert np.array_equal(read, pixels if pixels.ndim == 3 else np.stack([pixels] * 3, -1))
    assert read[0, -1, 0] == 255
    assert (np.diff(read[0, :, 0].astype(int)) == 1).all()


@pytest.mark.parametrize("boxed", [True, False])
@pytest.mark.parametrize("depth", [9, 12, 16])
@pytest.mark.parametrize("pixels", [RAMP, IN_COLOR], ids=["gray", "color"])
def test_deep_jpeg_2000_is_refused(pixels, depth, boxed, tmp_path):
    refused(jpeg2000(pixels, boxed, depth), tmp_path, f"{DEEP}.*Convert it to 8 bits")


def test_deep_gray_of_pillow_itself_is_refused(tmp_path):
    white = np.full([8, 8], 65535, np.uint16)
    refused(jpeg2000(white), tmp_path, DEEP)
    refused(jpeg2000(white, boxed=False), tmp_path, DEEP)


def test_shallow_jpeg_2000_whose_white_pillow_reads_as_gray_is_refused(tmp_path):
    # 15, the white of 4 bits, less their middle, plus that of the 8 bits they are written as.
    data = jpeg2000(np.full([8, 8], 15 - 8 + 128, np.uint8), depth=4)
    assert np.asarray(Image.open(io.BytesIO(data))).max() == 240
    refused(data, tmp_path, "deep has 4 bits a channel.*Convert it to 8 bits")


def test_jpeg_2000_without_a_codestream_is_damaged(tmp_path):
    data = jpeg2000(IN_COLOR)
    refused(data[: data.index(b"jp2c")], tmp_path, "Damaged image file: .*deep")
    refused(data[: data.index(b"\xff\x51") + 20], tmp_path, "image file: .*deep")


def through_a_pipe(data, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    try:
        return read_image(pipe)
    finally:
        writer.join()


@pytest.mark.parametrize("image_format", ["PNG", "JPEG2000"])
def test_images_come_through_pipes(image_format, tmp_path):
    assert np.array_equal(through_a_pipe(coded(IN_COLOR, image_format), tmp_path), IN_COLOR)


def test_what_is_refused_from_a_pipe_is_named(tmp_path):
    with pytest.raises(ValueError, match="pipe is HEIC"):
        through_a_pipe(ftyp(b"heic"), tmp_path)


def avif_of_10_bits():
    data = bytearray(coded(IN_COLOR, "AVIF", quality=90))
    data[data.index(b"av1C") + 6] |= 0x40
    place = data.find(b"pixi")
    if place >= 0:
        data[place + 9 : place + 12] = b"\x0a\x0a\x0a"
    return bytes(data)


@needs_avif
def test_deep_avif_is_refused(tmp_path):
    data = avif_of_10_bits()
    assert Image.open(io.BytesIO(data)).size == (256, 8)
    refused(data, tmp_path, f"{DEEP}.*Convert it to 8 bits")
    (tmp_path / "image").write_bytes(coded(IN_COLOR, "AVIF", quality=100))
    assert read_image(tmp_path / "image").shape == IN_COLOR.shape


def dds(flags, fourcc, bits, masks, after):
    header = struct.pack("<4s7I44x", b"DDS ", 124, 0x1007, 4, 4, 0, 0, 0)
    kind = struct.pack("<2I4sI4I", 32, flags, fourcc, bits, *masks)
    return header + kind + struct.pack("<5I", 0x1000, 0, 0, 0, 0) + after


def tiff(dtype, shape=(4, 4, 3), **options):
    file = io.BytesIO()
    kind = "rgb" if shape[-1] == 3 else "minisblack"
    tifffile.imwrite(file, np.zeros(shape, dtype), **{"photometric": kind, **options})
    return file.getvalue()


def jpeg_of_12_bits():
    data = bytearray(coded(IN_COLOR, "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


def psd(bits):
    return struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 4, 4, bits, 3) + bytes(12)


@pytest.mark.parametrize(
    "data",
    [
        coded(RAMP, "SGI", bpc=2),
        coded(IN_COLOR, "SGI", bpc=2),
        dds(0x40, b"", 32, (0x3FF00000, 0xFFC00, 0x3FF, 0), bytes(64)),
        b"P2 1 1 256\n255\n",
        b"P3 1 1 1023\n255 255 255\n",
        tiff(np.uint32),
        tiff(np.uint16, (4, 4, 2)),
        jpeg_of_12_bits(),
        psd(16),
    ],
    ids=["sgi", "sgi-color", "dds", "pgm", "ppm", "tiff-32", "tiff-alpha", "jpeg", "psd"],
)
def test_more_than_8_bits_are_refused_in_every_format(data, tmp_path):
    refused(data, tmp_path, f"{DEEP};.*Convert it to 8 bits")


@pytest.mark.parametrize(
    "data",
    [
        tiff(np.float32),
        tiff(np.float16),
        tiff(np.float64, (4, 4, 3)),
        tiff(np.float32, (4, 4)),
        tiff(np.float32, bigtiff=True),
        tiff(np.float32, byteorder=">"),
        b"Pf 2 2 -1.0\n" + bytes(16),
        dds(4, b"DX10", 0, (0, 0, 0, 0), struct.pack("<5I", 95, 3, 0, 1, 0) + bytes(16)),
        psd(32),
    ],
    ids=["tiff", "half", "double", "gray", "bigtiff", "big-endian", "pfm", "dds", "psd"],
)
def test_floats_are_refused_by_name(data, tmp_path):
    refused(data, tmp_path, rf"{DEEP} \(floats\).*Convert it to 8 bits")


def test_565_of_bmp_is_no_more_than_8_bits(tmp_path):
    header = struct.pack("<2sIHHI", b"BM", 66 + 4, 0, 0, 66)
    info = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 16, 3, 4, 0, 0, 0, 0)
    masks = struct.pack("<3I", 0xF800, 0x7E0, 0x1F)
    (tmp_path / "image.bmp").write_bytes(header + info + masks + b"\xff\xff\0\0")
    assert read_image(tmp_path / "image.bmp").tolist() == [[[255, 255, 255]]]


def ftyp(*brands):
    first, *others = brands
    content = first + bytes(4) + b"".join(others)
    return struct.pack(">I4s", 8 + len(content), b"ftyp") + content


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ftyp(b"heic", b"mif1", b"heic"), "deep is HEIC, which tfsq does not read; convert it to"),
        (ftyp(b"mif1", b"heic"), "deep is HEIC"),
        (ftyp(b"heix"), "deep is HEIC"),
        (ftyp(b"crx ", b"isom"), "deep is a camera's raw file, .*; develop it first"),
        (tiff(np.uint16, (4, 4), photometric="cfa"), "deep is a camera's raw file, .*; develop"),
        (b"FUJIFILMCCD-RAW 0201", "deep is a camera's raw file"),
        (b"v/1\x01" + bytes(40), "deep is OpenEXR, .*; convert it to PNG or JPEG first"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "deep is JPEG XL"),
    ],
)
def test_images_of_other_kinds_are_named_with_what_to_do(data, message, tmp_path, monkeypatch):
    # Pillow reads JPEG XL once a test has loaded the plugin.
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "JXL"])
    refused(data, tmp_path, message)


@pytest.mark.parametrize(
    "data",
    [ftyp(b"mp42", b"isom"), b"\0\0\0\x08ftyp", b"\xff\xff\xff\xffftypheic", b"II*\0", b"8BPS"]
    # Bits per sample that are text; segments of a JPEG without end.
    + [
        struct.pack("<2sHIHHHI4sI", b"II", 42, 8, 1, tag, kind, 2, b"8\0\0\0", 0)
        for tag, kind in ((258, 2), (258, 7), (339, 2))
    ]
    + [b"\xff\xd8" + b"\xff\xe0\0\2" * 20_000],
)
def test_what_is_not_known_is_no_image(data, tmp_path):
    refused(data, tmp_path, "Not an image file: .*deep")


@needs_avif
def test_broken_avif_is_not_taken_for_heic(tmp_path):
    for data in (ftyp(b"avif", b"mif1"), ftyp(b"mif1", b"avif")):
        refused(data, tmp_path, "Not an image file: .*deep")


@pytest.mark.parametrize(
    ("image", "ending", "remedy"),
    [
        (Image.new("RGBA", (4, 4)), "png", "Flatten it first"),
        (Image.new("CMYK", (4, 4)), "jpg", "Convert it to RGB first"),
        (Image.new("1", (2**16 + 1, 1)), "png", "Scale it down or cut it up first"),
        (Image.new("1", (20_000, 10_000)), "png", "Scale it down or cut it up first"),
    ],
)
def test_refusals_say_what_to_do(image, ending, remedy, tmp_path):
    image.save(tmp_path / f"image.{ending}")
    with pytest.raises(ValueError, match=rf"image\.{ending} .*{remedy}\."):
        read_image(tmp_path / f"image.{ending}")


@pytest.mark.parametrize(
    ("image_format", "remedy"),
    [
        ("GIF", "Save one of them alone first"),
        ("TIFF", "Develop it, if it is a camera's raw file, or save one of them alone first"),
    ],
)
def test_of_several_frames_one_is_to_be_saved(image_format, remedy, tmp_path):
    frames = [Image.fromarray(photograph()[i : i + 20, :30]) for i in (0, 40)]
    file = io.BytesIO()
    frames[0].save(file, image_format, save_all=True, append_images=frames[1:])
    refused(file.getvalue(), tmp_path, rf"has 2 frames; .*\. {remedy}\.")
