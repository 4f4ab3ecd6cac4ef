import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfsq.codec import BitstreamError, Container, pack, unpack

STRINGS = st.lists(st.binary(max_size=40), max_size=5)


def container(strings=(b"abc", b"")):
    return Container(bytes(range(16)), 3, 5, tuple(strings))


@given(st.binary(min_size=16, max_size=16), st.integers(1, 2**32 - 1), STRINGS)
def test_round_trip_at_the_stated_size(model_id, size, strings):
    packed = pack(Container(model_id, size, 1, tuple(strings)))
    assert unpack(packed) == Container(model_id, size, 1, tuple(strings))
    assert len(packed) == sum(map(len, strings)) + 34 + 4 * len(strings)
    assert unpack(packed).payload_bytes == sum(map(len, strings))


def test_layout_is_the_documented_one():
    body = b"TFSQ\x01" + bytes(range(16)) + struct.pack("<IIBII", 3, 5, 2, 3, 0) + b"abc"
    assert pack(container()) == body + struct.pack("<I", zlib.crc32(body))


def test_every_truncation_and_every_flipped_bit_is_refused():
    data = pack(container())
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            unpack(data[:length])
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BitstreamError):
            unpack(bytes(damaged))


def resealed(body):
    return body + struct.pack("<I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Not a .tfsq file"),
        (b"\x89PNG\r\n", "Not a .tfsq file"),
        (b"TFSQ\x01", "Truncated"),
        (b"TFSQ\x02" + bytes(60), "Unknown version of the .tfsq format: 2"),
        (resealed(pack(container())[:-4] + b"x"), "lengths do not add up"),
        (resealed(b"TFSQ\x01" + bytes(16) + struct.pack("<IIB", 3, 5, 255)), "table of lengths"),
        (resealed(b"TFSQ\x01" + bytes(16) + struct.pack("<IIB", 0, 5, 0)), "do not add up"),
    ],
)
def test_errors_say_what_is_wrong(data, message):
    with pytest.raises(BitstreamError, match=message):
        unpack(data)
