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
KODAK, LARGEST, QUALITY = 12, 20, 4
PROCESSES = "a process each"
WAYS = (PROCESSES, "--jobs 1", "--jobs 2")


def photographs(data: pathlib.Path) -> list[pathlib.Path]:
    """Kodak's first and the largest of `free`."""
    kodak = sorted((data / "kodak").glob("*.png"))[:KODAK]
    free = [path for path in (data / "free").rglob("*") if path.suffix in (".png", ".jpg", ".webp")]
    return [*kodak, *sorted(free, key=lambda path: (-_pixels(path), path))[:LARGEST]]


def _pixels(path: pathlib.Path) -> int:
    with Image.open(path) as image:
        return image.width * image.height


def code(command: str, way: str, sources: list, ending: str, folder: pathlib.Path) -> int:
    """Codes all files in a way, and returns the peak of memory."""
    options = ["--quality", QUALITY] if command == "compress" else []
    if way != PROCESSES:
        return run(command, *sources, "--output-dir", folder, *way.split(), *options)[1]
    targets = [(folder / source.stem).with_suffix(ending) for source in sources]
    return max(run(command, *pair, *options)[1] for pair in zip(sources, targets))


def measure(sources: list[pathlib.Path], repetitions: int) -> list[dict]:
    """Rows of all ways of both commands."""
    seconds: dict = {}
    peaks: dict = {}
    with tempfile.TemporaryDirectory() as work:
        for _ in range(repetitions):
            files = sources
            for command, ending in (("compress", ".tfsq"), ("decompress", ".png")):
                contents = []
                for way in WAYS:
                    folder = pathlib.Path(tempfile.mkdtemp(dir=work))
                    key, began = (command, way), time.monotonic()
                    peak = code(command, way, files, ending, folder)
                    seconds.setdefault(key, []).append(time.monotonic() - began)
                    peaks[key] = max(peak, peaks.get(key, 0))
                    contents.append({file.name: file.read_bytes() for file in folder.iterdir()})
                    assert contents[-1] == contents[0] and len(contents[0]) == len(files), key
                    print(*key, f"{seconds[key][-1]:.1f} s", flush=True)
                files = sorted(folder.iterdir())
    pixels = sum(map(_pixels, sources))
    return [_row(*key, values, peaks[key], len(sources), pixels) for key, values in seconds.items()]


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
