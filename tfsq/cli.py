"""The command line: a thin shell over `tfsq.codec`, `tfsq.training` and `tfsq.report`."""

from __future__ import annotations

import contextlib
import functools
import gc
import glob
import importlib
import inspect
import os
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional

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
_ERRORS = (OSError, ValueError, FloatingPointError, ImportError, MemoryError)
_SHOWN_WHILE_TRAINING = ("loss", "bpp", "psnr", "temperature")
_PROGRESS_COLUMNS = (
    BarColumn(),
    MofNCompleteColumn(),
    TimeRemainingColumn(),
    TextColumn("{task.description}"),
)


def _imported(name: str):
    """A module of tfsq, imported without looking for garbage meanwhile.

    At the start of a command there is none, and to look for it among all that TensorFlow brings,
    now and again before the process ends, would take a second.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(f"tfsq.{name}")
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _errors_as_sentences():
    try:
        yield
    except Exception as error:
        # TensorFlow's errors, of a full disk for instance, have no class that is known before it is
        # imported.
        if not isinstance(error, _ERRORS) and not type(error).__module__.startswith("tensorflow"):
            raise
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from error


def _files_of(item: str):
    """The file of that name, or those that match it as a glob."""
    found = [item] if Path(item).is_file() else glob.glob(item, recursive=True)
    if not found:
        raise ValueError(f"No such file, and nothing that matches: {item}")
    return found


def _files(items: Iterable[str]):
    """The files of all those names and globs, each once."""
    return sorted({path for item in items for path in _files_of(item)})


def _check_target(file: Optional[Path]):
    """Before what may be minutes of work, and not after."""
    if file and not file.parent.is_dir():
        raise FileNotFoundError(f"No such folder: {file.parent}")
    if file and file.is_dir():
        raise IsADirectoryError(f"A folder, not a file to write: {file}")


@contextlib.contextmanager
def _progress():
    """A bar that appears with the first call of what it gives."""
    with Progress(*_PROGRESS_COLUMNS, console=Console(stderr=True), transient=True) as bar:
        tasks = {}

        def show(stage, done, total):
            kind = stage.split()[0]
            if kind not in tasks:
                tasks[kind] = bar.add_task(stage, total=total)
            bar.update(tasks[kind], completed=done, description=stage)

        yield show


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


def _training_settings(
    lmbda: float = typer.Option(0.01, help="Weight of the distortion against bits per pixel."),
    distortion: str = typer.Option("mse", help="'mse' or 'ms-ssim'."),
    architecture: str = typer.Option(
        "MeanScaleHyperprior", help="Network of tfsq.architectures, by name."
    ),
    num_filters: int = typer.Option(32, help="Channels of the hidden layers."),
    num_latents: int = typer.Option(48, help="Channels of the latent."),
    hyper_width: Optional[int] = typer.Option(
        None, help="Channels of the hyper synthesis' first layer; as published if none."
    ),
    shortcut: str = typer.Option(
        "dct", help="'dct' for transforms that begin as a DCT, 'none' for the literature's."
    ),
    reconstruction_quantizer: str = typer.Option("sua", help="Surrogate, by short name."),
    rate_quantizer: str = typer.Option(
        "aun", help="Surrogate for the rate; 'same' is the reconstruction's, on the same noise."
    ),
    initial_temperature: float = typer.Option(1.0, help="Where annealing begins."),
    final_temperature: float = typer.Option(0.05, help="Where annealing ends."),
    annealing_start: float = typer.Option(
        0.0, help="Part of the steps in which the temperature stays where it begins."
    ),
    hard_fraction: float = typer.Option(0.0, help="Part of the steps that trains on hard latents."),
    scale_lower_bound: Optional[float] = typer.Option(
        None, help="Lower bound of the predicted scale; the network's own if none."
    ),
    stop_gradient: str = typer.Option("partial", help="'partial' or 'none'."),
    steps: int = typer.Option(10_000, help="Optimizer steps."),
    steps_per_epoch: int = typer.Option(500, help="Steps between checkpoints."),
    batch_size: int = typer.Option(4, help="Crops per step."),
    crop_size: int = typer.Option(128, help="Height and width of the crops."),
    least_detail: float = typer.Option(
        0.0, help="Crops that are flatter, by the mean difference of neighbors, are drawn again."
    ),
    learning_rate: float = typer.Option(4e-3, help="Learning rate at the start."),
    seed: int = typer.Option(0, help="Seed of weights, crops and noise."),
    policy: str = typer.Option("float32", help="'float32' or 'mixed_bfloat16', which Keras knows."),
) -> Dict[str, Any]:
    """The arguments of `TrainingSettings`, from options that two commands share."""
    settings: Dict[str, Any] = dict(locals())
    settings["rate_quantizer"] = None if rate_quantizer == "same" else rate_quantizer
    settings["shortcut"] = None if shortcut == "none" else shortcut
    return settings


def _with_training_settings(command):
    """Gives a command the options of `_training_settings`, as its argument `settings`."""
    own, shared = inspect.signature(command), inspect.signature(_training_settings)

    @functools.wraps(command)
    def run(**given):
        settings = _training_settings(**{name: given.pop(name) for name in shared.parameters})
        return command(**given, settings=settings)

    parameters = [p for p in own.parameters.values() if p.name != "settings"]
    parameters += shared.parameters.values()
    # What Typer makes options of.
    vars(run)["__signature__"] = own.replace(parameters=parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


@contextlib.contextmanager
def _naming_skipped(skip: bool, count: int):
    """A list for the files that are skipped, or None; they are named in the end."""
    skipped: Optional[List[str]] = [] if skip else None
    try:
        yield skipped
    finally:
        for reason in skipped or ():
            print(f"skipped: {reason}", file=sys.stderr)
        if skipped:
            print(f"skipped {len(skipped)} of {count} images", file=sys.stderr)


_IMAGES = typer.Argument(..., help="Image files or globs, '**' included.")
_SKIP_BAD_IMAGES = typer.Option(
    False, "--skip-bad-images", help="Leave out files that do not serve, and name them."
)


@app.command()
@_with_training_settings
def train(
    settings: Dict[str, Any],
    images: List[str] = _IMAGES,
    output: Path = typer.Option(..., "--output", help="Folder of the run; resumed if it exists."),
    skip_bad_images: bool = _SKIP_BAD_IMAGES,
    strategy: str = typer.Option(
        "none",
        help="'mirrored' for all GPUs of this machine, 'multi_worker' for those in TF_CONFIG; they "
        "share each batch.",
    ),
):
    """Train a network, a mean-scale hyperprior with SUA by default; run again to resume."""
    with _errors_as_sentences():
        training = _imported("training")

        # Before anything that TensorFlow does.
        where = training.strategy_of(strategy)
        paths = _files(images)
        run = training.TrainingSettings(**settings)
        with _naming_skipped(skip_bad_images, len(paths)) as skipped:
            try:
                with Progress(*_PROGRESS_COLUMNS) as bar:
                    shown = [_progress_callback(bar, run.steps)]
                    training.train(
                        paths, output, run, callbacks=shown, skipped=skipped, strategy=where
                    )
            except KeyboardInterrupt:
                print("interrupted; the same command continues this run", file=sys.stderr)
                raise typer.Exit(130) from None
    print(f"codec written to {output / 'codec'}")


@app.command()
@_with_training_settings
def program(
    settings: Dict[str, Any],
    images: List[str] = _IMAGES,
    output: Path = typer.Option(..., "--output", help="Folder of the program."),
    start: Optional[Path] = typer.Option(
        None, help="Run that the program starts from, of `tfsq train` or of another program."
    ),
    max_size: Optional[float] = typer.Option(
        None, help="MiB that the folder may have; images that are too much are left out."
    ),
    half: bool = typer.Option(False, "--half", help="Random first weights travel as float16."),
    skip_bad_images: bool = _SKIP_BAD_IMAGES,
):
    """Export a training step, to be run by JAX on another device; see docs/elsewhere.md."""
    with _errors_as_sentences():
        training = _imported("training")

        paths = _files(images)
        run = training.TrainingSettings(**settings)
        with _naming_skipped(skip_bad_images, len(paths)) as skipped:
            found = training.export_program(paths, output, run, start, max_size, half, skipped)
    for path in found["left_out"]:
        print(f"left out: {path}", file=sys.stderr)
    size = found["bytes"] / 2**20
    print(f"{output}: {found['images']} of {len(paths)} images, {size:.1f} MiB")
    print(f"python {output / 'run.py'} --output RESULT")


@app.command()
def collect(
    folder: Path = typer.Argument(..., help="Folder of the program."),
    result: Path = typer.Argument(..., help="What its run.py wrote."),
    output: Path = typer.Option(..., "--output", help="Folder of the run to write."),
    run: Optional[str] = typer.Option(None, help="Name of the run; not needed if there is one."),
):
    """Make a run folder, with its codec, of what a program brought back."""
    with _errors_as_sentences():
        found = _imported("training").collect(folder, result, output, run)
    if found["step"] < found["steps"]:
        print(f"the run ended at step {found['step']} of {found['steps']}", file=sys.stderr)
    print(f"codec written to {output / 'codec'}")


@app.command()
def compress(
    source: Path = typer.Argument(..., metavar="IN", help="Image file."),
    target: Path = typer.Argument(..., metavar="OUT", help=".tfsq file to write."),
    model: Optional[Path] = typer.Option(None, "--model", help="Folder of an exported codec."),
    quality: Optional[int] = typer.Option(
        None, help="Quality of a codec that comes with tfsq, 1 to 4; instead of --model."
    ),
    refine: int = typer.Option(
        0, metavar="STEPS", help="Steps of refining the latents: smaller files, more time."
    ),
    verify: bool = typer.Option(
        False, "--verify", help="Decode the file in a second process, and compare the pixels."
    ),
):
    """Compress an image file to a .tfsq file."""
    if (model is None) == (quality is None):
        raise typer.BadParameter("give one of --model and --quality")
    with _errors_as_sentences():
        codec = _imported("codec")

        _check_target(target)
        chosen = codec.shipped_codec(quality) if model is None else model
        with _progress() as show:
            size = codec.compress_file(source, target, chosen, refine, show, verify)
    print(f"{target}: {size} bytes")


@app.command()
def decompress(
    source: Path = typer.Argument(..., metavar="IN", help=".tfsq file."),
    target: Path = typer.Argument(..., metavar="OUT", help="Image file to write."),
    model: Optional[Path] = typer.Option(
        None, "--model", help="Folder of the codec; not needed for those that come with tfsq."
    ),
):
    """Decompress a .tfsq file to an image file."""
    with _errors_as_sentences():
        codec = _imported("codec")

        _check_target(target)
        with _progress() as show:
            codec.decompress_file(source, target, model, show)
    print(target)


def _comparison_table(curves):
    """Of each model every file and the mean, of references the means."""
    table = Table("file", "codec", "quality", "bpp", "PSNR (dB)", "MS-SSIM")
    models, *references = curves
    groups = [(*group, mean) for group, mean in zip(models.groups(), models.means())]
    for rows in (*groups, *(reference.means() for reference in references)):
        for row in rows:
            values = (row.bpp, row.psnr, row.ms_ssim)
            shown = ("n/a" if value is None else f"{value:.4f}" for value in values)
            table.add_row(row.file, row.codec, f"{row.quality:g}", *shown)
        table.add_section()
    return table


def _bd_rate_line(models, reference):
    from tfsq import codec

    anchor, test = reference.points(), models.points()
    try:
        low, high = codec.shared_psnr(anchor, test)
        result = f"{codec.bd_rate(anchor, test):+.2f} %, over {low:.2f} to {high:.2f} dB"
    except (ValueError, ImportError) as error:
        # What was measured stands without it.
        result = f"n/a: {error}"
    return f"BD-rate of {models.name} against {reference.name}: {result}"


@app.command()
def evaluate(
    files: List[str] = typer.Argument(..., help="Image files or globs, '**' included."),
    models: List[Path] = typer.Option(
        ..., "--model", help="Folder of an exported codec; repeat it for more qualities."
    ),
    references: Optional[List[str]] = typer.Option(
        None, "--reference", help="'jpeg' or 'webp', at a ladder of qualities; may be repeated."
    ),
    csv_file: Optional[Path] = typer.Option(None, "--csv", help="CSV file to write."),
    figure_file: Optional[Path] = typer.Option(
        None, "--figure", help="Figure of PSNR against rate to write, such as figure.png."
    ),
):
    """Compress, decompress and measure image files, beside JPEG and WebP if asked for."""
    with _errors_as_sentences():
        codec = _imported("codec")

        paths = _files(files)
        _check_target(csv_file)
        _check_target(figure_file)
        if figure_file:
            codec.check_figure_file(figure_file)
        shown = Console(stderr=True)
        with Progress(*_PROGRESS_COLUMNS, console=shown, transient=True) as bar:
            curves = codec.compare(bar.track(paths), models, references or ())
        Console().print(_comparison_table(curves))
        if csv_file:
            codec.write_comparison(curves, csv_file)
        if figure_file:
            codec.draw_comparison(curves).savefig(figure_file, dpi=110)
    if len(models) >= codec.MIN_BD_RATE_POINTS:
        for reference in curves[1:]:
            print(_bd_rate_line(curves[0], reference))


@app.command()
def analyze(
    output: Path = typer.Option(..., "--output", help="Folder for tables and figures."),
    model: Optional[Path] = typer.Option(None, "--model", help="A .keras file; shipped if none."),
    images: Optional[List[str]] = typer.Option(None, "--image", help="Image files or globs."),
):
    """Measure all surrogates: mismatch, gradient risk, limits, recommended settings."""
    with _errors_as_sentences():
        report, analysis = _imported("report"), _imported("analysis")

        found = _files(images or ())
        batch = report.latent_batch(model, found or None)
        columns = (TextColumn("{task.description}"), TextColumn("{task.completed:.0f}"))
        with Progress(*columns) as bar:
            results = report.analyze(
                output, batch, lambda items, name: bar.track(items, description=name)
            )
    for name in ("limit", "recommendation"):
        print(analysis.table(results[name]))
    print(f"tables and figures of all measurements written to {output}")


@app.command()
def info(file: Path = typer.Argument(..., help=".tfsq file.")):
    """Show what a .tfsq file holds."""
    with _errors_as_sentences():
        files = _imported("codec.container")

        container, size = files.read(file), file.stat().st_size
    rows = {
        "model": container.model_id.hex(),
        "size": f"{container.width}x{container.height}",
        "strings": ", ".join(f"{len(string)} bytes" for string in container.strings),
        "file": f"{size} bytes",
        "bits per pixel": f"{8 * size / (container.width * container.height):.4f}",
    }
    table = Table(title=str(file), show_header=False)
    for row in rows.items():
        table.add_row(*row)
    Console().print(table)
