"""Checks demo_output/report.json against its limits."""

import json
import pathlib

_STRINGS = 2

report = json.loads(pathlib.Path("demo_output/report.json").read_text())
assert list(report) == [
    "bpp",
    "psnr",
    "estimated_bits",
    "payload_bytes",
    "file_bytes",
    "decoder_matches_encoder",
    "train_seconds",
    "steps",
], list(report)
assert report["decoder_matches_encoder"] is True
slack = 0.01 * report["estimated_bits"] + 32 * _STRINGS
assert abs(8 * report["payload_bytes"] - report["estimated_bits"]) <= slack, report
assert report["file_bytes"] - report["payload_bytes"] <= 80, report
print("demo: all limits hold")
