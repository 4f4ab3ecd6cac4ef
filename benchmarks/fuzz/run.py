"""Mutated files: each must be refused with `BitstreamError`, or decode to what it did before.

    python -m benchmarks.fuzz.run

Mutations are seeded by their number. Half of them get a valid checksum again, so that decoders see
them. Who has the model can also forge files whose fingerprints are valid: of long and thin images
with any latents, which must decode, and of many long strings or of another quality, which must be
refused. Decoding happens in this process: if one takes it down, the file is found in
`current.tfsq`.
"""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import pathlib
import resource
import struct
import tempfile
import time
import zlib

import numpy as np

from benchmarks import rows as tables
from benchmarks.corpus import export_networks, images, link_shipped, load_codecs, qualities_of
from tfsq import codec
from tfsq.codec import tiling
from tfsq.codec.container import largest_file

RESULTS = pathlib.Path("results/fuzz")
LIMIT_SECONDS, LIMIT_BYTES = 5.0, 2 * 2**30
ALLOWED = (
    "refused",
    "decoded as before",
    "another file",
    "decoded, as it has to be",
    "refused, as it has to be",
)
COLUMNS = ("network", "mutation", "sealed", "outcome", "count", "most_seconds")


def flip_bit(data, rng, others):
    """One bit."""
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)


def set_bytes(data, rng, others):
    """Some bytes in a row, at random."""
    start = rng.integers(len(data))
    count = min(rng.integers(1, 9), len(data) - start)
    data[start : start + count] = rng.bytes(count)


def set_header(data, rng, others):
    """A byte of the header or of the tables behind it."""
    data[rng.integers(4, min(47, len(data)))] = rng.integers(256)


def set_size(data, rng, others):
    """Height or width, to anything."""
    struct.pack_into("<I", data, 22 + 4 * rng.integers(2), rng.integers(2 ** rng.integers(1, 33)))


def set_length(data, rng, others):
    """The length of a string, to anything."""
    # Behind the header, which a quality makes longer.
    start = 33 if data[4] == 3 else 31
    place = start + 4 * rng.integers(2)
    struct.pack_into("<I", data, place, rng.integers(2 ** rng.integers(1, 33)))


def set_quality(data, rng, others):
    """The quality that a file of version 3 has there, to anything."""
    struct.pack_into("<H", data, 31, rng.integers(2**16))


def truncate(data, rng, others):
    """The end is missing."""
    del data[rng.integers(len(data)) :]


def extend(data, rng, others):
    """There is more at the end."""
    data += rng.bytes(rng.integers(1, 40))


def splice(data, rng, others):
    """The end of another file."""
    other = others[rng.integers(len(others))]
    start = rng.integers(min(len(data), len(other)))
    data[start:] = other[start:]


def cut_out(data, rng, others):
    """Something in the middle is missing."""
    start = rng.integers(len(data))
    del data[start : start + rng.integers(1, 20)]


MUTATIONS = (
    flip_bit,
    set_bytes,
    set_header,
    set_size,
    set_length,
    set_quality,
    truncate,
    extend,
    splice,
    cut_out,
)


def mutated(number: int, files: list[bytes]) -> tuple[int, str, bool, bytes]:
    """Returns which file was mutated, how, whether its checksum was repaired, and the result."""
    rng = np.random.default_rng((7, number))
    chosen, mutation = rng.integers(len(files)), MUTATIONS[rng.integers(len(MUTATIONS))]
    data, sealed = bytearray(files[chosen]), bool(rng.integers(2))
    mutation(data, rng, files)
    if sealed and len(data) > 4:
        data[-4:] = struct.pack("<I", zlib.crc32(data[:-4]))
    return int(chosen), mutation.__name__, sealed, bytes(data)


def thin_image(number: int, found: codec.Codec) -> bytes:
    """A valid file of random latents, of an image of at most a megapixel when it is padded."""
    rng = np.random.default_rng((8, number))
    sides = [int(rng.integers(1, 65)), int(2 ** rng.uniform(0.0, 14.0))]
    height, width = rng.permutation(sides)
    latents = tiling.analyze(np.zeros((height, width, 3), np.uint8), found)
    scale = 10.0 ** rng.uniform(-1.0, 2.0)
    random = {
        name: (scale * rng.standard_normal(np.shape(latent))).astype(np.float32)
        for name, latent in latents.items()
    }
    quality = rng.choice(qualities_of(found, 8))
    return codec.compress_latents(random, (int(height), int(width)), found, quality)


def long_strings(number: int, found: codec.Codec) -> bytes:
    """A file of any number of strings with as many bytes as an image of its size may have."""
    rng = np.random.default_rng((9, number))
    size = int(2 ** rng.uniform(0.0, 12.0)), int(2 ** rng.uniform(0.0, 12.0))
    count = len(found.metadata["parts"]) if rng.integers(2) else int(rng.integers(1, 256))
    longest = (largest_file(*size) - 4096) // count
    strings = tuple(rng.bytes(longest) for _ in range(count))
    fingerprints = tuple(rng.bytes(4) for _ in range(count))
    quality = qualities_of(found, 1)[0]
    return codec.pack(codec.Container(found.model_id, *size, strings, fingerprints, quality))


