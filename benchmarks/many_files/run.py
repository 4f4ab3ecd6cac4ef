"""Time and memory of many photographs: in one process, and in a process each.

    python -m benchmarks.many_files.run --data ../shared/data

Compresses Kodak 1 to 12 and the 20 largest photographs of `free`, and decompresses them; every way
in turn, as often as is asked for. Writes `times.csv`, and fails where files differ.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile
import time

from PIL import Image

from benchmarks import rows as tables
from benchmarks.large.run import run

RESULTS = pathlib.Path("results/many_files/times.csv")
KODAK, LARGEST, QUALITY = 12, 20, 3
PROCESSES = "a process each"


def photographs(data: pathlib.Path) -> list[pathlib.Path]:
    """Kodak's first and the largest of `free`."""
    kodak = sorted((data / "kodak").glob("*.png"))[:KODAK]
    free = [path for path in (data / "free").rglob("*") if path.suffix in (".png", ".jpg", ".webp")]
    return [*kodak, *sorted(free, key=lambda path: (-_pixels(path), path))[:LARGEST]]


def _pixels(path: pathlib.Path) -> int:
    with Image.open(path) as image:
        return image.width * image.height


def ways(command: str, sources: list, ending: str, folder: pathlib.Path) -> dict:
    """Functions that do the same, and return the peak of memory."""
    options = ["--quality", QUALITY] if command == "compress" else []

    def in_processes():
        return max(
            run(command, source, (folder / source.stem).with_suffix(ending), *options)[1]
            for source in sources
        )

    def in_one(jobs):
        return run(command, *sources, "--output-dir", folder, "--jobs", jobs, *options)[1]

    return {PROCESSES: in_processes, **{f"--jobs {n}": lambda n=n: in_one(n) for n in (1, 2)}}


def measure(sources: list[pathlib.Path], repetitions: int) -> list[dict]:
    """Rows of all ways of both commands."""
    seconds: dict = {}
    peaks: dict = {}
    with tempfile.TemporaryDirectory() as work:
        coded: dict = {}
        for _ in range(repetitions):
            for command, ending in (("compress", ".tfsq"), ("decompress", ".png")):
                files = sources if command == "compress" else sorted(coded["compress"])
                for number, way in enumerate((PROCESSES, "--jobs 1", "--jobs 2")):
                    folder = pathlib.Path(tempfile.mkdtemp(dir=work))
                    began = time.monotonic()
                    peak = ways(command, files, ending, folder)[way]()
                    key = (command, way)
                    seconds.setdefault(key, []).append(time.monotonic() - began)
                    peaks[key] = max(peak, peaks.get(key, 0))
                    found = {folder / path.name: path.read_bytes() for path in folder.iterdir()}
                    if number == 0:
                        coded[command] = found
                    assert _contents(found) == _contents(coded[command]), (command, way)
                    print(command, way, f"{seconds[key][-1]:.1f} s", flush=True)
    pixels = sum(map(_pixels, sources))
    return [_row(*key, values, peaks[key], len(sources), pixels) for key, values in seconds.items()]


def _contents(files: dict) -> dict:
    return {path.name: content for path, content in files.items()}


def _row(command: str, way: str, seconds: list, peak: int, files: int, pixels: int) -> dict:
    return {
        "command": command,
        "way": way,
        "files": files,
        "megapixels": f"{pixels / 1e6:.2f}",
        "seconds": f"{statistics.median(seconds):.2f}",
        "least_seconds": f"{min(seconds):.2f}",
        "most_seconds": f"{max(seconds):.2f}",
        "peak_mebibytes": round(peak / 2**20),
    }


def main() -> None:
    """Measures, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    tables.write(measure(photographs(arguments.data), arguments.repetitions), RESULTS)


if __name__ == "__main__":
    main()
