"""Measures how fast tfsq is, against TFC and CompressAI, in one run.

    python -m benchmarks.speed --output results/speed
    python -m benchmarks.speed --output results/speed --part training --compressai PYTHON

PYTHON is one of an environment that has CompressAI; without it, its rows are missing. Nothing else
should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import platform

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from benchmarks import rows as tables
from benchmarks.speed import (
    coding,
    entropy_model,
    layers,
    memory,
    report,
    scaling,
    startup,
    training,
    upsampling,
)
from benchmarks.speed.compressai_process import CompressAI

PARTS = {
    "layers": layers,
    "entropy_model": entropy_model,
    "training": training,
    "coding": coding,
    "startup": startup,
    "memory": memory,
    "scaling": scaling,
    "upsampling": upsampling,
}


def machine() -> str:
    """What this was measured on."""
    names = [
        line.split(":")[1].strip()
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return (
        f"{len(names)} x {names[0] if names else platform.processor()}, "
        f"CPython {platform.python_version()}, TensorFlow {tf.__version__}\n"
    )


def _keep_compressai(folder: pathlib.Path, parts: list[str], parser) -> None:
    """Refuses to write tables without it over some that have it."""
    for file in (folder / f"{part}.csv" for part in parts):
        if any(row.get("way") == "compressai" for row in tables.read(file)):
            parser.error(f"{file} has CompressAI: name its Python, or another --output.")


def main() -> None:
    """Measures the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--part", choices=list(PARTS), action="append", help="All, if none.")
    parser.add_argument("--compressai", metavar="PYTHON", help="Python that has CompressAI.")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if not arguments.compressai:
        _keep_compressai(arguments.output, arguments.part or list(PARTS), parser)
        print("CompressAI is left out: no Python that has it was named.")
    compressai = CompressAI(arguments.compressai)
    for part in arguments.part or PARTS:
        rows = PARTS[part].measure(compressai)
        tables.write(rows, arguments.output / f"{part}.csv")
        for row in rows:
            print(*(f"{v:.4g}" if isinstance(v, float) else v for v in row.values()), flush=True)
    (arguments.output / "machine.txt").write_text(machine())
    report.write(arguments.output)


if __name__ == "__main__":
    main()
