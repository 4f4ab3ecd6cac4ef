"""Decoding in a second process: whether a file decodes elsewhere than where it was made."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from tfsq.codec.codec import Codec
from tfsq.codec.errors import VerificationError
from tfsq.codec.image_files import read_image


def check_verifiable(codec: Codec) -> None:
    """Checks that a second process can load a codec.

    Args:
      codec: The codec.

    Raises:
      ValueError: if it was not loaded from a folder.
    """
    if codec.folder is None:
        raise ValueError(
            "`verify` needs a codec that was loaded from a folder, for the second process to "
            "load. Received: model without a folder"
        )


def check_in_second_process(file: pathlib.Path, codec: Codec, expected: np.ndarray) -> None:
    """Decodes a file in a second process and compares the pixels.

    Args:
      file: `.tfsq` file.
      codec: What made it, from a folder.
      expected: uint8 array [height, width, 3], the pixels.

    Raises:
      VerificationError: if the pixels are others, or if there are none.
    """
    with tempfile.TemporaryDirectory() as folder:
        decoded = pathlib.Path(folder, "decoded.png")
        command = [sys.executable, "-m", "tfsq.codec", str(file), str(decoded), str(codec.folder)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode:
            # The last line of a traceback has the reason.
            reason = process.stderr.strip().rpartition("\n")[2]
            raise VerificationError(f"A second process cannot decode it: {reason}")
        if not np.array_equal(read_image(decoded), expected):
            raise VerificationError("A second process decodes other pixels.")
