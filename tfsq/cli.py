"""The command line: a thin shell over `tfsq.codec`, `tfsq.training` and `tfsq.report`."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import glob
import os
import statistics
import sys
from pathlib import Path
from typing import List, Optional

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

# TensorFlow, imported by the commands that need it, would otherwise print its build options.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Learned image compression with annealed quantization.",
)
_SHOWN_WHILE_TRAINING = ("loss", "bpp", "psnr", "temperature")
_PROGRESS_COLUMNS = (
    BarColumn(),
    MofNCompleteColumn(),
    TimeRemainingColumn(),
    TextColumn("{task.description}"),
)
_ModelOption = typer.Option(..., "--model", help="Folder of an exported codec.")


@contextlib.contextmanager
def _errors_as_sentences():
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from error


def _files_of(item: str):
    """The file of that name, or those that match it as a glob."""
    found = [item] if Path(item).is_file() else glob.glob(item, recursive=True)
    if not found:
        raise ValueError(f"No such file, and nothing that matches: {item}")
    return found


def _progress_callback(bar: Progress, steps: int):
    import tensorflow as tf

    task = bar.add_task("", total=steps)

    class Show(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            shown = [name for name in _SHOWN_WHILE_TRAINING if name in logs]
            text = "  ".join(f"{name} {float(logs[name]):.3f}" for name in shown)
            step = int(self.model.optimizer.iterations.numpy())
            bar.update(task, completed=step, description=text)

    return Show()


@app.command()
def train(
    images: List[str] = typer.Argument(..., help="Image files or globs, '**' included."),
    output: Path = typer.Option(..., "--output", help="Folder of the run; resumed if it exists."),
    lmbda: float = typer.Option(0.01, help="Weight of the distortion against bits per pixel."),
    distortion: str = typer.Option("mse", help="'mse' or 'ms-ssim'."),
    architecture: str = typer.Option(
        "MeanScaleHyperprior", help="Network of tfsq.architectures, by name."
    ),
    num_filters: int = typer.Option(32, help="Channels of the hidden layers."),
    num_latents: int = typer.Option(48, help="Channels of the latent."),
    reconstruction_quantizer: str = typer.Option("sua", help="Surrogate, by short name."),
    rate_quantizer: Optional[str] = typer.Option(
        None, help="Surrogate for the rate; the same, on the same noise, if none."
    ),
    initial_temperature: float = typer.Option(1.0, help="Where annealing begins."),
    final_temperature: float = typer.Option(0.9, help="Where annealing ends."),
    hard_fraction: float = typer.Option(0.0, help="Part of the steps that trains on hard latents."),
    scale_lower_bound: Optional[float] = typer.Option(
        None, help="Lower bound of the predicted scale; the network's own if none."
    ),
    stop_gradient: str = typer.Option("partial", help="'partial' or 'none'."),
    steps: int = typer.Option(10_000, help="Optimizer steps."),
    steps_per_epoch: int = typer.Option(500, help="Steps between checkpoints."),
    batch_size: int = typer.Option(8, help="Crops per step."),
    crop_size: int = typer.Option(128, help="Height and width of the crops."),
    learning_rate: float = typer.Option(1e-3, help="Adam's learning rate."),
    seed: int = typer.Option(0, help="Seed of weights, crops and noise."),
):
    """Train a network, a mean-scale hyperprior with SUA by default; run again to resume."""
    settings = {key: value for key, value in locals().items() if key not in ("images", "output")}
    with _errors_as_sentences():
        from tfsq import training

        paths = sorted({path for item in images for path in _files_of(item)})
        run = training.TrainingSettings(**settings)
        try:
            with Progress(*_PROGRESS_COLUMNS) as bar:
                training.train(paths, output, run, callbacks=[_progress_callback(bar, steps)])
        except KeyboardInterrupt:
            print("interrupted; the same command continues this run", file=sys.stderr)
            raise typer.Exit(130) from None
    print(f"codec written to {output / 'codec'}")


@app.command()
def compress(
    source: Path = typer.Argument(..., metavar="IN", help="Image file."),
    target: Path = typer.Argument(..., metavar="OUT", help=".tfsq file to write."),
    model: Path = _ModelOption,
):
    """Compress an image file to a .tfsq file."""
    with _errors_as_sentences():
        from tfsq import codec

        size = codec.compress_file(source, target, model)
    print(f"{target}: {size} bytes")


@app.command()
def decompress(
    source: Path = typer.Argument(..., metavar="IN", help=".tfsq file."),
    target: Path = typer.Argument(..., metavar="OUT", help="Image file to write."),
    model: Path = _ModelOption,
):
    """Decompress a .tfsq file to an image file."""
    with _errors_as_sentences():
        from tfsq import codec

        codec.decompress_file(source, target, model)
    print(target)


@app.command()
def evaluate(
    files: List[Path] = typer.Argument(..., help="Image files."),
    model: Path = _ModelOption,
    csv_file: Optional[Path] = typer.Option(None, "--csv", help="CSV file to write."),
):
    """Compress, decompress and measure image files."""
    with _errors_as_sentences():
        from tfsq import codec

        loaded = codec.load(model)
        columns = ("bpp", "psnr", "ms_ssim")
        rows = []
        for file in files:
            figures = dataclasses.asdict(codec.evaluate(codec.read_image(file), loaded))
            rows.append([str(file), *(figures[name] for name in columns)])
        known = [[value for value in column if value is not None] for column in zip(*rows)][1:]
        rows.append(["mean", *(statistics.fmean(column) if column else None for column in known)])
        table = Table("file", "bpp", "PSNR (dB)", "MS-SSIM")
        for name, *values in rows:
            table.add_row(name, *("n/a" if value is None else f"{value:.4f}" for value in values))
        Console().print(table)
        if csv_file:
            with csv_file.open("w", newline="") as opened:
                csv.writer(opened).writerows([["file", *columns], *rows])


@app.command()
def analyze(
    output: Path = typer.Option(..., "--output", help="Folder for tables and figures."),
    model: Optional[Path] = typer.Option(None, "--model", help="A .keras file; shipped if none."),
    images: Optional[List[str]] = typer.Option(None, "--image", help="Image files or globs."),
):
    """Measure all surrogates: mismatch, gradient risk, limits, recommended settings."""
    with _errors_as_sentences():
        from tfsq import report
        from tfsq.analysis import table

        found = sorted({path for item in images or () for path in _files_of(item)})
        batch = report.latent_batch(model, found or None)
        columns = (TextColumn("{task.description}"), TextColumn("{task.completed:.0f}"))
        with Progress(*columns) as bar:
            results = report.analyze(
                output, batch, lambda items, name: bar.track(items, description=name)
            )
    for name in ("limit", "recommendation"):
        print(table(results[name]))
    print(f"tables and figures of all measurements written to {output}")


@app.command()
def info(file: Path = typer.Argument(..., help=".tfsq file.")):
    """Show what a .tfsq file holds."""
    with _errors_as_sentences():
        from tfsq.codec.container import unpack

        data = file.read_bytes()
        container = unpack(data)
    rows = {
        "model": container.model_id.hex(),
        "size": f"{container.width}x{container.height}",
        "strings": ", ".join(f"{len(string)} bytes" for string in container.strings),
        "file": f"{len(data)} bytes",
        "bits per pixel": f"{8 * len(data) / (container.width * container.height):.4f}",
    }
    table = Table(title=str(file), show_header=False)
    for row in rows.items():
        table.add_row(*row)
    Console().print(table)
