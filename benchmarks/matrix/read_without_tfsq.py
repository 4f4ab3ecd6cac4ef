"""Decodes `.tfsq` files by docs/format.md alone: TensorFlow and the ops of TFC, without tfsq."""

import collections
import pathlib
import struct
import sys
import zlib

import numpy as np
import tensorflow as tf
import tensorflow_compression_ops  # noqa: F401  (registers the ops)


def decoded(data, module):
    """The pixels, or an exception."""
    magic, version, color, _, height, width, n = struct.unpack_from("<4sBB16sIIB", data)
    assert (magic, color) == (b"TFSQ", 1)
    assert struct.unpack("<I", data[-4:])[0] == zlib.crc32(data[:-4])
    header = {2: 31, 3: 33}[version]
    quality = {}
    if version == 3:
        quality = {"quality": tf.constant(struct.unpack_from("<H", data, 31)[0] / 1000, tf.float32)}
    lengths = struct.unpack_from(f"<{n}I", data, header)
    seal = zlib.crc32(data[:header])
    bound = struct.unpack_from(f"<{n}I", data, header + 4 * n)
    fingerprints = [list(struct.pack("<I", value ^ seal)) for value in bound]
    ends = np.cumsum([header + 8 * n, *lengths])
    strings = [data[start:end] for start, end in zip(ends, ends[1:])]
    return module.signatures["decompress"](
        strings=tf.constant(strings),
        fingerprints=tf.constant(fingerprints, tf.uint8),
        size=tf.constant([height, width]),
        **quality,
    )["image"].numpy()


folder = pathlib.Path(sys.argv[1])
counts, largest = collections.Counter(), 0
for networks in sorted((folder / "networks").iterdir()):
    module = tf.saved_model.load(str(networks))
    for file in sorted(folder.glob(f"*/{networks.name} [0-9]*.tfsq")):
        try:
            pixels = decoded(file.read_bytes(), module).astype(int)
            largest = max(largest, np.abs(pixels - np.load(file.with_suffix(".npy"))).max())
            counts["same symbols"] += 1
        except tf.errors.InvalidArgumentError:
            counts["other symbols"] += 1
print(f"TensorFlow {tf.__version__}: {dict(counts)}, pixels off by at most {largest}")
assert counts["same symbols"] and not counts["other symbols"] and largest <= 1
