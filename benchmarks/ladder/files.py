"""Files of one network of many rates: along its qualities, and to targets.

    python -m benchmarks.ladder.files --data ../shared/data --runs ../runs/ladder

Trains a mean-scale hyperprior of 16/192 with the shortcut, one seed, on BSDS500, unless `--runs`
has it already. Then files of Kodak 1 to 12 at qualities a tenth apart: `results/ladder/kodak.csv`.
And files of a size and of bits per pixel, of these and of ten odd images, each timed against
compression at the quality that was found: `results/ladder/targets.csv`. Both are summed up in
`results/ladder/files.md`. Nothing else should run on the machine. Without `--data`, the summary
alone is made again.
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
import statistics
import time

import numpy as np
from rich.progress import track

from benchmarks import rows as tables
from benchmarks.ladder.designs import SIZE, TFSQ, made
from benchmarks.ladder.run import LMBDAS, fit
from tfsq import codec, evaluation

RESULTS = pathlib.Path("results/ladder")
STEPS, IMAGES = 3000, 12
QUALITIES = [1 + i / 10 for i in range(10 * (len(LMBDAS) - 1) + 1)]
# Where between the smallest and the largest file of an image, in log size.
SHARES = (0.1, 0.5, 0.9)


def trained(data: pathlib.Path, folder: pathlib.Path) -> codec.Codec:
    """The codec, of an earlier call or new."""
    if not folder.exists():
        size = {**SIZE, "num_latents": 192}
        model = made(TFSQ, LMBDAS, seed=0, size=size)
        fit(model, LMBDAS, STEPS, seed=0, data=data / "bsds500")
        codec.export(model, folder)
    return codec.load(folder)


def odd_images(photograph: np.ndarray) -> dict[str, np.ndarray]:
    """Small, thin, flat and noisy ones."""
    rng = np.random.default_rng(4)
    noise = rng.integers(0, 256, (200, 300, 3)).astype(np.uint8)
    flat = np.zeros((200, 300, 3), np.uint8)
    return {
        "1x1": photograph[:1, :1],
        "1x3000": np.tile(photograph[:1, :500], (1, 6, 1)),
        "3000x1": np.tile(photograph[:500, :1], (6, 1, 1)),
        "7x5": photograph[:5, :7],
        "65x63": photograph[:63, :65],
        "flat black": flat,
        "flat gray": flat + np.uint8(128),
        "noise": noise,
        "black and white noise": np.where(noise < 128, 0, 255).astype(np.uint8),
        "stripes": np.where(np.arange(300)[:, np.newaxis] % 2, 255, flat).astype(np.uint8),
    }


def along(name: str, image, found: codec.Codec) -> list[dict]:
    """Files of an image at all qualities."""
    rows = []
    for quality in QUALITIES:
        data = codec.compress(image, found, quality=quality)
        figures = evaluation.figures_of(image, data, codec.decompress(data, found))
        row = {"file": name, "quality": quality, "bytes": len(data)}
        rows.append({**row, "bpp": f"{figures.bpp:.5f}", "psnr": f"{figures.psnr:.4f}"})
    return rows


def to_targets(name: str, image, found: codec.Codec) -> list[dict]:
    """Files of an image that have to have a size, or bits per pixel."""
    ends = [len(codec.compress(image, found, quality=q)) for q in (1, len(LMBDAS))]
    pixels, rows = image.shape[0] * image.shape[1], []
    for share in SHARES:
        limit = round(ends[0] * (ends[1] / ends[0]) ** share)
        for kind, target in (
            ("size", codec.Target(size=limit)),
            ("bpp", codec.Target(bpp=8 * limit / pixels)),
        ):
            start = time.perf_counter()
            data = codec.compress(image, found, quality=target)
            middle = time.perf_counter()
            quality = codec.unpack(data).quality
            again = codec.compress(image, found, quality=quality)
            end = time.perf_counter()
            assert again == data
            above = quality + 0.001
            fits = (
                above <= len(LMBDAS) and len(codec.compress(image, found, quality=above)) <= limit
            )
            rows.append(
                {
                    "file": name,
                    "target": kind,
                    "limit": limit,
                    "bytes": len(data),
                    "quality": quality,
                    "met": len(data) <= limit and (len(data) >= 0.99 * limit or not fits),
                    "time_ratio": f"{(middle - start) / (end - middle):.3f}",
                }
            )
    return rows


def summary() -> str:
    """What the two tables say."""
    along_rows = tables.read(RESULTS / "kodak.csv")
    bits, db = [], []
    for a, b in zip(along_rows, along_rows[1:]):
        if a["file"] == b["file"]:
            bits.append(float(b["bpp"]) - float(a["bpp"]))
            db.append(float(b["psnr"]) - float(a["psnr"]))
    rows = tables.read(RESULTS / "targets.csv")
    ratios = [float(row["time_ratio"]) for row in rows if row["file"].startswith("kodim")]
    return (
        f"{len(along_rows)} files of {len({row['file'] for row in along_rows})} images, qualities "
        f"{QUALITIES[0]:g} to {QUALITIES[-1]:g} in steps of 0.1: bits grow in "
        f"{sum(step > 0 for step in bits)} of {len(bits)} steps (least {min(bits):+.5f} bpp), PSNR "
        f"in {sum(step > 0 for step in db)} (least {min(db):+.4f} dB)\n"
        f"{len(rows)} targets of {len({row['file'] for row in rows})} images: "
        f"{sum(row['met'] == 'True' for row in rows)} met; time on Kodak "
        f"{statistics.median(ratios):.2f} times that of one compression (median; "
        f"{min(ratios):.2f} to {max(ratios):.2f})\n"
    )


def main() -> None:
    """Measures, if there are images, and writes the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, help="Has bsds500/ and kodak/.")
    parser.add_argument("--runs", type=pathlib.Path, help="Folder of the codec.")
    arguments = parser.parse_args()
    if (arguments.data is None) != (arguments.runs is None):
        parser.error("--data and --runs go together.")
    if arguments.data:
        measure(arguments.data, trained(arguments.data, arguments.runs / "codec"))
    (RESULTS / "files.md").write_text(summary())
    print(summary(), end="")


def measure(data: pathlib.Path, found: codec.Codec) -> None:
    """Writes the two tables."""
    files = sorted((data / "kodak").glob("*.png"))[:IMAGES]
    images = {file.name: codec.read_image(file) for file in files}
    to_targets("warming up", next(iter(images.values())), found)
    everything = {**images, **odd_images(next(iter(images.values())))}
    rows = (to_targets(name, image, found) for name, image in track(everything.items(), "targets"))
    tables.write([*itertools.chain(*rows)], RESULTS / "targets.csv")
    rows = (along(name, image, found) for name, image in track(images.items(), "qualities"))
    tables.write([*itertools.chain(*rows)], RESULTS / "kodak.csv")


if __name__ == "__main__":
    main()
