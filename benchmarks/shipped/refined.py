"""Measures what `tfsq compress --refine 500` gains with the bundled codec, and in which time.

    python -m benchmarks.shipped.refined --images 'kodak/kodim0[12].png'

Writes `results/shipped/refined.csv`, a row for each image, quality and number of steps, which
`report.py` makes a table of. Run again to resume, or with more images; rows of another codec go.
"""

from __future__ import annotations

import argparse
import glob
import itertools
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import rows as tables
from benchmarks.refinement.run import name_of
from tfsq import codec, evaluation

RESULTS = pathlib.Path("results/shipped")
QUALITIES, STEPS = (1, 3, 5, 7), (0, 500)


def measured(path: pathlib.Path, quality: int, steps: int) -> dict:
    """Compresses an image with that many steps."""
    image, used = codec.read_image(path), codec.shipped_codec()
    # The first call of each function is not what the others take.
    codec.compress(image, used, refine_steps=min(1, steps), quality=quality)
    began = time.perf_counter()
    data = codec.compress(image, used, refine_steps=steps, quality=quality)
    seconds = time.perf_counter() - began
    figures = evaluation.figures_of(image, data, codec.decompress(data, used))
    row = {"model": name_of(used), "image": path.stem, "quality": str(quality)}
    row |= {"steps": str(steps), "seconds": f"{seconds:.2f}"}
    return {**row, "bpp": figures.bpp, "psnr": figures.psnr}


def main() -> None:
    """Measures what is missing, and writes all after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", required=True, help="A glob.")
    images = [pathlib.Path(path) for path in sorted(glob.glob(parser.parse_args().images))]
    name = name_of(codec.shipped_codec())
    rows: list[dict] = [r for r in tables.read(RESULTS / "refined.csv") if r["model"] == name]
    done = {(row["image"], row["quality"], row["steps"]) for row in rows}
    for path, quality, steps in itertools.product(images, QUALITIES, STEPS):
        if (path.stem, str(quality), str(steps)) in done:
            continue
        rows.append(measured(path, quality, steps))
        tables.write(rows, RESULTS / "refined.csv")
        print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
