"""How close does each surrogate bring a learned scalar codec to the best scalar quantizer?

A codec y = f(x), x^ = g(round(y)) with a learned density for the rate is trained on memoryless
sources at R + lambda D, with each surrogate, and evaluated with hard rounding by quadrature.
Reported is how far it stays above the entropy-constrained optimum, in percent of the Lagrangian.

    python -m benchmarks.scalar_source.run

The codecs of all sources, lambdas and seeds train side by side, as the channels of one model. A
seed is the same initial weights and the same samples in all arms. Arms that are in `codecs.csv`
already are not trained again. `summary.csv`, `table.md` and `gaps.png` are made from `codecs.csv`
alone.
"""

import collections
import csv
import dataclasses
import functools
import itertools
import pathlib
import re
from typing import Optional

import numpy as np
import tensorflow as tf
import tensorflow_compression as tfc
import typer
from rich.progress import track

import tfsq
from benchmarks import rows as tables
from tfsq import analysis, drawing

SOURCES = (analysis.Gaussian(), analysis.Laplace(), analysis.Logistic())
LMBDAS = (1.0, 3.0, 15.0, 60.0)
BATCH_SIZE, HIDDEN, GRID = 128, 8, 20_000


@dataclasses.dataclass(frozen=True)
class Arm:
    """What trains: a quantizer for each path, None for the rate meaning the same noise sample."""

    rate: Optional[str]
    reconstruction: str
    arguments: tuple = ()
    final_temperature: Optional[float] = None
    soft_then_hard: bool = False

    @property
    def name(self):
        words = [
            f"{self.rate or 'same'}|{self.reconstruction}",
            *map(str, dict(self.arguments).values()),
        ]
        if self.final_temperature is not None:
            words.append(f"t={self.final_temperature:g}")
        return "-".join(words) + ("+hard" if self.soft_then_hard else "")


EXPECTED = (("gradient", "expected"),)
ADDITIVE, ROUNDING = (("form", "additive"),), (("form", "rounding"),)
ARMS = (
    Arm("aun", "aun"),
    Arm("aun", "ste"),
    Arm("ste", "ste"),
    Arm(None, "uq"),
    Arm("aun", "sr"),
    Arm("aun", "sra", (), 0.05),
    Arm("aun", "soft", (), 0.1),
    Arm("uq", "dsq", (), 0.1),
    Arm(None, "unsr", (), 0.25),
    Arm(None, "unsr", (), 0.15),
    Arm(None, "c3", (), 0.25),
    Arm("aun", "sga", (), 0.25),
    Arm("aun", "sua", (), 0.05),
    Arm("aun", "sua", (), 0.5),
    Arm(None, "sua", (), 0.05),
    Arm(None, "sua", (), 0.5),
    Arm(None, "sua", (), 0.9),
    Arm(None, "sua", EXPECTED, 0.5),
    Arm(None, "sua", ADDITIVE, 0.5),
    Arm(None, "sua", (*ADDITIVE, *EXPECTED), 0.5),
    Arm(None, "sua", ROUNDING, 0.5),
    Arm("aun", "aun", soft_then_hard=True),
    Arm("aun", "ste", soft_then_hard=True),
    Arm(None, "unsr", (), 0.25, soft_then_hard=True),
    Arm("aun", "sua", (), 0.7, soft_then_hard=True),
    Arm(None, "sua", (), 0.5, soft_then_hard=True),
    Arm(None, "sua", (), 0.7, soft_then_hard=True),
    Arm(None, "sua", (), 0.9, soft_then_hard=True),
)
BASELINE, RECIPE = "aun|aun", "same|sua-t=0.9"


class Bend(tf.keras.layers.Layer):
    """A function of the line for each channel: slope, offset, and a few bends."""

    def __init__(self, slopes, rng, **kwargs):
        super().__init__(**kwargs)
        shape = (HIDDEN, len(slopes))
        self.slope = tf.Variable(np.log(slopes), dtype=tf.float32)
        self.offset = tf.Variable(tf.zeros(len(slopes)))
        self.inner = tf.Variable(rng.normal(size=shape), dtype=tf.float32)
        self.bias = tf.Variable(rng.normal(scale=2.0, size=shape), dtype=tf.float32)
        self.outer = tf.Variable(tf.zeros(shape))

    def call(self, x):
        bends = self.outer * tf.tanh(self.inner * x[:, None] + self.bias)
        return tf.exp(self.slope) * x + self.offset + tf.reduce_sum(bends, axis=1)


