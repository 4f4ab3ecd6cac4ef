"""(f) Peak memory of a process that trains or codes, and of one that only imports."""

from __future__ import annotations

import argparse
import importlib
import os
import pathlib
import re
import subprocess
import sys

NETWORK, CROP = "MeanScaleHyperprior", 128
WORKS = ("import", "training step", "compress", "decompress")


def prepare(way: str, work: str):
    """What does the work once, in this process."""
    if work == "import":
        libraries = {"tfsq": "tfsq.codec", "tfc": "tensorflow_compression"}
        return lambda: importlib.import_module(libraries[way])
    from benchmarks.speed import coding, training

    if work == "training step":
        makers = {"tfsq": training.ours_of, "tfc": training.theirs_of}
        return training.step_of(makers[way](NETWORK), CROP)
    parts = {"tfsq": coding.ours_in_parts, "tfc": coding.theirs_in_parts}
    return parts[way](NETWORK, coding.image_of(coding.SIZE))[work]


def own_peak() -> float:
    """MB at the peak of this process; what `getrusage` says counts the parent's memory, too."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def peak_of(way: str, work: str) -> float:
    """MB at the peak of a new process."""
    command = [sys.executable, "-m", "benchmarks.speed.memory", way, work]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1])


def measure(compressai) -> list[dict]:
    """Rows for all works."""
    rows = []
    for work in WORKS:
        peaks = {way: peak_of(way, work) for way in ("tfsq", "tfc")}
        peaks.update(compressai.peak(NETWORK, CROP, work))
        rows += [
            {"work": work, "way": way, "peak_mb": peak, "ratio": peaks["tfsq"] / peak}
            for way, peak in peaks.items()
        ]
    return rows


def main() -> None:
    """Does one work, and prints the peak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way")
    parser.add_argument("work")
    arguments = parser.parse_args()
    prepare(arguments.way, arguments.work)()
    print(own_peak())


if __name__ == "__main__":
    main()
