"""The codecs that come with tfsq."""

import csv
import pathlib
import statistics

import pytest

from benchmarks.shipped import make
from tests.photographs import photograph
from tfsq import codec, evaluation

ROOT = pathlib.Path(__file__).parents[1]
QUALITIES = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def figures():
    found, image = {}, photograph()[50:242, 100:356]
    for quality in QUALITIES:
        shipped = codec.shipped_codec(quality)
        data = codec.compress(image, shipped)
        decoded = codec.decompress(data, shipped)
        found[quality] = evaluation.figures_of(image, data, decoded)
    return found


def test_every_quality_is_there_and_small():
    folders = codec.shipped_qualities()
    assert tuple(folders) == QUALITIES
    for folder in folders.values():
        assert sum(file.stat().st_size for file in folder.rglob("*")) <= 9 * 10**6


def test_rate_and_psnr_rise_with_the_quality(figures):
    for low, high in zip(QUALITIES, QUALITIES[1:]):
        assert figures[low].bpp < figures[high].bpp
        assert figures[low].psnr < figures[high].psnr


@pytest.mark.slow  # Building the network itself takes seconds.
@pytest.mark.parametrize("quality", QUALITIES)
def test_strings_are_as_long_as_predicted(quality):
    found = evaluation.measure(photograph(), codec.shipped_codec(quality))
    assert found.decoder_matches_encoder
    bits = 8 * found.payload_bytes
    assert abs(bits - found.estimated_bits) <= 0.005 * bits + 2 * 16


def test_files_need_no_model_to_decode(tmp_path):
    image = photograph()[:65, :70]
    for quality in QUALITIES:
        data = codec.compress(image, codec.shipped_codec(quality))
        (tmp_path / "a.tfsq").write_bytes(data)
        decoded = codec.decompress_file(tmp_path / "a.tfsq")
        assert (decoded == codec.decompress(data, codec.shipped_codec(quality))).all()


def test_cards_say_what_the_results_say():
    with (ROOT / "results" / "shipped" / "kodak.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    for quality, folder in codec.shipped_qualities().items():
        found = [row for row in rows if row["codec"] == folder.name and row["file"] != "mean"]
        assert len({row["file"] for row in found}) == 24, quality
        text = (folder / "README.md").read_text()
        means = {n: statistics.fmean(float(row[n]) for row in found) for n in ("bpp", "psnr")}
        assert f"{means['bpp']:.4f} bits per pixel" in text
        assert f"{means['psnr']:.2f} dB" in text


def test_cards_are_those_that_results_and_folders_give():
    curve = evaluation.read_comparison(ROOT / "results" / "shipped" / "kodak.csv")[0]
    authors = (ROOT / "saved_models" / "AUTHORS.md").read_text()
    for quality, group in zip(QUALITIES, curve.groups()):
        folder = ROOT / "saved_models" / f"quality_{quality}"
        text = (folder / codec.CARD_FILE).read_text()
        assert text == codec.model_card(folder, make.facts_of(quality, group))
        # A folder that is uploaded goes without what lies above it.
        assert "../" not in text
        assert all(line in text for line in authors.splitlines() if line.startswith("- "))