def another_quality(number: int, found: codec.Codec) -> bytes:
    """A file whose strings and fingerprints are those of a quality that is not near to its own."""
    rng = np.random.default_rng((10, number))
    least, most = rng.permutation([rng.uniform(1.0, 1.5), rng.uniform(2.0, len(found.ladder))])
    held = codec.unpack(codec.compress(images()[number % 2], found, quality=float(least)))
    return codec.pack(dataclasses.replace(held, quality=float(found.checked_quality(most))))


def forge(count: int, codecs: dict) -> list[dict]:
    """Decodes forged files of all codecs, and counts what comes of them."""
    counts: dict[tuple, list[float]] = {}
    names = sorted(codecs)
    for number in range(count):
        name = names[number % len(names)]
        makers = [(thin_image, "decoded"), (long_strings, "refused")]
        if codecs[name].ladder:
            makers.append((another_quality, "refused"))
        for maker, allowed in makers:
            data = maker(number, codecs[name])
            start = time.perf_counter()
            try:
                codec.decompress(data, codecs[name])
                outcome = "decoded"
            except codec.BitstreamError:
                outcome = "refused"
            except Exception as error:
                outcome = f"error: {type(error).__name__}"
            seconds = time.perf_counter() - start
            if seconds > LIMIT_SECONDS:
                outcome = "hang"
            elif outcome == allowed:
                outcome = f"{allowed}, as it has to be"
            counts.setdefault((name, maker.__name__, True, outcome), []).append(seconds)
    return _rows(counts)


def outcome_of(data: bytes, found: codec.Codec, expected: np.ndarray) -> str:
    """What decoding a mutated file ends in."""
    try:
        decoded = codec.decompress(data, found)
    except codec.BitstreamError:
        return "refused"
    except Exception as error:
        return f"error: {type(error).__name__}"
    return "decoded as before" if np.array_equal(decoded, expected) else "wrong picture"


def fuzz(count: int, codecs: dict, folder: pathlib.Path) -> list[dict]:
    """Decodes mutated files of all codecs, and counts what comes of them."""
    corpus = [
        (name, found, data, codec.decompress(data, found))
        for name, found in codecs.items()
        for image in images()
        for quality in qualities_of(found, 2)
        for data in [codec.compress(image, found, quality=quality)]
    ]
    files = [data for _, _, data, _ in corpus]
    counts: dict[tuple, list[float]] = {}
    for number in range(count):
        chosen, mutation, sealed, data = mutated(number, files)
        (folder / "current.tfsq").write_bytes(data)
        name, found, _, expected = corpus[chosen]
        start = time.perf_counter()
        outcome = "another file" if data in files else outcome_of(data, found, expected)
        seconds = time.perf_counter() - start
        if seconds > LIMIT_SECONDS:
            outcome = "hang"
        counts.setdefault((name, mutation, sealed, outcome), []).append(seconds)
    return _rows(counts)


def _rows(counts: dict[tuple, list[float]]) -> list[dict]:
    return [
        dict(zip(COLUMNS, (*key, len(seconds), f"{max(seconds):.3f}")))
        for key, seconds in sorted(counts.items())
    ]


def failures(rows: list[dict]) -> list[dict]:
    """Those that may not be."""
    return [row for row in rows if row["outcome"] not in ALLOWED]


def main() -> None:
    """Fuzzes, writes `fuzz.csv` and `fuzz.txt`, and fails if a file should have been refused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--forged", type=int, default=300, help="Of each kind.")
    arguments = parser.parse_args()
    # A decoder that hangs for good ends the process, and says where.
    faulthandler.dump_traceback_later(3600, exit=True)
    with tempfile.TemporaryDirectory() as folder:
        export_networks(pathlib.Path(folder, "networks"))
        link_shipped(pathlib.Path(folder, "networks"))
        codecs = load_codecs(pathlib.Path(folder, "networks"))
        rows = fuzz(arguments.count, codecs, pathlib.Path(folder))
        rows += forge(arguments.forged, codecs)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tables.write(rows, RESULTS / "fuzz.csv")
    forged = sum(row["count"] for row in rows) - arguments.count
    slowest = max(float(row["most_seconds"]) for row in rows)
    text = (
        f"{arguments.count} mutated and {forged} forged files of {len(codecs)} "
        f"codecs: {len(failures(rows))} kinds of failure, slowest {slowest:.2f} s, peak memory "
        f"{peak / 2**20:.0f} MiB\n"
    )
    (RESULTS / "fuzz.txt").write_text(text)
    print(text, end="")
    assert not failures(rows), failures(rows)
    assert peak < LIMIT_BYTES, peak


if __name__ == "__main__":
    main()
