"""Holds what `make demo` left in demo_output/ to its limits, and keeps it.

    python -m benchmarks.demo.run

Writes report and pictures to `results/demo`.
"""

from __future__ import annotations

import json
import pathlib
import shutil

OUTPUT, RESULTS = pathlib.Path("demo_output"), pathlib.Path("results/demo")
KEPT = ("report.json", "comparison.png", "training.png")
STRINGS = 2
# The most that bytes may be over the ideal, and JPEG above in dB at equal bytes.
SLACK_BITS, LARGEST_CONTAINER, BEHIND_JPEG = 32 * STRINGS, 80, 1.5
FILES = ["from nothing, quality 1", "from nothing, quality 2", "from nothing, quality 3"]
OTHERS = ["bundled, fine-tuned", "bundled"]
COLUMNS = [
    "bpp",
    "psnr",
    "estimated_bits",
    "payload_bytes",
    "file_bytes",
    "decoder_matches_encoder",
    "jpeg_psnr",
    "jpeg_file_bytes",
]


def check(report: dict) -> None:
    """Fails where a limit does not hold."""
    assert list(report) == ["files", "train_seconds"], list(report)
    files = report["files"]
    assert list(files) == [*FILES, *OTHERS], list(files)
    for row in files.values():
        assert list(row) == COLUMNS, list(row)
        assert row["decoder_matches_encoder"] is True
        slack = 0.01 * row["estimated_bits"] + SLACK_BITS
        assert abs(8 * row["payload_bytes"] - row["estimated_bits"]) <= slack, row
        assert row["file_bytes"] - row["payload_bytes"] <= LARGEST_CONTAINER, row
        assert row["jpeg_file_bytes"] >= row["file_bytes"], row
        assert row["psnr"] >= row["jpeg_psnr"] - BEHIND_JPEG, row
    for low, high in zip(FILES, FILES[1:]):
        assert files[low]["file_bytes"] < files[high]["file_bytes"], (low, high)
        assert files[low]["psnr"] < files[high]["psnr"], (low, high)
    for name in OTHERS:
        assert files[name]["file_bytes"] <= files[FILES[1]]["file_bytes"], name
        assert files[name]["psnr"] > files[FILES[1]]["psnr"], name


def main() -> None:
    """Checks, then copies."""
    check(json.loads((OUTPUT / "report.json").read_text()))
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        shutil.copy(OUTPUT / name, RESULTS / name)
    print("demo: all limits hold")


if __name__ == "__main__":
    main()
