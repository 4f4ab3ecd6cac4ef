"""What the results page quotes is what its CSV files say."""

import json
import math
import re
import shutil
import sys

import pytest

from benchmarks import rows as tables
from benchmarks.ladder.designs import ONE_RATE, TFSQ
from benchmarks.speed import report
from tests.test_benchmarks import BENCHMARKS, load

ROOT = BENCHMARKS.parent
RESULTS = ROOT / "results"
STUDIES = sorted(
    file.name.removesuffix("_runs.csv") for file in (RESULTS / "rate_distortion").glob("*_runs.csv")
)
LATE, ANCHORS = "mixed AUN/SUA, late", ("AUN", "mixed AUN/STE")
LARGE_LMBDAS = ("0.0018", "0.013")
LARGE_ARMS = ("mixed AUN/SUA to 0.05", "mixed AUN/STE")
DEMO, OTHERS = "from nothing, quality 2", ("bundled", "bundled, fine-tuned")
REPORTS = [
    ("shipped", "report", ()),
    ("refinement", "run", ()),
    ("recipe", "learning", ()),
    ("recipe", "run", ()),
    ("ladder", "run", ()),
    ("ladder", "files", ()),
    ("ladder", "cost", ()),
    ("range_coder", "run", ()),
    ("platforms", "run", ()),
    ("platforms", "speed", ()),
    ("shortcut", "energy", ()),
    ("shortcut", "cost", ()),
    ("loading", "run", ()),
    ("accelerator", "report", ()),
    ("accelerator", "agreement", ()),
    *(("rate_distortion", "report", (study,)) for study in STUDIES),
]


@pytest.mark.parametrize("folder, script, arguments", REPORTS)
def test_tables_are_made_from_the_csv_files(folder, script, arguments, tmp_path, monkeypatch):
    module = load(script, BENCHMARKS / folder)
    for file in (RESULTS / folder).glob("*.csv"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *arguments])
    module.main()
    tables = sorted(tmp_path.glob("*.md"))
    assert tables
    for table in tables:
        assert table.read_text() == (RESULTS / folder / table.name).read_text(), table.name


def test_readme_quotes_the_tables():
    readme = (ROOT / "README.md").read_text()
    for file, first, column in (
        *(
            ("shipped/bd_rates.md", reference, column)
            for reference in ("jpeg", "webp", "jpeg2000", "avif")
            for column in (2, 4)
        ),
        *(
            ("shipped/published.md", curve, 2)
            for curve in ("avif", "bpg_444", "mbt2018_mean", "bmshj2018_hyperprior", "elic2022")
        ),
        ("shipped/refined.md", "500", 3),
        *(("rate_distortion/surrogates_bd_rates.md", f"{LATE} | {other}", 3) for other in ANCHORS),
        *(
            ("rate_distortion/papers_size_losses.md", f"{lmbda} | {arm}", 3)
            for lmbda in LARGE_LMBDAS
            for arm in LARGE_ARMS
        ),
    ):
        (row,) = re.findall(rf"^\| {re.escape(first)} \|.*$", (RESULTS / file).read_text(), re.M)
        value = row.split(" | ")[column - 1].replace("+-", "±")
        assert re.search(rf"(?<![\d.+-]){re.escape(value)} %", readme), value
    files = json.loads((RESULTS / "demo" / "report.json").read_text())["files"]
    demo, others = files[DEMO], [files[name]["psnr"] for name in OTHERS]
    assert "has {:.2f} dB, and {:.2f} dB after fine-tuning".format(*others) in readme
    jpeg_bpp = demo["bpp"] * demo["jpeg_file_bytes"] / demo["file_bytes"]
    quoted = f"{demo['psnr']:.2f} dB at {demo['bpp']:.3f} bits per pixel, and JPEG "
    quoted += f"{demo['jpeg_psnr']:.2f} dB at {jpeg_bpp:.3f}"
    assert quoted in re.sub(r"\s+", " ", readme)


def test_what_is_said_of_equal_bytes_is_what_the_table_says():
    readme, page = (
        re.sub(r"\s+", " ", (ROOT / name).read_text()) for name in ("README.md", "docs/results.md")
    )
    assert "PSNR is above JPEG's on each of the 24 images of Kodak at each quality" in readme
    assert "than WebP on most images up to quality 5. At quality 6 the two are even" in page
    table = (RESULTS / "shipped" / "equal_bytes.md").read_text()
    rows = re.findall(r"^\| (\d) \| (\w+) \|.* (\d+) of 24 \|$", table, re.M)
    above = {(int(quality), name): int(count) for quality, name, count in rows}
    assert len(above) == 14
    for quality in range(1, 8):
        assert above[quality, "jpeg"] == 24
        assert (above[quality, "webp"] > 12) == (quality <= 5), quality
    webp = [above[quality, "webp"] for quality in range(1, 8)]
    quoted = f"above WebP's on {min(webp[:5])} to {max(webp[:5])} of them up to quality 5, "
    quoted += f"on {webp[5]} at quality 6, and on {webp[6]} at quality 7."
    assert quoted in readme
    more = max(map(float, re.findall(r"^\| \d \| \w+ \| ([\d.]+) \|", table, re.M)))
    assert f"have as many bytes, or at most {math.ceil(more)} % more on average" in readme


def test_readme_quotes_the_speed():
    readme = (ROOT / "README.md").read_text()
    for part, case, line in (
        ("training", "64", "training step, 8 crops of 64x64"),
        ("training", "128", "training step, 8 crops of 128x128"),
        ("coding", "compress", "compress, 768x512"),
        ("coding", "decompress", "decompress, 768x512"),
    ):
        rows = report.grouped(report.read(RESULTS / "speed" / f"{part}.csv"), report.KEYS[part])
        found = rows["MeanScaleHyperprior", case]
        keys = ("ratio", "ratio_low", "ratio_high")
        ratios = " | ".join(
            "{:.2f} ({:.2f} to {:.2f})".format(*(float(found[way][key]) for key in keys))
            for way in ("tfc", "compressai")
        )
        assert f"| {line} | {ratios} |" in readme


def test_speed_is_reported_from_the_csv_files(tmp_path):
    for file in (RESULTS / "speed").glob("*.csv"):
        shutil.copy(file, tmp_path)
    report.write(tmp_path)
    tables = sorted(tmp_path.glob("*.md"))
    assert len(tables) == len(report.KEYS) + 3
    for table in tables:
        assert table.read_text() == (RESULTS / "speed" / table.name).read_text(), table.name


def test_every_number_of_the_results_page_is_in_a_table():
    page = (ROOT / "docs" / "results.md").read_text()
    quoted = re.findall(r'--8<-- "([^"]+)"', page)
    assert quoted
    for file in quoted:
        assert (ROOT / file).exists(), file
    # Figures of results stand in the tables; percentages, dB and bits in the text would not.
    prose = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    assert not re.search(r"\d+(\.\d+)? ?(%|dB|bpp|bits per pixel)", prose)


def test_one_network_of_many_rates_serves_each_of_them():
    rows = tables.read(RESULTS / "ladder" / "losses.csv")
    base = {(r["lmbda"], r["seed"]): float(r["loss"]) for r in rows if r["design"] == ONE_RATE}
    ratios = [
        float(row["loss"]) / base[row["lmbda"], row["seed"]]
        for row in rows
        if row["design"] == TFSQ
    ]
    assert len(ratios) >= 7
    assert max(ratios) < 1.05
    met = [row["met"] for row in tables.read(RESULTS / "ladder" / "targets.csv")]
    assert met == ["True"] * 132
