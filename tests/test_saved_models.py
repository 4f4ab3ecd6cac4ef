"""The codec that comes with tfsq."""

import pathlib

import pytest

from benchmarks import rows as tables
from benchmarks.shipped import make
from tests.photographs import photograph
from tfsq import codec, evaluation
from tfsq.codec.saved_model import read_metadata

QUALITIES = (1, 2, 3, 4, 5, 6, 7)
IMAGE = photograph()[50:242, 100:356]
AUTHORS = pathlib.Path(__file__).parents[1] / "saved_models" / "AUTHORS.md"


@pytest.fixture(scope="module")
def found():
    """The codec, the photograph at each quality, and what its files decode to without a model."""
    shipped = codec.shipped_codec()
    files = [codec.compress(IMAGE, shipped, quality=quality) for quality in QUALITIES]
    return shipped, files, [codec.decompress(data) for data in files]


def test_every_quality_is_there_and_it_is_small(found):
    assert len(found[0].ladder) == len(QUALITIES)
    folder = codec.shipped_model()
    assert make.size_of(folder) <= make.LARGEST_BYTES
    # What else is there would travel with the wheel.
    assert {path.name for path in folder.parent.iterdir() if path.is_dir()} == {
        "photographs",
        "analysis",
    }


def test_rate_and_psnr_rise_with_the_quality(found):
    figures = [evaluation.figures_of(IMAGE, *pair) for pair in zip(*found[1:])]
    for low, high in zip(figures, figures[1:]):
        assert low.bpp < high.bpp
        assert low.psnr < high.psnr


@pytest.mark.slow  # Building the network itself takes seconds.
@pytest.mark.parametrize("quality", QUALITIES)
def test_strings_are_as_long_as_predicted(found, quality):
    figures = evaluation.measure(IMAGE, found[0], quality=quality)
    assert figures.decoder_matches_encoder
    bits = 8 * figures.payload_bytes
    assert abs(bits - figures.estimated_bits) <= 0.005 * bits + 2 * 16


def test_card_is_that_which_results_and_folder_give():
    folder = codec.shipped_model()
    text = (folder / codec.CARD_FILE).read_text()
    assert text == codec.model_card(folder, make.facts())
    # A folder that is uploaded goes without what lies above it.
    assert "../" not in text
    authors = [line for line in AUTHORS.read_text().splitlines() if line.startswith("- ")]
    assert authors and all(line in text for line in authors)
    weights = read_metadata(folder)["model_hash"]
    assert (make.RESULTS / make.WEIGHTS).read_text() == f"{weights}\n"
    exactness = tables.read(make.RESULTS / "exactness.csv")
    assert {row["model"] for row in exactness} == {weights[:8]}
    curve = evaluation.read_comparison(make.RESULTS / "kodak.csv")[0]
    assert [len(group) for group in curve.groups()] == [24] * len(QUALITIES)
    for mean in curve.means():
        assert f"{mean.bpp:.4f} bits per pixel" in text
        assert f"{mean.psnr:.2f} dB" in text
