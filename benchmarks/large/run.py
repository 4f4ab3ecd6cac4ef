"""Time and memory of large photographs, each command in a process of its own.

    python -m benchmarks.large.run
    python -m benchmarks.large.run --draw

Writes `large.csv`, `large.png` and `large.txt`, and fails where a process takes 2 GiB for 24
megapixels or fewer, or where the tiles of a photograph that fits untiled give another file.
With `--draw`, `large.png` is drawn again from `large.csv`, and nothing measured.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

from benchmarks import rows as tables
from tests.photographs import photograph
from tfsq import drawing

RESULTS = pathlib.Path("results/large")
SIZES = ((1500, 1000), (3000, 2000), (4500, 3000), (6000, 4000), (9000, 6000))
LIMIT_BYTES = 2 * 2**30
QUALITY = 4
COLUMNS = ("command", "width", "height", "seconds", "peak_bytes", "file_bytes")


def large_photograph(width: int, height: int) -> Image.Image:
    """A photograph enlarged, with the noise of a sensor."""
    image = Image.fromarray(photograph("astronaut")).resize((width, height), Image.BICUBIC)
    noise = np.random.default_rng(0).normal(0.0, 4.0, [height, width, 1])
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def run(*arguments) -> tuple[float, int]:
    """Seconds and peak resident bytes of a command of tfsq."""
    # What `getrusage` says of a process includes what it was forked from.
    measuring = (
        "import pathlib, re, runpy, sys\n"
        "sys.argv = ['tfsq', *sys.argv[1:]]\n"
        "try:\n    runpy.run_module('tfsq', run_name='__main__')\n"
        "finally:\n"
        "    status = pathlib.Path('/proc/self/status').read_text()\n"
        "    print(re.search(r'VmHWM:\\s+(\\d+) kB', status).group(1), file=sys.stderr)"
    )
    command = [sys.executable, "-c", measuring, *map(str, arguments)]
    start = time.monotonic()
    process = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.monotonic() - start, 1024 * int(process.stderr.split()[-1])


def measure(folder: pathlib.Path) -> list[dict]:
    """Compresses and decompresses a photograph of every size."""
    rows = []
    for width, height in SIZES:
        photo, coded = folder / "photo.png", folder / "photo.tfsq"
        large_photograph(width, height).save(photo, compress_level=1)
        compressing = run("compress", photo, coded, "--quality", QUALITY, "--force")
        size = coded.stat().st_size
        for name, found in (
            ("compress", compressing),
            ("decompress", run("decompress", coded, folder / "decoded.bmp", "--force")),
        ):
            values = (name, width, height, f"{found[0]:.2f}", found[1], size)
            rows.append(dict(zip(COLUMNS, values)))
            print(rows[-1], flush=True)
    return rows


def difference_of_tiles(width: int, height: int) -> tuple[int, int]:
    """Bytes that differ between the files with and without tiles, and the largest pixel's."""
    from tfsq import codec
    from tfsq.codec import tiling

    image, found = np.asarray(large_photograph(width, height)), codec.shipped_codec()
    tiled = codec.compress(image, found, quality=QUALITY)
    decoded = codec.decompress(tiled, found)
    tiling.TILE = 2**20
    whole = codec.compress(image, found, quality=QUALITY)
    same = sum(a != b for a, b in zip(tiled, whole)) + abs(len(tiled) - len(whole))
    return same, int(np.abs(codec.decompress(tiled, found).astype(int) - decoded).max())


@drawing.styled
def draw(rows: list[dict], path: pathlib.Path) -> None:
    """Draws seconds and memory against pixels."""
    figure, (axes,) = drawing.new_figure(2, width=2)
    for axis, key, unit, scale in (
        (axes[0], "seconds", "seconds, whole process", 1.0),
        (axes[1], "peak_bytes", "peak memory (MiB)", 2.0**20),
    ):
        for name, style in drawing.line_styles(("compress", "decompress")).items():
            found = [row for row in rows if row["command"] == name]
            pixels = [int(row["width"]) * int(row["height"]) / 1e6 for row in found]
            axis.plot(pixels, [float(row[key]) / scale for row in found], **style, label=name)
        axis.set_xlabel("megapixels")
        axis.set_ylabel(unit)
        axis.set_ylim(bottom=0)
    drawing.label_ends(*axes)
    figure.savefig(path)


def main() -> None:
    """Measures all sizes, or draws what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", action="store_true", help="Only draw, from the CSV file.")
    if parser.parse_args().draw:
        draw(tables.read(RESULTS / "large.csv"), RESULTS / "large.png")
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(pathlib.Path(folder))
    tables.write(rows, RESULTS / "large.csv")
    draw(rows, RESULTS / "large.png")
    bytes_apart, levels = difference_of_tiles(1500, 1100)
    text = f"with and without tiles: {bytes_apart} bytes differ, pixels by at most {levels}\n"
    (RESULTS / "large.txt").write_text(text)
    print(text, end="")
    budget = [row for row in rows if row["width"] * row["height"] <= 24e6]
    assert all(row["peak_bytes"] < LIMIT_BYTES for row in budget), rows
    assert bytes_apart == 0 and levels <= 1


if __name__ == "__main__":
    main()
