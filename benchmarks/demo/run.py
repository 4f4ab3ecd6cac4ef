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
COLUMNS = [
    "bpp",
    "psnr",
    "estimated_bits",
    "payload_bytes",
    "file_bytes",
    "decoder_matches_encoder",
    "jpeg_psnr",
    "jpeg_file_bytes",
    "train_seconds",
    "steps",
]


def check(report: dict) -> None:
    """Fails where a limit does not hold."""
    assert list(report) == COLUMNS, list(report)
    assert report["decoder_matches_encoder"] is True
    slack = 0.01 * report["estimated_bits"] + SLACK_BITS
    assert abs(8 * report["payload_bytes"] - report["estimated_bits"]) <= slack, report
    assert report["file_bytes"] - report["payload_bytes"] <= LARGEST_CONTAINER, report
    assert report["jpeg_file_bytes"] >= report["file_bytes"], report
    assert report["psnr"] >= report["jpeg_psnr"] - BEHIND_JPEG, report


def main() -> None:
    """Checks, then copies."""
    check(json.loads((OUTPUT / "report.json").read_text()))
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        shutil.copy(OUTPUT / name, RESULTS / name)
    print("demo: all limits hold")


if __name__ == "__main__":
    main()
