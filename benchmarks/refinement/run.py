"""Measures what refining the latents of an image gains, and in which time.

    python -m benchmarks.refinement.run saved_models/photographs --qualities 1 3 5 7 \
        --images 'kodak/kodim0[1-4].png'

Takes hours with the bundled codec. For every rate of a model, surrogate, number of steps and image:
seconds, bits per pixel and PSNR of real files. Writes `results/refinement/refinement.csv`,
`table.md`, `bd_rates.md` and `gain.png`. Run again to resume; with no model, only the tables and
the figure are made again, from the CSV alone. Rows are of one set of codecs, those committed of
four of an earlier build (commit f508211): put their `refinement.csv` aside to measure others.
"""

from __future__ import annotations

import argparse
import dataclasses
import glob
import itertools
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks import rows as tables
from tfsq import codec, drawing, evaluation
from tfsq.analysis import markdown

RESULTS = pathlib.Path("results/refinement")
SURROGATES = {"SGA": "sga", "SUA": "sua", "noisy soft rounding": "unsr"}
# Where the annealing of each begins and ends.
TEMPERATURES = {"SGA": (0.5, 0.1), "SUA": (1.0, 0.3), "noisy soft rounding": (0.5, 0.15)}
STEPS = (100, 500)


@dataclasses.dataclass(frozen=True)
class Row:
    """One image, refined; `surrogate` is "none" and `steps` 0 for what the analysis gives."""

    model: str
    lmbda: float
    surrogate: str
    steps: int
    image: str
    seconds: float
    bpp: float
    psnr: float

    @property
    def loss(self) -> float:
        """Bits per pixel + lambda * squared error."""
        return self.bpp + self.lmbda * 255.0**2 / 10.0 ** (self.psnr / 10.0)

    @property
    def key(self):
        """What tells rows apart."""
        return self.model, self.lmbda, self.surrogate, self.steps, self.image

    @property
    def rate(self):
        """What tells points of a curve apart."""
        return self.model, self.lmbda


def read() -> list[Row]:
    """The rows that are measured already."""
    return [
        Row(
            row["model"],
            float(row["lmbda"]),
            row["surrogate"],
            int(row["steps"]),
            row["image"],
            *(float(row[name]) for name in ("seconds", "bpp", "psnr")),
        )
        for row in tables.read(RESULTS / "refinement.csv")
    ]


def write(rows: list[Row]) -> None:
    """Writes all rows."""
    tables.write([dataclasses.asdict(row) for row in rows], RESULTS / "refinement.csv")


def measured(image, path, found: codec.Codec, quality, surrogate: str, steps: int) -> Row:
    """Compresses one image with that many steps."""
    began = time.perf_counter()
    annealing = annealing_of(surrogate, steps) if steps else {}
    latents = codec.refine_latents(image, found, steps, quality=quality, **annealing)
    data = codec.compress_latents(latents, image.shape[:2], found, quality)
    seconds = time.perf_counter() - began
    figures = evaluation.figures_of(image, data, codec.decompress(data, found))
    rate = name_of(found), found.lmbda_at(quality)
    return Row(*rate, surrogate, steps, path.stem, seconds, figures.bpp, figures.psnr)


def name_of(found: codec.Codec) -> str:
    """What rows call a codec."""
    return found.metadata["model_hash"][:8]


def annealing_of(surrogate: str, steps: int) -> dict:
    """The surrogate, with its temperature falling over all steps, for `refine_latents`."""
    start, end = TEMPERATURES[surrogate]
    schedule = tf.keras.optimizers.schedules.ExponentialDecay(start, steps, end / start)
    return {"surrogate": SURROGATES[surrogate], "schedule": schedule}


def measure(folders, qualities, surrogates, images, rows: list[Row]) -> None:
    """Adds what is missing to `rows`, and writes them after each."""
    done = {row.key for row in rows}
    codecs = [codec.load(folder) for folder in folders]
    others = {row.model for row in rows} - {name_of(found) for found in codecs}
    if folders and others:
        # They would be points of the same curve.
        raise ValueError(f"{RESULTS} has rows of codecs that are not given: {others}")
    # Of an image, one after the other, so that a change of the machine hits all surrogates.
    cases = (("none", 0), *itertools.product(surrogates, STEPS))
    for found in codecs:
        for path, quality in itertools.product(images, qualities if found.ladder else [None]):
            image, rate = codec.read_image(path), (name_of(found), found.lmbda_at(quality))
            for surrogate, steps in cases:
                if (*rate, surrogate, steps, path.stem) in done:
                    continue
                # The first call of each function is not what the others take.
                measured(image, path, found, quality, surrogate, min(1, steps))
                rows.append(measured(image, path, found, quality, surrogate, steps))
                write(rows)
                print(rows[-1], flush=True)