class ScalarCodecs(tf.keras.Model):
    """One codec per channel: all sources, lambdas and seeds."""

    def __init__(self, arm, seeds):
        super().__init__()
        self.cases = list(itertools.product(SOURCES, LMBDAS, range(seeds)))
        self.lmbda = tf.constant([lmbda for _, lmbda, _ in self.cases], tf.float32)
        rngs = [np.random.default_rng(case[2]) for case in self.cases]
        # The step of high rate theory, off by what a seed decides.
        steps = np.sqrt(6 / (self.lmbda.numpy() * np.log(2)))
        slopes = np.array([np.exp(rng.normal(scale=0.2)) for rng in rngs]) / steps
        # The same for all arms.
        shared = np.random.default_rng(10)
        self.analysis, self.synthesis = Bend(slopes, shared), Bend(1 / slopes, shared)
        self.prior = tfc.NoisyDeepFactorized(batch_shape=(len(self.cases),), init_scale=4.0)
        self.prior_weights = list(self.prior.base.trainable_variables)
        arguments = dict(arm.arguments)
        if arm.final_temperature is not None:
            arguments["temperature"] = 1.0
        reconstruction = tfsq.layers.get(arm.reconstruction, **arguments)
        rate = reconstruction if arm.rate is None else tfsq.layers.get(arm.rate)
        self.quantize = tfsq.layers.ZeroCenterQuantization(reconstruction, rate_quantizer=rate)

    def call(self, x, training=None):
        y = self.analysis(x)
        y_hat, symbols = self.quantize(y, tf.zeros_like(y), training=training)
        bits = self.prior.log_prob(symbols) / -np.log(2.0)
        return bits, tf.square(self.synthesis(y_hat) - x)

    def train_step(self, x):
        with tf.GradientTape() as tape:
            bits, error = self(x, training=True)
            loss = tf.reduce_sum(tf.reduce_mean(bits + self.lmbda * error, axis=0))
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return {"loss": loss / len(self.cases)}

    def evaluate_hard(self):
        """Rate and distortion of every channel under hard rounding, by quadrature."""
        reach = {source: -source.quantile(1e-10) for source in SOURCES}
        edges = np.stack([np.linspace(-1, 1, GRID + 1) * reach[case[0]] for case in self.cases], 1)
        mass = np.stack(
            [case[0].mass(column[:-1], column[1:]) for case, column in zip(self.cases, edges.T)], 1
        )
        middles = tf.constant((edges[1:] + edges[:-1]) / 2, tf.float32)
        bits, error = self(middles, training=False)
        return np.sum(mass * bits, axis=0), np.sum(mass * error, axis=0)


def samples(seeds, steps):
    """Stratified samples [BATCH_SIZE, cases] for every step, the same in all arms."""

    def draw(step):
        columns = {}
        for seed in range(seeds):
            rng = np.random.default_rng((seed, step))
            columns[seed] = (
                rng.permutation(BATCH_SIZE) + rng.uniform(size=BATCH_SIZE)
            ) / BATCH_SIZE
        v = np.clip(np.stack(list(columns.values()), 1), 1e-7, 1 - 1e-7)
        by_source = [np.tile(source.quantile(v), (1, len(LMBDAS))) for source in SOURCES]
        return np.concatenate(by_source, 1).astype(np.float32)

    width = len(SOURCES) * len(LMBDAS) * seeds
    data = tf.data.Dataset.range(steps)
    data = data.map(lambda step: tf.numpy_function(draw, [step], tf.float32))
    return data.map(lambda x: tf.ensure_shape(x, [BATCH_SIZE, width])).prefetch(4)


@functools.lru_cache
def limit_of(source, lmbda):
    """The Lagrangian of the best scalar quantizer."""
    return analysis.scalar_quantizer_limit(source, lmbda).lagrangian


