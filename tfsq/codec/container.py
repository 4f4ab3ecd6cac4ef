"""The `.tfsq` file format, versions 2 and 3; `docs/format.md` specifies it byte by byte."""

from __future__ import annotations

import dataclasses
import pathlib
import struct
import zlib

from tfsq.codec.errors import BitstreamError

_MAGIC = b"TFSQ"
# Of one rate, and of many: the latter with a quality in the header.
_VERSION, _VERSION_WITH_QUALITY = 2, 3
# 8-bit sRGB.
_COLOR = 1
_HEADER = struct.Struct("<4sBB16sIIB")
_QUALITY = struct.Struct("<H")
_LENGTH = struct.Struct("<I")
_CHECKSUM = struct.Struct("<I")
FINGERPRINT_BYTES = 4
# Of an image; keeps what a hostile header can make a decoder allocate within bounds.
MAX_PIXELS, MAX_SIDE = 2**27, 2**16
# A file holds a quality in thousandths.
QUALITY_PARTS, _LARGEST_QUALITY = 1000, 65


@dataclasses.dataclass(frozen=True)
class Container:
    """What a `.tfsq` file holds.

    Attributes:
      model_id: 16 bytes that name the model.
      height: Height of the image, in pixels.
      width: Width of the image, in pixels.
      strings: The range-coded strings, in the order of the model's parts.
      fingerprints: 4 bytes for each string, of what it decodes to.
      quality: Of a network of many rates, see `stored_quality`; None of one of a single rate.
    """

    model_id: bytes
    height: int
    width: int
    strings: tuple[bytes, ...]
    fingerprints: tuple[bytes, ...]
    quality: float | None = None

    @property
    def payload_bytes(self) -> int:
        """Length of the strings together, in bytes."""
        return sum(map(len, self.strings))


def stored_quality(quality: float) -> float:
    """Returns the quality that a file holds in the place of another: the nearest thousandth.

    Args:
      quality: From 1 to 65.
    """
    return round(quality * QUALITY_PARTS) / QUALITY_PARTS


def is_codable(height: int, width: int) -> bool:
    """Returns whether an image of that size is neither empty nor too large.

    Args:
      height: In pixels.
      width: In pixels.
    """
    return (
        min(height, width) > 0 and height * width <= MAX_PIXELS and max(height, width) <= MAX_SIDE
    )


def pack(container: Container) -> bytes:
    """Returns the bytes of a `.tfsq` file.

    They are those of the strings, plus 35, plus 8 a string, plus 2 for a quality.

    Args:
      container: What the file is to hold.

    Raises:
      ValueError: if it is what `unpack` would refuse.
    """
    height, width, strings = container.height, container.width, container.strings
    if not is_codable(height, width):
        raise ValueError(
            f"`height` and `width` must be those of an image of 1 to {MAX_PIXELS} pixels, at most "
            f"{MAX_SIDE} a side. Received: {height} and {width}"
        )
    sizes = {len(fingerprint) for fingerprint in container.fingerprints}
    if len(container.model_id) != 16 or sizes - {FINGERPRINT_BYTES}:
        raise ValueError(
            f"`model_id` and `fingerprints` must have 16 and {FINGERPRINT_BYTES} bytes."
        )
    if not len(container.fingerprints) == len(strings) < 256:
        raise ValueError(
            "`strings` must be at most 255, with a fingerprint each. Received: "
            f"{len(strings)} and {len(container.fingerprints)} fingerprints"
        )
    if container.quality is not None and not 1 <= container.quality <= _LARGEST_QUALITY:
        raise ValueError(
            f"`quality` must be from 1 to {_LARGEST_QUALITY}. Received: {container.quality}"
        )
    header = _HEADER.pack(
        _MAGIC,
        _VERSION if container.quality is None else _VERSION_WITH_QUALITY,
        _COLOR,
        container.model_id,
        container.height,
        container.width,
        len(container.strings),
    )
    if container.quality is not None:
        header += _QUALITY.pack(round(container.quality * QUALITY_PARTS))
    lengths = b"".join(_LENGTH.pack(len(string)) for string in container.strings)
    bound = (_bound(fingerprint, header) for fingerprint in container.fingerprints)
    body = b"".join((header, lengths, *bound, *container.strings))
    data = body + _CHECKSUM.pack(zlib.crc32(body))
    if len(data) > largest_file(height, width):
        raise ValueError(
            f"`strings` are longer than a file of {width}x{height} pixels may be: {len(data)} "
            f"bytes, more than {largest_file(height, width)}."
        )
    return data


