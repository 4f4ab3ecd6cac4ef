"""Files that earlier builds have written stay decodable."""

import pathlib

import numpy as np
import pytest

from tfsq import codec

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FOLDERS = sorted(GOLDEN.glob("version_*"))
# Exported where Keras 3 is and TFC is not.
FOLDERS_OF_KERAS_3 = [GOLDEN / "keras_3"]


def test_every_version_of_the_format_is_there():
    assert [folder.name for folder in FOLDERS] == ["version_2", "version_3"]


@pytest.mark.parametrize("folder", FOLDERS + FOLDERS_OF_KERAS_3, ids=lambda folder: folder.name)
def test_golden_files_decode_to_golden_pixels(folder):
    data = (folder / "image.tfsq").read_bytes()
    assert folder in FOLDERS_OF_KERAS_3 or f"version_{data[4]}" == folder.name
    # The fingerprints say that the symbols are the same; pixels may differ by a level elsewhere.
    decoded = codec.decompress(data, folder / "codec").astype(int)
    expected = codec.read_image(folder / "image.png")
    assert decoded.shape == expected.shape
    assert np.abs(decoded - expected).max() <= 1
