"""What headers of image files say and Pillow does not: bits, profiles, kinds it does not read."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from PIL import Image, TiffImagePlugin

_BITS_PER_SAMPLE = 258
_SAMPLE_FORMAT, _OF_FLOATS = 339, 3
# What a sensor counts, as DNG has it: behind a mosaic of filters, or with colors filled in.
_PHOTOMETRIC, _OF_SENSORS = 262, (32803, 34892)
_CODESTREAM = b"\xff\x4f\xff\x51"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Before the frame of a JPEG; a file that was made to keep us reading has more.
_MOST_SEGMENTS = 10_000
_FRAMES_OF_JPEG = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_CONVERT = "convert it to PNG or JPEG first"
_DEVELOP = "develop it first, as PNG for instance"
_RAW = "a camera's raw file"
# How files of other kinds begin, what they are, what to do.
_OTHER_KINDS = (
    (b"v/1\x01", "OpenEXR", _CONVERT),
    (b"#?RADIANCE", "Radiance HDR", _CONVERT),
    (b"#?RGBE", "Radiance HDR", _CONVERT),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", _CONVERT),
    (b"\xff\x0a", "JPEG XL", _CONVERT),
    (b"%PDF-", "PDF", _CONVERT),
    (b"FUJIFILMCCD-RAW", _RAW, _DEVELOP),
    (b"FOVb", _RAW, _DEVELOP),
    (b"IIU\0", _RAW, _DEVELOP),
    (b"IIRO", _RAW, _DEVELOP),
    (b"IIRS", _RAW, _DEVELOP),
    (b"MMOR", _RAW, _DEVELOP),
)
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}


class Samples(NamedTuple):
    """How a file that Pillow cannot read holds its pixels."""

    bits: int
    are_floats: bool


def boxes(file, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yields the boxes of JPEG 2000, AVIF and HEIC: name, begin and end of what is in them.

    Args:
      file: Binary file object that can seek.
      start: Where the first box begins.
      end: Where the last one ends; that of the file if None.
    """
    if end is None:
        file.seek(0, 2)
        end = file.tell()
    while start + 8 <= end:
        file.seek(start)
        header = file.read(16)
        size, name = struct.unpack_from(">I4s", header)
        begin = start + 8
        if size == 1 and len(header) == 16:
            (size,) = struct.unpack_from(">Q", header, 8)
            begin += 8
        # A size of zero: up to the end.
        start = start + size if size else end
        if not begin <= start <= end:
            return
        yield name, begin, start