def summary(rows: list[Row]) -> list[list]:
    """Mean gain in the loss and mean time, for each lambda, surrogate and number of steps."""
    lines = []
    groups = dict.fromkeys((r.model, r.lmbda, r.surrogate, r.steps) for r in rows if r.steps)
    for model, lmbda, surrogate, steps in groups:
        ours = [r for r in rows if r.rate == (model, lmbda)]
        found = [r for r in ours if (r.surrogate, r.steps) == (surrogate, steps)]
        start = {r.image: r.loss for r in ours if not r.steps}
        gains = [100.0 * (row.loss / start[row.image] - 1.0) for row in found]
        seconds = np.mean([row.seconds for row in found])
        lines.append([lmbda, surrogate, steps, float(seconds), float(np.mean(gains)), len(gains)])
    return lines


def bd_rates(rows: list[Row]) -> list[list]:
    """BD-rate against no refinement: of the mean over images, and the range of single images.

    For each surrogate and number of steps with enough rates for a curve.
    """
    lines = []
    for surrogate, steps in dict.fromkeys((r.surrogate, r.steps) for r in rows if r.steps):
        refined = [r for r in rows if (r.surrogate, r.steps) == (surrogate, steps)]
        rates = {r.rate for r in refined}
        plain = [r for r in rows if not r.steps and r.rate in rates]
        if len(rates) < evaluation.MIN_BD_RATE_POINTS:
            continue
        images = list(dict.fromkeys(r.image for r in refined))
        single = [evaluation.bd_rate(_curve(plain, [i]), _curve(refined, [i])) for i in images]
        mean = evaluation.bd_rate(_curve(plain, images), _curve(refined, images))
        seconds = float(np.mean([r.seconds for r in refined]))
        lines.append([surrogate, steps, seconds, mean, min(single), max(single), len(images)])
    return lines


def _curve(rows: list[Row], images: list[str]) -> list[tuple[float, float]]:
    """The mean rate and PSNR over the images, at each rate."""
    rates = dict.fromkeys(row.rate for row in rows)
    chosen = [[r for r in rows if r.rate == rate and r.image in images] for rate in rates]
    return [(np.mean([r.bpp for r in c]), np.mean([r.psnr for r in c])) for c in chosen]


@drawing.styled
def draw(lines: list[list], path: pathlib.Path) -> None:
    """Draws gain against time, a panel for each lambda."""
    lmbdas = list(dict.fromkeys(line[0] for line in lines))
    steps = " and ".join(map(str, STEPS))
    title = f"Refining the latents of an image: loss against the analysis alone, {steps} steps"
    shared = {"sharex": True, "sharey": True}
    figure, axes = drawing.new_figure(len(lmbdas), width=2, height=2.2, title=title, **shared)
    for axis, lmbda in zip(axes[0], lmbdas):
        for surrogate, style in drawing.line_styles(SURROGATES).items():
            found = [line for line in lines if line[:2] == [lmbda, surrogate]]
            seconds, gains = ([0, *(line[i] for line in found)] for i in (3, 4))
            if found:
                axis.plot(seconds, gains, **style, label=surrogate.replace("soft ", "soft\n"))
        axis.set_title(f"lambda {lmbda:g}")
    axes[0, 0].set_ylabel("change of the loss (%)")
    figure.supxlabel("seconds an image", fontsize=drawing.FONT_SIZE)
    drawing.label_ends(axes[0, -1])
    figure.savefig(path)


def write_table(columns: list[str], lines: list[list], path: pathlib.Path) -> None:
    """Writes a Markdown table."""
    shown = [[f"{v:.3g}" if isinstance(v, float) else v for v in line] for line in lines]
    path.write_text(markdown(columns, shown))


def main() -> None:
    """Measures what is missing, and writes table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="Folders of codecs.")
    parser.add_argument("--images", default="", help="A glob.")
    parser.add_argument("--qualities", nargs="+", type=float, help="Of codecs of many rates.")
    parser.add_argument("--surrogates", nargs="+", choices=SURROGATES, default=list(SURROGATES))
    arguments = parser.parse_args()
    rows = read()
    images = [pathlib.Path(path) for path in sorted(glob.glob(arguments.images))]
    qualities = arguments.qualities or [None]
    measure(arguments.models, qualities, arguments.surrogates, images, rows)
    lines = summary(rows)
    columns = ["lambda", "surrogate", "steps", "seconds", "change of the loss (%)", "images"]
    write_table(columns, lines, RESULTS / "table.md")
    columns = ["surrogate", "steps", "seconds", "BD-rate (%)", "best", "worst", "images"]
    write_table(columns, bd_rates(rows), RESULTS / "bd_rates.md")
    draw(lines, RESULTS / "gain.png")


if __name__ == "__main__":
    main()
