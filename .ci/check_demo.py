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
    "jpeg_psnr",
    "jpeg_file_bytes",
    "train_seconds",
    "steps",
], list(report)
assert report["decoder_matches_encoder"] is True
slack = 0.01 * report["estimated_bits"] + 32 * _STRINGS
assert abs(8 * report["payload_bytes"] - report["estimated_bits"]) <= slack, report
assert report["file_bytes"] - report["payload_bytes"] <= 80, report
assert report["jpeg_file_bytes"] >= report["file_bytes"], report
assert report["psnr"] >= report["jpeg_psnr"] - 1.5, report
print("demo: all limits hold")
