"""The `.tfsq` file format, version 2; `docs/format.md` specifies it byte by byte."""

from __future__ import annotations

import dataclasses
import struct
import zlib

from tfsq.codec.errors import BitstreamError

_MAGIC = b"TFSQ"
_VERSION = 2
# 8-bit sRGB.
_COLOR = 1
_HEADER = struct.Struct("<4sBB16sIIB")
_LENGTH = struct.Struct("<I")
_CHECKSUM = struct.Struct("<I")
FINGERPRINT_BYTES = 4
# Of an image; keeps what a hostile header can make a decoder allocate within bounds.
MAX_PIXELS, MAX_SIDE = 2**27, 2**16


@dataclasses.dataclass(frozen=True)
class Container:
    """What a `.tfsq` file holds.

    Attributes:
      model_id: 16 bytes that name the model.
      height: Height of the image, in pixels.
      width: Width of the image, in pixels.
      strings: The range-coded strings, in the order of the model's parts.
      fingerprints: 4 bytes for each string, of what it decodes to.
    """

    model_id: bytes
    height: int
    width: int
    strings: tuple[bytes, ...]
    fingerprints: tuple[bytes, ...]

    @property
    def payload_bytes(self) -> int:
        """Length of the strings together, in bytes."""
        return sum(map(len, self.strings))


def is_codable(height: int, width: int) -> bool:
    """Returns whether an image of that size is neither empty nor too large.

    Args:
      height: In pixels.
      width: In pixels.
    """
    return 0 < height * width <= MAX_PIXELS and max(height, width) <= MAX_SIDE


def pack(container: Container) -> bytes:
    """Returns the bytes of a `.tfsq` file: those of the strings, plus 35, plus 8 a string.

    Args:
      container: What the file is to hold.
    """
    header = _HEADER.pack(
        _MAGIC,
        _VERSION,
        _COLOR,
        container.model_id,
        container.height,
        container.width,
        len(container.strings),
    )
    lengths = b"".join(_LENGTH.pack(len(string)) for string in container.strings)
    bound = (_bound(fingerprint, header) for fingerprint in container.fingerprints)
    body = b"".join((header, lengths, *bound, *container.strings))
    return body + _CHECKSUM.pack(zlib.crc32(body))


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
    if not data.startswith(_MAGIC):
        raise BitstreamError("Not a .tfsq file: it does not begin with 'TFSQ'.")
    if len(data) > len(_MAGIC) and data[len(_MAGIC)] != _VERSION:
        raise BitstreamError(
            f"Unknown version of the .tfsq format: {data[len(_MAGIC)]}; this tfsq reads version "
            f"{_VERSION}."
        )
    if len(data) < _HEADER.size + _CHECKSUM.size:
        raise BitstreamError(f"Truncated .tfsq file: {len(data)} bytes are less than a header.")
    body, checksum = data[: -_CHECKSUM.size], data[-_CHECKSUM.size :]
    if _CHECKSUM.pack(zlib.crc32(body)) != checksum:
        raise BitstreamError("Damaged or truncated .tfsq file: its checksum does not match.")
    _, _, color, model_id, height, width, count = _HEADER.unpack_from(data)
    if color != _COLOR:
        raise BitstreamError(f"Unknown kind of color in a .tfsq file: {color}.")
    if not is_codable(height, width):
        raise BitstreamError(
            f"A .tfsq file must hold an image of 1 to {MAX_PIXELS} pixels, at most {MAX_SIDE} a "
            f"side. Received: {width}x{height}"
        )
    fingerprints = _HEADER.size + count * _LENGTH.size
    start = fingerprints + count * FINGERPRINT_BYTES
    if start > len(body):
        raise BitstreamError("Damaged .tfsq file: the table of lengths exceeds the file.")
    lengths = [_LENGTH.unpack_from(body, _HEADER.size + i * _LENGTH.size)[0] for i in range(count)]
    if start + sum(lengths) != len(body):
        raise BitstreamError("Damaged .tfsq file: its lengths do not add up.")
    strings = []
    for length in lengths:
        strings.append(body[start : start + length])
        start += length
    bound = (body[fingerprints + i * FINGERPRINT_BYTES :][:FINGERPRINT_BYTES] for i in range(count))
    header = body[: _HEADER.size]
    return Container(
        model_id, height, width, tuple(strings), tuple(_bound(f, header) for f in bound)
    )
