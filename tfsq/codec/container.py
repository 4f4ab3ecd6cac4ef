"""The `.tfsq` file format, version 1; all integers little-endian.

offset  bytes  content
0       4      magic, "TFSQ"
4       1      version, 1
5       16     first half of the model's SHA-256
21      4      image height
25      4      image width
29      1      number of strings, n
30      4 n    length of each string
...            the strings
end-4   4      CRC-32 of everything before
"""

from __future__ import annotations

import dataclasses
import struct
import zlib

from tfsq.codec.errors import BitstreamError

_MAGIC = b"TFSQ"
_VERSION = 1
_HEADER = struct.Struct("<4sB16sIIB")
_LENGTH = struct.Struct("<I")
_CHECKSUM = struct.Struct("<I")


@dataclasses.dataclass(frozen=True)
class Container:
    """What a `.tfsq` file holds.

    Attributes:
      model_id: 16 bytes that name the model.
      height: Height of the image, in pixels.
      width: Width of the image, in pixels.
      strings: The range-coded strings, in the order of the model's parts.
    """

    model_id: bytes
    height: int
    width: int
    strings: tuple[bytes, ...]

    @property
    def payload_bytes(self) -> int:
        """Length of the strings together, in bytes."""
        return sum(map(len, self.strings))


def pack(container: Container) -> bytes:
    """Returns the bytes of a `.tfsq` file: those of the strings, plus 34, plus 4 a string.

    Args:
      container: What the file is to hold.
    """
    header = _HEADER.pack(
        _MAGIC,
        _VERSION,
        container.model_id,
        container.height,
        container.width,
        len(container.strings),
    )
    lengths = b"".join(_LENGTH.pack(len(string)) for string in container.strings)
    body = header + lengths + b"".join(container.strings)
    return body + _CHECKSUM.pack(zlib.crc32(body))


def unpack(data: bytes) -> Container:
    """Reads the bytes of a `.tfsq` file.

    Args:
      data: The whole file.

    Returns:
      The contents.

    Raises:
      BitstreamError: if `data` is not such a file, of another version, truncated or damaged.
    """
    if not data.startswith(_MAGIC):
        raise BitstreamError("Not a .tfsq file: it does not begin with 'TFSQ'.")
    if len(data) < _HEADER.size + _CHECKSUM.size:
        raise BitstreamError(f"Truncated .tfsq file: {len(data)} bytes are less than a header.")
    _, version, model_id, height, width, count = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise BitstreamError(
            f"Unknown version of the .tfsq format: {version}; this tfsq reads version {_VERSION}."
        )
    body, checksum = data[: -_CHECKSUM.size], data[-_CHECKSUM.size :]
    if _CHECKSUM.pack(zlib.crc32(body)) != checksum:
        raise BitstreamError("Damaged or truncated .tfsq file: its checksum does not match.")
    start = _HEADER.size + count * _LENGTH.size
    if start > len(body):
        raise BitstreamError("Damaged .tfsq file: the table of lengths exceeds the file.")
    lengths = [_LENGTH.unpack_from(body, _HEADER.size + i * _LENGTH.size)[0] for i in range(count)]
    if start + sum(lengths) != len(body) or not (height and width):
        raise BitstreamError("Damaged .tfsq file: its lengths do not add up.")
    strings = []
    for length in lengths:
        strings.append(body[start : start + length])
        start += length
    return Container(model_id, height, width, tuple(strings))