def _bound(fingerprint: bytes, header: bytes) -> bytes:
    """Binds a fingerprint to a header, or takes it back: to another header it is another one."""
    return bytes(a ^ b for a, b in zip(fingerprint, _CHECKSUM.pack(zlib.crc32(header))))


def unpack(data: bytes) -> Container:
    """Reads the bytes of a `.tfsq` file.

    Args:
      data: The whole file.

    Returns:
      The contents.

    Raises:
      BitstreamError: if `data` is not such a file, of another version, truncated or damaged, or
        if it claims an image of no pixels or too many.
    """
    height, width = _checked_size(data)
    if len(data) > largest_file(height, width):
        raise BitstreamError(
            f"Damaged .tfsq file: it has {len(data)} bytes, more than any of {width}x{height} "
            "pixels."
        )
    # A view, so that nothing large is copied but the strings.
    body, checksum = memoryview(data)[: -_CHECKSUM.size], data[-_CHECKSUM.size :]
    if _CHECKSUM.pack(zlib.crc32(body)) != checksum:
        raise BitstreamError("Damaged or truncated .tfsq file: its checksum does not match.")
    _, version, color, model_id, _, _, count = _HEADER.unpack_from(data)
    if color != _COLOR:
        raise BitstreamError(f"Unknown kind of color in a .tfsq file: {color}.")
    end = _HEADER.size + (_QUALITY.size if version == _VERSION_WITH_QUALITY else 0)
    header = bytes(body[:end])
    start = end + count * (_LENGTH.size + FINGERPRINT_BYTES)
    if start > len(body):
        raise BitstreamError("Damaged .tfsq file: the table of lengths exceeds the file.")
    lengths = struct.unpack_from(f"<{count}I", body, end)
    bound = struct.unpack_from(f"{FINGERPRINT_BYTES}s" * count, body, end + count * _LENGTH.size)
    if start + sum(lengths) != len(body):
        raise BitstreamError("Damaged .tfsq file: its lengths do not add up.")
    strings = []
    for length in lengths:
        strings.append(bytes(body[start : start + length]))
        start += length
    fingerprints = tuple(_bound(fingerprint, header) for fingerprint in bound)
    quality = None
    if version == _VERSION_WITH_QUALITY:
        quality = _QUALITY.unpack_from(header, _HEADER.size)[0] / QUALITY_PARTS
    return Container(model_id, height, width, tuple(strings), fingerprints, quality)


def read(path) -> Container:
    """Reads a `.tfsq` file, and no more of it than a file of its image can have.

    Args:
      path: The file.

    Returns:
      The contents.

    Raises:
      OSError: if it cannot be read.
      BitstreamError: as `unpack`.
    """
    with pathlib.Path(path).open("rb") as file:
        header = file.read(_HEADER.size)
        rest = largest_file(*_checked_size(header)) - len(header)
        # A byte more than there may be, which `unpack` refuses.
        return unpack(header + file.read(rest + 1))


def overhead(strings: int, has_quality: bool) -> int:
    """Returns the bytes of a file beside its strings.

    Args:
      strings: How many there are.
      has_quality: Boolean, whether it has a quality.
    """
    of_quality = _QUALITY.size if has_quality else 0
    of_a_string = _LENGTH.size + FINGERPRINT_BYTES
    return _HEADER.size + of_quality + strings * of_a_string + _CHECKSUM.size


def largest_file(height: int, width: int) -> int:
    """Returns the bytes that no file of an image of that size exceeds, more than its pixels have.

    Args:
      height: In pixels.
      width: In pixels.
    """
    return 4 * (height + 255) * (width + 255)


def _checked_size(data: bytes) -> tuple[int, int]:
    """Height and width in the header of a file that is one of ours by its first bytes."""
    if not data.startswith(_MAGIC):
        raise BitstreamError("Not a .tfsq file: it does not begin with 'TFSQ'.")
    known = (_VERSION, _VERSION_WITH_QUALITY)
    if len(data) > len(_MAGIC) and data[len(_MAGIC)] not in known:
        raise BitstreamError(
            f"Unknown version of the .tfsq format: {data[len(_MAGIC)]}; this tfsq reads "
            f"{' and '.join(map(str, known))}."
        )
    if len(data) < _HEADER.size:
        raise BitstreamError(f"Truncated .tfsq file: {len(data)} bytes are less than a header.")
    height, width = _HEADER.unpack_from(data)[4:6]
    if not is_codable(height, width):
        raise BitstreamError(
            f"A .tfsq file must hold an image of 1 to {MAX_PIXELS} pixels, at most {MAX_SIDE} a "
            f"side. Received: {width}x{height}"
        )
    return height, width
