"""(e) Start-up, as whole processes: imports, loading, a command on an image."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import skimage.data
import tensorflow as tf

from benchmarks.speed.timing import in_turns, rows_of
from tfsq import codec

IMPORTS = {
    "import tensorflow_compression": "import tensorflow_compression",
    "import tfsq": "import tfsq",
    "load a shipped codec": "from tfsq import codec; codec.shipped_codec()",
}


def process(*command: str):
    """The way to run a command."""

    def seconds():
        began = time.perf_counter()
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    return seconds


def measure(_) -> list[dict]:
    """Rows for all commands."""
    tfsq = str(pathlib.Path(sys.executable).with_name("tfsq"))
    with tempfile.TemporaryDirectory() as folder:
        png, coded, decoded = (f"{folder}/{name}" for name in ("a.png", "a.tfsq", "b.png"))
        image = tf.image.resize(skimage.data.astronaut(), (512, 768)).numpy()
        codec.write_image(image.astype("uint8"), png)
        codec.compress_file(png, coded, codec.shipped_codec())
        ways = {name: process(sys.executable, "-c", code) for name, code in IMPORTS.items()}
        ways["tfsq --help"] = process(tfsq, "--help")
        ways["tfsq info"] = process(tfsq, "info", coded)
        compressing = ("compress", png, f"{folder}/b.tfsq", "--force")
        ways["tfsq compress, 768x512"] = process(tfsq, *compressing)
        decompressing = ("decompress", coded, decoded, "--force")
        ways["tfsq decompress, 768x512"] = process(tfsq, *decompressing)
        return rows_of(in_turns(ways), "import tensorflow_compression")