def train(arm, seeds, steps):
    """Trains the codecs of an arm; returns rows of the result file."""
    tf.keras.utils.set_random_seed(0)
    model = ScalarCodecs(arm, seeds)
    rate = tf.keras.optimizers.schedules.CosineDecay(1e-2, steps)
    model.compile(tf.keras.optimizers.Adam(rate), steps_per_execution=50)
    callbacks = []
    if arm.final_temperature is not None:
        schedule = tf.keras.optimizers.schedules.ExponentialDecay(
            1.0, 0.8 * steps, arm.final_temperature
        )
        callbacks.append(
            tfsq.callbacks.TemperatureCallback(schedule, minimum=arm.final_temperature)
        )
    if "shape" in getattr(model.quantize.quantizer, "annealed_attributes", ()):
        # As published: from 2 to 1, uniform noise.
        shapes = tf.keras.optimizers.schedules.PolynomialDecay(2.0, int(0.8 * steps), 1.0)
        callbacks.append(tfsq.callbacks.TemperatureCallback(shapes, attribute="shape"))
    if arm.soft_then_hard:
        callbacks.append(tfsq.callbacks.SoftThenHard(int(0.8 * steps), freeze=[model.analysis]))
    model.fit(samples(seeds, steps), callbacks=callbacks, verbose=0)
    rates, distortions = model.evaluate_hard()
    for (source, lmbda, seed), rate, distortion in zip(model.cases, rates, distortions):
        lagrangian, limit = rate + lmbda * distortion, limit_of(source, lmbda)
        yield {
            "arm": arm.name,
            "steps": steps,
            "source": type(source).__name__,
            "lmbda": lmbda,
            "seed": seed,
            "rate": rate,
            "distortion": distortion,
            "lagrangian": lagrangian,
            "limit": limit,
            "gap_percent": 100 * (lagrangian / limit - 1),
        }


def read(file):
    """The gaps of the result file: {(arm, source, lmbda): array over seeds}."""
    gaps = collections.defaultdict(dict)
    for row in tables.read(file):
        case = row["arm"], row["source"], float(row["lmbda"])
        gaps[case][int(row["seed"])] = float(row["gap_percent"])
    return {case: np.array([by[seed] for seed in sorted(by)]) for case, by in gaps.items()}


def mean_and_error(values):
    """Mean over seeds and its standard error."""
    return values.mean(), values.std(ddof=1) / np.sqrt(len(values))


COLUMNS = (
    "source",
    "lmbda",
    "arm",
    "seeds",
    "gap_percent",
    "standard_error",
    "against_aun",
    "standard_error_of_it",
    "better_than_aun",
    "not_worse_than_the_best",
    "best",
)


def clearly_better(a, b):
    """Whether the mean of `a` is below that of `b` by two standard errors of the difference."""
    difference, error = mean_and_error(b - a)
    return difference > 2 * error


def summarize(file, output):
    """Writes the table of means, and of paired differences from additive noise on both paths."""
    gaps = read(file)
    with output.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(COLUMNS)
        for source, lmbda in dict.fromkeys(case[1:] for case in gaps):
            arms = [case[0] for case in gaps if case[1:] == (source, lmbda)]
            best = min(arms, key=lambda arm: gaps[arm, source, lmbda].mean())
            for arm in arms:
                mine = gaps[arm, source, lmbda]
                mean, error = mean_and_error(mine)
                against, of_it = mean_and_error(mine - gaps[BASELINE, source, lmbda])
                numbers = [f"{v:.4f}" for v in (mean, error, against, of_it)]
                verdicts = [
                    against < -2 * of_it,
                    not clearly_better(gaps[best, source, lmbda], mine),
                    all(
                        clearly_better(mine, gaps[other, source, lmbda])
                        for other in arms
                        if other != arm
                    ),
                ]
                writer.writerow([source, lmbda, arm, len(mine), *numbers, *verdicts])


def write_table(file, output):
    """Writes the Markdown tables that the documentation quotes: gap and standard error."""
    gaps = read(file)
    arms = list(dict.fromkeys(case[0] for case in gaps))
    lmbdas = list(dict.fromkeys(case[2] for case in gaps))
    parts = []
    for source in dict.fromkeys(case[1] for case in gaps):
        # A bar would end the cell.
        rows = [
            [arm.replace("|", " / "), *(_cell(gaps[arm, source, lmbda]) for lmbda in lmbdas)]
            for arm in arms
        ]
        columns = [source, *(f"lambda {lmbda:g}" for lmbda in lmbdas)]
        parts.append(analysis.markdown(columns, rows))
    output.write_text("\n".join(parts))


