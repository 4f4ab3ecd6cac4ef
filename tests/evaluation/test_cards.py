import json
import math
import statistics

import pytest

from tfsq import codec, evaluation
from tfsq.codec import saved_model

BPP, PSNR, MS_SSIM = (0.25, 0.5, 0.9), (30.0, 32.5, 31.0), (0.95, None, 0.97)


def measured(name="codec", quality=0.02, psnr=PSNR, ms_ssim=MS_SSIM):
    return [
        evaluation.Measurement(f"{i}.png", name, quality, *figures)
        for i, figures in enumerate(zip(BPP, psnr, ms_ssim))
    ]


def say(folder, **changed):
    """Writes what a codec says of itself."""
    told = dict.fromkeys(saved_model._METADATA) | {"parts": [], "config": {}}
    (folder / "tfsq.json").write_text(json.dumps(told | changed))


@pytest.fixture
def folder(tmp_path):
    """Of a codec, as far as its figures are concerned."""
    folder = tmp_path / "run" / "codec"
    folder.mkdir(parents=True)
    say(folder, lmbda=0.02, lmbdas=None)
    return folder


@pytest.fixture
def table(tmp_path):
    """Writes one of models, or of a reference by its name."""

    def write(*groups, name="tfsq"):
        rows = tuple(measurement for group in groups for measurement in group)
        evaluation.write_comparison([evaluation.Curve(name, rows)], tmp_path / "kodak.csv")
        return tmp_path / "kodak.csv"

    return write


def test_summary_has_means_and_spread_over_images():
    text = evaluation.summary(measured())
    bpp = f"{statistics.fmean(BPP):.4f} bits per pixel"
    psnr = f"{statistics.fmean(PSNR):.2f} dB ({statistics.stdev(PSNR):.2f})"
    assert f"3 images, real files: {bpp}" in text
    assert f"(standard deviation over images {statistics.stdev(BPP):.4f}), {psnr}, " in text
    assert text.endswith("MS-SSIM 0.9600 over the 2 that are large enough")
    assert evaluation.summary(measured(ms_ssim=[1.0] * 3)).endswith("MS-SSIM 1.0000")


def test_summary_leaves_out_what_there_is_not():
    expected = "1 image, real files: 0.2500 bits per pixel, 30.00 dB, MS-SSIM 0.9500"
    assert evaluation.summary(measured()[:1]) == expected
    text = evaluation.summary(measured(psnr=[math.inf] * 3, ms_ssim=[None] * 3))
    assert text.endswith(", inf dB")


def test_rows_are_those_of_the_codec(folder, table):
    others = measured("other/codec", psnr=(1.0, 2.0, 3.0)), measured("run/codec", 0.5)
    text = evaluation.card_figures(table(*others, measured("run/codec")), folder)
    assert text.splitlines()[2:] == [f"- lambda 0.02, {evaluation.summary(measured())}"]
    assert "`kodak.csv`" in text


def test_codec_of_many_rates_has_a_line_for_each(folder, table):
    say(folder, lmbda=0.02, lmbdas=[0.01, 0.02, 0.04])
    qualities = (1.0, 2.5, 3.0)
    text = evaluation.card_figures(table(*(measured(quality=q) for q in qualities)), folder)
    starts = [line.split(",")[0] for line in text.splitlines()[2:]]
    assert starts == ["- quality 1", "- quality 2.5", "- quality 3"]


def test_images_of_infinite_psnr_are_left_out(folder, table):
    exact = measured(psnr=(30.0, math.inf, 32.0))
    kept = [m for m in exact if math.isfinite(m.psnr)]
    assert evaluation.summary(kept) in evaluation.card_figures(table(exact), folder)


def test_tables_without_the_codec_are_refused(folder, table):
    for groups, found in (
        ([measured("other")], "kodak.csv, with other at 0.02"),
        ([measured(quality=0.5)], "kodak.csv, with codec at 0.5"),
        ([], "kodak.csv, with no rows"),
    ):
        with pytest.raises(ValueError, match="`figures` must have rows of .*, at lambda 0.02") as e:
            evaluation.card_figures(table(*groups), folder)
        assert str(e.value).endswith(found)
    with pytest.raises(ValueError, match="with no rows"):
        evaluation.card_figures(table(measured("jpeg"), name="jpeg"), folder)


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "file,codec,quality,bpp,psnr,ms_ssim\na,codec,1\n"])
def test_other_tables_are_refused(folder, tmp_path, text):
    (tmp_path / "other.csv").write_text(text)
    with pytest.raises(ValueError, match=r"`figures` must be a CSV file of `tfsq evaluate`\. Rec"):
        evaluation.card_figures(tmp_path / "other.csv", folder)


def test_codec_that_was_not_exported_is_refused(table, tmp_path):
    with pytest.raises(codec.ModelError, match="Not a codec exported by tfsq: .*none"):
        evaluation.card_figures(table(measured()), tmp_path / "none")


def test_codec_that_is_damaged_is_refused(folder, table):
    say(folder, lmbda=0.02, lmbdas=5)
    with pytest.raises(codec.ModelError, match="Not a codec exported by tfsq: .*codec"):
        evaluation.card_figures(table(measured()), folder)
