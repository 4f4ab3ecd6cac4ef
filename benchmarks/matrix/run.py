"""Files written under some settings of TensorFlow and read under all others.

    python -m benchmarks.matrix.run

Every setting writes a file of every codec, and decodes those that all settings have written, each
in a process of its own; of codecs of many rates files of 25 random qualities of each image. Symbols
are the same if a file decodes at all: it holds their fingerprints.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from benchmarks import rows as tables

RESULTS = pathlib.Path("results/matrix")
# Of a codec of many rates, for each of the images.
QUALITIES = 25
SETTINGS = {
    f"{threads} threads, oneDNN {'on' if onednn else 'off'}": {
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "TF_ENABLE_ONEDNN_OPTS": str(onednn),
    }
    for threads, onednn in itertools.product((1, 2), (1, 0))
}
COLUMNS = ("codec", "image", "writer", "reader", "symbols", "largest_pixel_difference")


def write(folder: pathlib.Path, setting: str) -> None:
    """Compresses the images with all codecs, and keeps the encoder's own pixels."""
    from benchmarks.corpus import images, load_codecs, qualities_of
    from tfsq import codec
    from tfsq.codec import tiling

    (folder / setting).mkdir()
    for name, found in load_codecs(folder / "networks").items():
        for i, image in enumerate(images()):
            latents = tiling.analyze(image, found)
            for j, quality in enumerate(qualities_of(found, QUALITIES)):
                stem = str(folder / setting / f"{name} {i}-{j}")
                data = codec.compress(image, found, quality=quality)
                pathlib.Path(f"{stem}.tfsq").write_bytes(data)
                y_hat = found.encode(**latents, **found.at(quality))["y_hat"]
                np.save(f"{stem}.npy", tiling.synthesize(y_hat, image.shape[:2], found))


def read(folder: pathlib.Path, setting: str, writers: list[str]) -> None:
    """Decodes what all settings have written, and compares."""
    from benchmarks.corpus import load_codecs
    from tfsq import codec

    rows = []
    for name, found in load_codecs(folder / "networks").items():
        for writer in writers:
            for file in sorted((folder / writer).glob(f"{name} [0-9]*.tfsq")):
                symbols, difference = "same", ""
                try:
                    decoded = codec.decompress(file.read_bytes(), found).astype(int)
                    difference = np.abs(decoded - np.load(file.with_suffix(".npy"))).max()
                except codec.BitstreamError as error:
                    symbols = f"refused: {error}"
                image = file.stem.rsplit(" ", 1)[1]
                rows.append((name, image, writer, setting, symbols, difference))
    with (folder / f"{setting}.csv").open("w", newline="") as opened:
        csv.writer(opened).writerows(rows)


def prepare(folder: pathlib.Path) -> None:
    """Puts a codec of every network into `networks`, and the one that comes with tfsq."""
    from benchmarks.corpus import export_networks, link_shipped

    export_networks(folder / "networks")
    link_shipped(folder / "networks")


def in_process(function: str, folder: pathlib.Path, setting: str, writers=()) -> None:
    """Calls `write` or `read` in a process with that setting."""
    command = [sys.executable, "-m", "benchmarks.matrix.run"]
    command += ["--call", function, str(folder), setting]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **SETTINGS[setting]}
    subprocess.run([*command, *writers], check=True, env=environment)


def measure(folder: pathlib.Path, settings: list[str]) -> list[dict]:
    """Writes and reads with all settings; `networks` in `folder` has the codecs."""
    for setting in settings:
        in_process("write", folder, setting)
    rows = []
    for setting in settings:
        in_process("read", folder, setting, settings)
        rows += rows_of(folder, setting)
    return rows


def rows_of(folder: pathlib.Path, setting: str) -> list[dict]:
    """What `read` has found."""
    with (folder / f"{setting}.csv").open(newline="") as opened:
        return [dict(zip(COLUMNS, row)) for row in csv.reader(opened)]


def failures(rows: list[dict]) -> list[dict]:
    """Other symbols anywhere, other pixels in the same setting, pixels off by more than a level."""
    return [
        row
        for row in rows
        if row["symbols"] != "same"
        or int(row["largest_pixel_difference"]) > (row["writer"] != row["reader"])
    ]


def summed(rows: list[dict]) -> list[dict]:
    """A row for each codec, writer and reader."""
    counts: dict[tuple, list[dict]] = {}
    for row in rows:
        counts.setdefault((row["codec"], row["writer"], row["reader"]), []).append(row)
    return [
        {
            **dict(zip(("codec", "writer", "reader"), key)),
            "files": len(found),
            "same_symbols": sum(row["symbols"] == "same" for row in found),
            "largest_pixel_difference": max(
                (row["largest_pixel_difference"] for row in found), key=lambda n: int(n or 255)
            ),
        }
        for key, found in counts.items()
    ]


def main() -> None:
    """Measures the matrix, and writes `matrix.csv` and `matrix.txt`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=pathlib.Path, help="Folder to write files to, for others.")
    parser.add_argument("--call", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.call:
        function, folder, setting, *writers = arguments.call
        if function == "write":
            write(pathlib.Path(folder), setting)
        else:
            read(pathlib.Path(folder), setting, writers)
        return
    if arguments.write:
        prepare(arguments.write)
        for setting in SETTINGS:
            in_process("write", arguments.write, setting)
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(pathlib.Path(folder))
        rows = measure(pathlib.Path(folder), list(SETTINGS))
    tables.write(summed(rows), RESULTS / "matrix.csv")
    text = (
        f"{len(rows)} decodings of {len({row['codec'] for row in rows})} codecs' files, by "
        f"{len(SETTINGS)} settings: {len(failures(rows))} failures\n"
    )
    (RESULTS / "matrix.txt").write_text(text)
    print(text, end="")
    assert not failures(rows), failures(rows)


if __name__ == "__main__":
    main()
