import dataclasses
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfsq.codec import BitstreamError, Container, pack, unpack
from tfsq.codec.container import read

# As files hold them, in thousandths; None of a network of a single rate.
QUALITIES = st.one_of(st.none(), st.integers(1000, 65_000).map(lambda whole: whole / 1000))
STRINGS = st.lists(st.binary(max_size=40), max_size=5)


def container(strings=(b"abc", b""), quality=None):
    fingerprints = tuple(bytes([i, 1, 2, 3]) for i in range(len(strings)))
    return Container(bytes(range(16)), 3, 5, tuple(strings), fingerprints, quality)


@given(st.binary(min_size=16, max_size=16), st.integers(1, 2**16), STRINGS, QUALITIES)
def test_round_trip_at_the_stated_size(model_id, size, strings, quality):
    held = dataclasses.replace(container(strings, quality), model_id=model_id, height=size)
    packed = pack(held)
    assert unpack(packed) == held
    of_quality = 0 if quality is None else 2
    assert len(packed) == sum(map(len, strings)) + 35 + 8 * len(strings) + of_quality
    assert unpack(packed).payload_bytes == sum(map(len, strings))


@pytest.mark.parametrize(("quality", "version"), [(None, 2), (3.5, 3)])
def test_layout_is_the_documented_one(quality, version):
    body = b"TFSQ" + bytes([version, 1, *range(16)]) + struct.pack("<IIB", 3, 5, 2)
    if quality is not None:
        body += struct.pack("<H", 3500)
    seal = zlib.crc32(body)
    body += struct.pack("<II", 3, 0)
    for fingerprint in (0x03020100, 0x03020101):
        body += struct.pack("<I", fingerprint ^ seal)
    body += b"abc"
    assert pack(container(quality=quality)) == body + struct.pack("<I", zlib.crc32(body))


@pytest.mark.parametrize("quality", [0.999, 65.001, float("nan")])
def test_qualities_that_no_file_holds_are_refused(quality):
    with pytest.raises(ValueError, match="`quality` must be from 1 to 65"):
        pack(container(quality=quality))


@pytest.mark.parametrize("quality", [None, 1.5])
def test_every_truncation_and_every_flipped_bit_is_refused(quality):
    data = pack(container(quality=quality))
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
        (b"TFSQ\x02", "Truncated"),
        (b"TFSQ\x01", "Unknown version of the .tfsq format: 1"),
        (b"TFSQ\x04" + bytes(60), "Unknown version of the .tfsq format: 4; .* reads 2 and 3"),
        (resealed(b"TFSQ\x02\x07" + bytes(16) + struct.pack("<IIB", 3, 5, 0)), "color .*: 7"),
        (
            b"TFSQ\x02\x01" + bytes(16) + struct.pack("<II", 3, 5) + bytes(268_324),
            "more than any of",
        ),
        (resealed(pack(container())[:-4] + b"x"), "lengths do not add up"),
        (resealed(b"TFSQ\x02\x01" + bytes(16) + struct.pack("<IIB", 3, 5, 255)), "table of"),
        (resealed(b"TFSQ\x02\x01" + bytes(16) + struct.pack("<IIB", 0, 5, 0)), "1 to .* pixels"),
        (resealed(b"TFSQ\x02\x01" + bytes(16) + struct.pack("<IIB", 1, 65537, 0)), "65537x1"),
        (resealed(b"TFSQ\x02\x01" + bytes(16) + struct.pack("<IIB", 2**14, 2**14, 0)), "16384"),
    ],
)
def test_errors_say_what_is_wrong(data, message):
    with pytest.raises(BitstreamError, match=message):
        unpack(data)


def test_no_more_is_read_than_a_file_may_have(tmp_path):
    path = tmp_path / "huge.tfsq"
    data = pack(container())
    path.write_bytes(data)
    assert read(path) == unpack(data)
    with path.open("r+b") as file:
        # Sparse: there is no such memory to read it into.
        file.truncate(2**42)
    with pytest.raises(BitstreamError, match="more than any of"):
        read(path)
    path.write_bytes(data[:20])
    with pytest.raises(BitstreamError, match="Truncated"):
        read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "`height` and `width` must be .* Received: 0 and"),
        ({"width": -1}, "`height` and `width` must be"),
        ({"model_id": b"x"}, "`model_id` and `fingerprints` must have 16 and 4 bytes"),
        ({"fingerprints": (b"x" * 4,)}, "a fingerprint each. Received: 2 and 1 fingerprints"),
        ({"fingerprints": (b"x", b"y")}, "`model_id` and `fingerprints` must have"),
        ({"height": 1, "width": 1, "strings": (bytes(2**18), b"")}, "`strings` are longer than"),
    ],
)
def test_what_would_not_be_read_is_not_written(change, message):
    with pytest.raises(ValueError, match=message):
        pack(dataclasses.replace(container(), **change))
