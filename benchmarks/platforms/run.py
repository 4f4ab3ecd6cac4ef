"""Files written on one platform and read on all others: TensorFlow 2.14 with TFC, and newer ones.

    python -m benchmarks.platforms.run --python 3.12=python3.12 --python 3.13=python3.13

Makes a virtual environment for each platform, exports codecs of every network here, and has each
platform compress photographs with all of them and with those that are bundled, then decode what all
have written. Files are the same if their bytes are. Writes `results/platforms/platforms.csv`, and
from it alone, without an argument, `results/platforms/platforms.md`.
"""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import subprocess
import sys
import tempfile

from benchmarks import rows as tables
from benchmarks.matrix import run as matrix
from tfsq.analysis import markdown

RESULTS = pathlib.Path("results/platforms")
# This one has TensorFlow 2.14 and TFC. TensorFlow 2.17 is older than what tfsq is installed with.
HERE = "TensorFlow 2.14, Keras 2, TFC"
PLATFORMS = {
    "TensorFlow 2.17, Keras 3": (
        "3.12",
        ["tensorflow==2.17.*", "tensorflow-probability[tf]==0.24.*"],
    ),
    "TensorFlow 2.17, Keras 3, TFC's ops": (
        "3.12",
        [
            "tensorflow==2.17.*",
            "tensorflow-probability[tf]==0.24.*",
            "tensorflow_compression_ops==2.17.*",
        ],
    ),
    "TensorFlow 2.21, Keras 3": (
        "3.13",
        ["tensorflow==2.21.*", "tensorflow-probability[tf]==0.25.*"],
    ),
    "TensorFlow 2.21, Keras 3, numba": (
        "3.13",
        ["tensorflow==2.21.*", "tensorflow-probability[tf]==0.25.*", "numba"],
    ),
}
_OTHERS = ["scipy", "pillow", "typer", "rich", "absl-py", "scikit-image", "tensorboard"]


def environment(folder: pathlib.Path, python: str, packages: list[str]) -> str:
    """Makes a virtual environment, unless it is there; the path of its Python."""
    made = folder / "bin" / "python"
    if not (folder / ".made").exists():
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
        install = [str(made), "-m", "pip", "install", "--quiet", *packages, *_OTHERS]
        subprocess.run(install, check=True)
        (folder / ".made").touch()
    return str(made)


def in_process(python: str, function: str, folder: pathlib.Path, name: str, writers=()) -> None:
    """Calls `matrix.write` or `matrix.read` on a platform."""
    command = [python, "-m", "benchmarks.matrix.run", "--call", function, str(folder), name]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(pathlib.Path.cwd())}
    subprocess.run([*command, *writers], check=True, env=quiet)


def same_bytes(folder: pathlib.Path, writer: str) -> tuple[int, int]:
    """How many files a platform wrote, and how many of them are those of this one."""
    files = sorted((folder / HERE).glob("*.tfsq"))
    written = [folder / writer / file.name for file in files]
    assert len(list((folder / writer).glob("*.tfsq"))) == len(files)
    return len(files), sum(a.read_bytes() == b.read_bytes() for a, b in zip(files, written))


def measure(folder: pathlib.Path, pythons: dict[str, str]) -> list[dict]:
    """Writes and reads on all platforms; a row for each pair."""
    matrix.prepare(folder)
    for name, python in pythons.items():
        in_process(python, "write", folder, name)
    rows = []
    for reader, python in pythons.items():
        in_process(python, "read", folder, reader, list(pythons))
        found = matrix.rows_of(folder, reader)
        for writer in pythons:
            of_writer = [row for row in found if row["writer"] == writer]
            symbols = collections.Counter(row["symbols"] for row in of_writer)
            pixels = [int(row["largest_pixel_difference"] or 255) for row in of_writer]
            files, same = same_bytes(folder, writer)
            assert files == len(of_writer)
            rows.append(
                {
                    "written on": writer,
                    "read on": reader,
                    "files": files,
                    "bytes as on the first": same,
                    "same symbols": symbols["same"],
                    "largest difference of pixels": max(pixels),
                }
            )
    return rows


def failures(rows: list[dict]) -> list[dict]:
    """Pairs with other bytes, other symbols, or pixels that are off by more than a level."""
    return [
        row
        for row in rows
        if not row["files"] == row["bytes as on the first"] == row["same symbols"]
        or int(row["largest difference of pixels"]) > 1
    ]


def table(rows: list[dict]) -> str:
    """A row for each platform: what it has written, and what it has read of all."""
    lines = []
    for platform in dict.fromkeys(row["read on"] for row in rows):
        written = next(row for row in rows if row["written on"] == platform)
        read = [row for row in rows if row["read on"] == platform]
        files, symbols = (sum(int(row[name]) for row in read) for name in ("files", "same symbols"))
        pixels = max(int(row["largest difference of pixels"]) for row in read)
        same = f"{written['bytes as on the first']} of {written['files']}"
        lines.append([platform, same, f"{symbols} of {files}", str(pixels)])
    columns = ["platform", "files with the bytes of the first platform"]
    columns += ["files of all platforms read to the same symbols", "largest difference of pixels"]
    return markdown(columns, lines)


def main() -> None:
    """Measures if it is given Pythons, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", default=[], metavar="VERSION=COMMAND")
    parser.add_argument("--environments", type=pathlib.Path, help="Where to keep them.")
    arguments = parser.parse_args()
    given = dict(pair.split("=", 1) for pair in arguments.python)
    if given:
        tables.write(measured(given, arguments.environments), RESULTS / "platforms.csv")
    rows = tables.read(RESULTS / "platforms.csv")
    (RESULTS / "platforms.md").write_text(table(rows))
    assert not failures(rows), failures(rows)


def measured(given: dict[str, str], kept: pathlib.Path | None) -> list[dict]:
    """Makes the environments, and measures.

    Args:
      given: Commands of Pythons, by their versions.
      kept: Folder for the environments; None forgets them.
    """
    with tempfile.TemporaryDirectory() as temporary:
        environments = (kept or pathlib.Path(temporary)).absolute()
        pythons = {HERE: sys.executable}
        for number, (name, (version, packages)) in enumerate(PLATFORMS.items()):
            command = given.get(version, f"python{version}")
            pythons[name] = environment(environments / str(number), command, packages)
        folder = pathlib.Path(temporary, "files")
        folder.mkdir()
        return measure(folder, pythons)


if __name__ == "__main__":
    main()