def _within(file, *names: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields the boxes in the first box of these names, each in the one before it."""
    start, end = 0, None
    for name in names:
        found = next((box for box in boxes(file, start, end) if box[0] == name), None)
        if found is None:
            return
        # A `meta` box has four bytes of version and flags before its boxes.
        start, end = found[1] + (4 if name == b"meta" else 0), found[2]
    yield from boxes(file, start, end)


def _content(file, box) -> bytes:
    _, begin, end = box
    file.seek(begin)
    return file.read(end - begin)


def bits_of_jpeg2000(file) -> list[int]:
    """Returns the bits of each component of the codestream, or of each column of a palette.

    Args:
      file: JPEG 2000, with boxes or without.

    Raises:
      ValueError: if there is no codestream.
    """
    file.seek(0)
    start = 0
    if file.read(4) != _CODESTREAM:
        start = next((begin for name, begin, _ in boxes(file) if name == b"jp2c"), 0)
    file.seek(start)
    header = file.read(42)
    if len(header) < 42 or not header.startswith(_CODESTREAM):
        raise ValueError("no codestream")
    (count,) = struct.unpack_from(">H", header, 40)
    depths = file.read(3 * count)[::3]
    for box in _within(file, b"jp2h"):
        if box[0] == b"pclr":
            palette = _content(file, box)
            # What components hold are indices, then.
            depths = palette[3 : 3 + palette[2]]
    # The highest bit says whether numbers are signed, which Pillow minds.
    return [1 + (depth & 0x7F) for depth in depths]


def profile_of_jpeg2000(file) -> bytes | None:
    """Returns the ICC profile, which Pillow leaves in the file, or None if it holds none."""
    color = next((box for box in _within(file, b"jp2h") if box[0] == b"colr"), None)
    content = b"" if color is None else _content(file, color)
    is_profile = content[:1] in (b"\2", b"\3")
    return content[3:] if is_profile else None


def bits_of_avif(file) -> int:
    """Returns the most bits that an image in the file has, which libavif turns into 8."""
    bits = 8
    for box in _within(file, b"meta", b"iprp", b"ipco"):
        if box[0] == b"av1C":
            # Marker and version, profile and level, then flags: tier, more than 8 bits, 12 bits.
            flags = _content(file, box)[2:3] or b"\0"
            if flags[0] & 0x40:
                bits = max(bits, 12 if flags[0] & 0x20 else 10)
    return bits


def samples_of_tags(tags: Mapping[int, Any]) -> Samples:
    """Returns how a TIFF with these tags holds its pixels."""
    bits = _numbers(tags.get(_BITS_PER_SAMPLE))
    return Samples(max(bits, default=8), _OF_FLOATS in _numbers(tags.get(_SAMPLE_FORMAT)))


def _numbers(value: Any) -> tuple[int, ...]:
    """Those that a tag holds; a damaged one may hold text."""
    values = value if isinstance(value, tuple) else (value,)
    return tuple(number for number in values if isinstance(number, int))


def samples_of_unread(file) -> Samples | None:
    """Returns how a TIFF, JPEG or PSD that Pillow does not open holds pixels; None of others."""
    file.seek(0)
    begin = file.read(26)
    if begin.startswith(_TIFF):
        return samples_of_tags(_tags(file))
    if begin.startswith(b"8BPS") and len(begin) == 26:
        (bits,) = struct.unpack_from(">H", begin, 22)
        return Samples(bits, bits == 32)
    if begin.startswith(b"\xff\xd8\xff"):
        return Samples(_bits_of_jpeg(file), are_floats=False)
    return None


def _tags(file) -> Mapping[int, Any]:
    file.seek(0)
    header = file.read(8)
    if b"+" in header[2:4]:  # BigTIFF
        header += file.read(8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tags = TiffImagePlugin.ImageFileDirectory_v2(header)
            file.seek(tags.next)
            tags.load(file)
            return dict(tags)
    except Exception:
        # Damaged, which is what the caller says of files that hold nothing else of note.
        return {}


def _bits_of_jpeg(file) -> int:
    place = 2
    for _ in range(_MOST_SEGMENTS):
        file.seek(place)
        segment = file.read(5)
        if len(segment) < 5 or segment[0] != 0xFF:
            return 8
        if segment[1] in _FRAMES_OF_JPEG:
            return segment[4]
        place += 2 + int.from_bytes(segment[2:4], "big")
    return 8


def other_kind(file) -> tuple[str, str] | None:
    """Returns what a file is that Pillow does not open, and what to do, or None if unknown."""
    file.seek(0)
    begin = file.read(32)
    for signature, kind, remedy in _OTHER_KINDS:
        if begin.startswith(signature):
            return kind, remedy
    if begin.startswith(_TIFF) and _tags(file).get(_PHOTOMETRIC) in _OF_SENSORS:
        return _RAW, _DEVELOP
    if begin[4:8] != b"ftyp":
        return None
    first = next(boxes(file), None)
    content = b"" if first is None else _content(file, first)
    # The second four bytes are a version, and are no brand.
    brands = {content[i : i + 4] for i in range(0, len(content), 4)}
    if b"crx " in brands:
        return _RAW, _DEVELOP
    if brands & _AVIF:
        old = "AVIF, for which Pillow is too old", "update Pillow to 11.3, or convert it to PNG"
        return None if "AVIF" in Image.OPEN else old
    return ("HEIC", _CONVERT) if brands & _HEIC else None
