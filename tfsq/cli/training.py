"""Commands that train: train, calibrate, program, collect, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import typer
from rich.progress import Progress
from rich.table import Table

from tfsq.cli.paths import BUNDLED, IMAGES, STRICT, codec_folder, files_of
from tfsq.cli.shell import (
    PROGRESS_COLUMNS,
    app,
    console,
    errors_as_sentences,
    going_on,
    imported,
    progress,
    say,
    shown,
)
from tfsq.cli.training_options import begun_as, with_training_settings

_SHOWN_WHILE_TRAINING = ("loss", "bpp", "psnr", "temperature")
_HOW_TO_GO_ON = "the same command continues this run, tfsq export ends it"
_GIB, _LARGEST_CACHE = 2**30, 2**20


def _progress_callback(bar: Progress, steps: int):
    import tensorflow as tf

    class Show(tf.keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            # Training goes from one epoch to the next by further calls.
            if not bar.task_ids:
                bar.add_task("", total=steps)

        def on_train_batch_end(self, batch, logs=None):
            shown = [name for name in _SHOWN_WHILE_TRAINING if name in logs]
            text = "  ".join(f"{name} {float(logs[name]):.3f}" for name in shown)
            step = int(self.model.optimizer.iterations.numpy())
            bar.update(bar.task_ids[0], completed=step, description=text)

    return Show()


@app.command()
@with_training_settings
def train(
    context: typer.Context,
    settings: Dict[str, Any],
    images: List[str] = IMAGES,
    output: Path = typer.Option(..., "--output", help="Folder of the run; resumed if it exists."),
    start: Optional[str] = typer.Option(
        None,
        metavar="FOLDER",
        help="Another run, from whose last step this one goes on, or a codec, whose weights it "
        "begins with, such as 'bundled'. Network and loss are those of the start, if not given; "
        "of a codec, a high --learning-rate leaves less; 2e-4 is low.",
    ),
    strict: bool = STRICT,
    cache_size: float = typer.Option(
        2.0, help="GiB of decoded images that are kept in memory; others are decoded again."
    ),
    strategy: str = typer.Option(
        "none",
        help="'mirrored' for all GPUs of this machine, 'multi_worker' for those in TF_CONFIG; they "
        "share each batch.",
    ),
    validation: Optional[List[str]] = typer.Option(
        None,
        help="Image files, a folder of such, or a glob, to evaluate at the end of each epoch, for "
        "history.csv and TensorBoard; none of them to train on. May be repeated.",
    ),
    time_limit: Optional[float] = typer.Option(
        None, help="Minutes after which to stop, at the end of an epoch; run again to resume."
    ),
):
    """Train a network; run again to resume. It is a mean-scale hyperprior with SUA by default."""
    with errors_as_sentences(), going_on(strict) as on_skipped:
        training = imported("training")

        if not 0.0 <= cache_size < _LARGEST_CACHE:
            raise ValueError(
                f"--cache-size must be 0 to {_LARGEST_CACHE} GiB. Received: {cache_size}"
            )
        # Before anything that TensorFlow does.
        where = training.strategy_of(strategy)
        paths = files_of(images, on_skipped)
        kept_apart = files_of(validation, on_skipped) if validation else []
        folder = None if start is None else codec_folder(start)
        if folder is not None:
            settings = begun_as(settings, folder, context)
        run = training.TrainingSettings(**settings)
        try:
            with Progress(*PROGRESS_COLUMNS) as bar:
                model = training.train(
                    paths,
                    output,
                    run,
                    callbacks=[_progress_callback(bar, run.steps)],
                    start=folder,
                    on_skipped=on_skipped,
                    strategy=where,
                    cache_size=int(cache_size * _GIB),
                    validation=kept_apart,
                    time_limit=time_limit,
                )
        except KeyboardInterrupt:
            say(f"interrupted; {_HOW_TO_GO_ON}")
            raise typer.Exit(130) from None
        step = int(model.optimizer.iterations.numpy())
        if step < run.steps:
            say(f"stopped at step {step} of {run.steps} by --time-limit; {_HOW_TO_GO_ON}")
        else:
            _tell_of_codec(output, step, run.steps)


def _tell_of_codec(run: Path, step: int, steps: int):
    if step < steps:
        say(f"the run ended at step {step} of {steps}")
    print(shown(f"codec written to {run / 'codec'}"))


@app.command()
def calibrate(
    images: List[str] = IMAGES,
    model: str = typer.Option(
        BUNDLED, metavar="FOLDER", help="Folder of an exported codec of many rates, or 'bundled'."
    ),
    output: Path = typer.Option(..., "--output", help="New folder of the codec to write."),
    strict: bool = STRICT,
):
    """Set the gains of a codec by what images cost.

    The codec must be of many rates, such as the bundled one. The middle of each image counts. What
    is written is another codec: files of the one before need that one.
    """
    with errors_as_sentences(), going_on(strict) as on_skipped:
        training = imported("training")

        paths, folder = files_of(images, on_skipped), codec_folder(model)
        with progress() as show:
            found = training.calibrate_codec(folder, paths, output, on_skipped, show)
        table = Table("quality", "loss before", "after", "change (%)")
        for quality, (before, after) in enumerate(zip(*found), 1):
            change = 100 * (after / before - 1)
            table.add_row(str(quality), f"{before:.4f}", f"{after:.4f}", f"{change:+.2f}")
        console().print(table)
        print(shown(f"codec written to {output}"))


@app.command()
def export(
    run: Path = typer.Argument(..., help="Folder of a run that was interrupted, or is over."),
    title: Optional[str] = typer.Option(None, help="Heading of the card."),
    license_name: Optional[str] = typer.Option(
        None,
        "--license",
        help="Of the weights, by Hugging Face's identifier, such as apache-2.0.",
    ),
    data: Optional[Path] = typer.Option(
        None, help="Text file for the card: what it was trained on, by whom, on which terms."
    ),
    figures: Optional[Path] = typer.Option(
        None, help="CSV file that `tfsq evaluate --csv` wrote of this codec, for the card."
    ),
):
    """Write the codec of a run at its last checkpoint. Also writes its card and model.keras.

    What the options say of the card, the run keeps for later exports, in its card.json.
    """
    with errors_as_sentences():
        codec = imported("codec")

        place = run / "codec"
        facts = codec.CardFacts(
            title=title,
            license=license_name,
            data=_read("--data", "a text file in UTF-8", data, _text_of),
            figures=_read(
                "--figures",
                "a CSV file of `tfsq evaluate`",
                figures,
                lambda file: imported("evaluation").card_figures(file, place),
            ),
        )
        found = imported("training").export_run(run, facts)
        card_is_new = found.pop("card")
        _tell_of_codec(run, **found)
        if not card_is_new:
            card = place / codec.CARD_FILE
            say(f"the card was edited, and stays as it is: {card}; remove it for a new one")


def _text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig").strip()


def _read(option: str, kind: str, file: Optional[Path], reader: Callable[[Path], str]):
    """What the file of an option says, None if none is given."""
    if file is None:
        return None
    try:
        return reader(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{option} must be {kind}. Received: {file} ({reason})") from error


@app.command()
@with_training_settings
def program(
    context: typer.Context,
    settings: Dict[str, Any],
    images: List[str] = IMAGES,
    output: Path = typer.Option(..., "--output", help="Folder of the program."),
    start: Optional[str] = typer.Option(
        None,
        metavar="FOLDER",
        help="Of a run of `tfsq train` or of another program, or of a codec, such as 'bundled', "
        "that the program starts from. Network and loss are those of the start, if not given, but "
        "for a program's result, which does not know them.",
    ),
    max_size: Optional[float] = typer.Option(
        None, help="MiB that the folder may have; images that are too much are left out."
    ),
    half: bool = typer.Option(False, "--half", help="Random first weights travel as float16."),
    strict: bool = STRICT,
):
    """Export a training step for JAX on another device. See docs/elsewhere.md."""
    with errors_as_sentences(), going_on(strict) as on_skipped:
        training = imported("training")

        paths = files_of(images, on_skipped)
        origin = None if start is None else codec_folder(start)
        # What a program brings back does not say its network.
        if origin is not None and not (origin / imported("training.program").RESULT).exists():
            settings = begun_as(settings, origin, context)
        run = training.TrainingSettings(**settings)
        found = training.export_program(paths, output, run, origin, max_size, half, on_skipped)
        for path in found["left_out"]:
            say(f"left out: {path}")
        size = found["bytes"] / 2**20
        print(shown(f"{output}: {found['images']} of {len(paths)} images, {size:.1f} MiB"))
        print(shown(f"python {output / 'run.py'} --output RESULT"))


@app.command()
def collect(
    folder: Path = typer.Argument(..., help="Folder of the program."),
    result: Path = typer.Argument(..., help="What its run.py wrote."),
    output: Path = typer.Option(..., "--output", help="Folder of the run to write."),
    run: Optional[str] = typer.Option(None, help="Name of the run; not needed if there is one."),
):
    """Make a run folder of what a program brought back. It has a codec, too."""
    with errors_as_sentences():
        found = imported("training").collect(folder, result, output, run)
        _tell_of_codec(output, **found)