def _cell(values):
    mean, error = mean_and_error(values)
    return f"{mean:.3f} ± {error:.3f}" if mean < 10 else f"{mean:.0f} ± {error:.0f}"


@drawing.styled
def draw(file, output):
    """Draws the gap of every arm against lambda, a column for each source, a row for each kind."""
    gaps = read(file)
    kinds = collections.defaultdict(list)
    for arm in dict.fromkeys(case[0] for case in gaps):
        kinds[kind_of(arm)].append(arm)
    figure, axes = drawing.new_figure(
        len(SOURCES),
        len(kinds),
        width=2,
        height=1.6,
        title="Learned scalar codecs: gap to the best entropy-constrained scalar quantizer, "
        "% of the Lagrangian\n(rate | reconstruction; mean over seeds and two standard errors; "
        "gray: the other arms; wide: the recipe;\nlevel line: 0.5 %; below 0.001 % drawn there; "
        "soft rounding is above the figure)",
        sharex=True,
        sharey=True,
    )
    for (kind, arms), row in zip(kinds.items(), axes):
        for axis, source in zip(row, map(lambda source: type(source).__name__, SOURCES)):
            draw_panel(axis, gaps, source, arms)
            axis.set_title(f"{kind}, {source}")
    for axis in axes.ravel():
        drawing.log_axis(axis.xaxis, LMBDAS)
        axis.minorticks_off()
        drawing.log_axis(axis.yaxis, [10.0**power for power in range(-3, 3)])
        axis.set_ylim(7e-4, 300)
    figure.supxlabel("lambda", fontsize=drawing.FONT_SIZE)
    drawing.label_ends(*axes[:, -1])
    figure.savefig(output)


def kind_of(arm):
    """Which row an arm is drawn in."""
    if arm.endswith("+hard"):
        return "hard at the end"
    if "sua" not in arm:
        return "annealed" if "-t=" in arm else "not annealed"
    return "SUA, other forms" if re.search("additive|expected|rounding", arm) else "SUA"


def draw_panel(axis, gaps, source, arms):
    """Draws some arms, and the others in gray."""
    styles = drawing.line_styles(arms)
    for arm in sorted(dict.fromkeys(case[0] for case in gaps), key=lambda arm: arm in styles):
        values = [mean_and_error(gaps[arm, source, lmbda]) for lmbda in LMBDAS]
        means, errors = [max(mean, 1e-3) for mean, _ in values], [2 * error for _, error in values]
        if arm not in styles:
            axis.plot(LMBDAS, means, color=drawing.GRAY, lw=0.6, label="_")
            continue
        shifted = [lmbda * (1 + 0.02 * arms.index(arm)) for lmbda in LMBDAS]
        wide = {"lw": 2.5} if arm == RECIPE else {}
        line, *_ = axis.errorbar(shifted, means, errors, **{**styles[arm], **wide})
        line.set_label(arm)
    axis.axhline(0.5, color="0.4", lw=0.8)


def arms_of(file, seeds, steps):
    """The arms in the result file, which must have been trained in the same way."""
    rows = tables.read(file)
    before = {int(row["steps"]) for row in rows}, len({row["seed"] for row in rows})
    if before != ({steps}, seeds):
        raise ValueError(f"{file} holds arms of other steps or seeds: {before}")
    return {row["arm"] for row in rows}


def main(
    output: pathlib.Path = pathlib.Path("results/scalar_source"),
    seeds: int = 10,
    steps: int = 6000,
    only: str = "",
):
    """Train the arms that are missing, then write the summary and the figure."""
    output.mkdir(parents=True, exist_ok=True)
    file = output / "codecs.csv"
    done = arms_of(file, seeds, steps) if file.exists() else set()
    for arm in track([arm for arm in ARMS if arm.name not in done and only in arm.name]):
        trained = list(train(arm, seeds, steps))
        # Read afterwards: another process may have added arms.
        tables.write([*tables.read(file), *trained], file)
    summarize(file, output / "summary.csv")
    write_table(file, output / "table.md")
    draw(file, output / "gaps.png")


if __name__ == "__main__":
    typer.run(main)
