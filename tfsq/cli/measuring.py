"""Commands that measure: evaluate, analyze."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import List, Optional

import typer
from rich.progress import Progress, TextColumn
from rich.table import Table

from tfsq.cli.paths import (
    BUNDLED,
    FORCE,
    IMAGES,
    STRICT,
    check_new_folder,
    check_target,
    codec_folder,
    files_of,
)
from tfsq.cli.shell import (
    PROGRESS_COLUMNS,
    app,
    bar_of,
    cell,
    console,
    errors_as_sentences,
    going_on,
    imported,
    is_expected,
    reason_of,
    say,
    shown,
)
from tfsq.files import check_not_inside, resolved, writing_whole

_MOST_QUALITIES = 1000


def _comparison_table(curves):
    """Of each model every file and the mean, of references the means."""
    table = Table("file", "codec", "quality", "bpp", "PSNR (dB)", "MS-SSIM")
    for curve in curves:
        groups = [(*g, mean) for g, mean in zip(curve.groups(), curve.means())]
        for rows in groups if curve.of_models else [curve.means()]:
            for row in rows:
                values = (row.bpp, row.psnr, row.ms_ssim)
                figures = ("n/a" if value is None else f"{value:.4f}" for value in values)
                table.add_row(cell(row.file), cell(row.codec), f"{row.quality:g}", *figures)
            table.add_section()
    return table


def _bd_rate_line(models, other):
    from tfsq import evaluation

    anchor, test = other.points(), models.points()
    try:
        low, high = evaluation.shared_psnr(anchor, test)
        result = f"{evaluation.bd_rate(anchor, test):+.2f} %, over {low:.2f} to {high:.2f} dB"
    except (ValueError, ImportError) as error:
        # What was measured stands without it.
        said = str(error).replace("`anchor`", other.name).replace("`test`", models.name)
        result = f"n/a: {said}"
    return f"BD-rate of {models.name} against {other.name}: {result}"


def _show(evaluation, curves):
    console().print(_comparison_table(curves))
    first = curves[0]
    if first.without:
        names = ", ".join(sorted(first.without))
        say(
            "Means and BD-rates leave out what a codec reproduces exactly, with infinite PSNR: "
            f"{names}. They are over {len(first.files())} of the files."
        )
    elif any(math.isinf(psnr) for curve in curves for _, psnr in curve.points()):
        say("Each file is reproduced exactly by a codec: its mean PSNR is infinite.")
    long_enough = [c for c in curves if len(c.points()) >= evaluation.MIN_BD_RATE_POINTS]
    for models, other in itertools.combinations(long_enough, 2):
        if models.of_models:
            print(shown(_bd_rate_line(models, other)))


def _measure(comparison, paths, on_skipped):
    """Measures all files, going on past those that do not serve."""
    with bar_of(*PROGRESS_COLUMNS) as bar:
        for path in bar.track(paths):
            try:
                comparison.measure(path)
            except Exception as error:
                if on_skipped is None or not is_expected(error):
                    raise
                on_skipped(reason_of(error, path))


@app.command()
def evaluate(
    files: List[str] = IMAGES,
    models: Optional[List[str]] = typer.Option(
        None,
        "--model",
        metavar="FOLDER",
        help="Folder of an exported codec, or 'bundled', which is all if none is given; may be "
        "repeated.",
    ),
    qualities: Optional[str] = typer.Option(
        None,
        "--qualities",
        help="'FIRST:LAST:STEP', such as 1:7:0.5, of codecs of many rates; all rungs if none.",
    ),
    references: Optional[List[str]] = typer.Option(
        None,
        "--reference",
        help="jpeg, jpeg444, webp, avif, avif444, jpeg2000 or jxl, at a ladder of qualities; may "
        "be repeated.",
    ),
    csv_file: Optional[Path] = typer.Option(None, "--csv", help="CSV file to write."),
    figure_file: Optional[Path] = typer.Option(
        None, "--figure", help="Figure of PSNR against rate to write, such as figure.png."
    ),
    html_file: Optional[Path] = typer.Option(
        None,
        "--html",
        help="Page to write, such as report.html: curves, a table, and pictures side by side, "
        "references at equal bytes where they go so low.",
    ),
    strict: bool = STRICT,
    force: bool = FORCE,
):
    """Compress, decompress and measure image files. With --reference, classical codecs too."""
    with errors_as_sentences(), going_on(strict) as on_skipped:
        evaluation = imported("evaluation")

        paths = files_of(files, on_skipped)
        folders = [codec_folder(model) for model in models or [BUNDLED]]
        targets = {"--csv": csv_file, "--figure": figure_file, "--html": html_file}
        _check_targets(evaluation, targets, paths, folders, force)
        chosen = None if qualities is None else _qualities_of(qualities)
        report = evaluation.HtmlReport(len(paths), references or ()) if html_file else None
        on_measured = report.add if report else None
        comparison = evaluation.Comparison(folders, references or (), chosen, on_measured)
        try:
            _measure(comparison, paths, on_skipped)
        finally:
            # Also of an evaluation that was interrupted.
            curves = comparison.curves()
            try:
                if curves and csv_file:
                    evaluation.write_comparison(curves, csv_file)
                if curves and report:
                    report.write(curves, html_file)
            finally:
                if curves:
                    _show(evaluation, curves)
        if not curves:
            raise ValueError("None of the files serves.")
        if figure_file:
            with writing_whole(figure_file) as file:
                evaluation.draw_comparison(curves).savefig(file)


def _qualities_of(text: str) -> List[float]:
    """The numbers from the first to the last, a step apart."""
    try:
        first, last, step = map(float, text.split(":"))
        count = math.floor((last - first) / step + 1e-6) + 1
    except (ValueError, ZeroDivisionError, OverflowError):
        count = 0
    if not 1 <= count <= _MOST_QUALITIES:
        raise ValueError(
            "--qualities must be FIRST:LAST:STEP, such as 1:7:0.5, of at most "
            f"{_MOST_QUALITIES} qualities. Received: {text}"
        )
    return [first + i * step for i in range(count)]


def _check_targets(evaluation, targets, sources, folders, force):
    given = {option: file for option, file in targets.items() if file}
    for file in given.values():
        check_target(file, sources, force)
        for folder in folders:
            check_not_inside(file, folder)
    for (one, file), (other, same) in itertools.combinations(given.items(), 2):
        if _is_same(file, same):
            raise ValueError(f"{one} and {other} must be different files. Received: {file}")
    if "--figure" in given:
        evaluation.check_figure_file(given["--figure"])


def _is_same(a: Path, b: Path) -> bool:
    return resolved(a) == resolved(b) or (a.exists() and b.exists() and a.samefile(b))


@app.command()
def analyze(
    output: Path = typer.Option(..., "--output", help="Folder for tables and figures."),
    model: Optional[str] = typer.Option(
        None,
        "--model",
        metavar="PATH",
        help="A .keras file, a run or an exported codec, such as 'bundled'; if none, a small "
        "network that comes with tfsq.",
    ),
    images: Optional[List[str]] = typer.Option(
        None, "--image", help="Image file, folder or glob; may be repeated."
    ),
    quality: Optional[float] = typer.Option(
        None, help="Of a model of many rates: in its steps, and for its lambda; the middle if none."
    ),
    strict: bool = STRICT,
    force: bool = FORCE,
):
    """Measure all surrogates, and recommend settings. Mismatch, gradient risk, limits."""
    with errors_as_sentences(), going_on(strict) as on_skipped:
        evaluation, analysis = imported("evaluation"), imported("analysis")
        report = imported("analysis.report")

        found = files_of(images, on_skipped) if images else None
        folder = None if model is None else codec_folder(model)
        check_new_folder(output, force, [*(found or ()), *([folder] if folder else ())])
        batch = evaluation.latent_batch(folder, found, on_skipped, quality)
        columns = (TextColumn("{task.description}"), TextColumn("{task.completed:.0f}"))
        with Progress(*columns) as bar:
            results = report.analyze(
                output, batch, lambda items, name: bar.track(items, description=name)
            )
        for name in ("limit", "recommendation"):
            print(analysis.table(results[name]))
        print(f"tables and figures of all measurements written to {output}\n")
        # The quantizers of `tfsq train`; the table has each surrogate for both paths.
        print(analysis.advice(analysis.recommend("sua", batch, rate_surrogate="aun")))
