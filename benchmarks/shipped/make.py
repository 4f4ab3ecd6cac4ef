"""Makes the codecs that come with tfsq from runs: exports, measures, writes their cards.

    python -m benchmarks.shipped.make --data ../shared/data --runs ../runs/shipped

The runs, one for each quality, are what the job "codecs" of `benchmarks/accelerator` brings back,
collected:

    tfsq collect accelerator_job/codecs RESULT --run quality_1 --output ../runs/shipped/quality_1

Writes `saved_models/quality_<n>/` with a card, the authors of the photographs, and the CSV files in
`results/shipped` that `report.py` makes tables and a figure from. Without `--runs`, the weights are
those of the codecs as they are shipped: their functions are exported and measured again. Without
`--data`, the cards alone are written, from the committed results.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import pathlib
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from benchmarks import rows
from tfsq import codec, evaluation, training
from tfsq.codec.shipped import SUMS_FILE, sums_of

COMMAND = "python -m benchmarks.shipped.make --data DATA --runs RUNS"
DEVICE = "NVIDIA H100"
LMBDAS = {1: 0.0015, 2: 0.004, 3: 0.01, 4: 0.02}
# A hyper synthesis as wide as latents are many would be most of the network. At a
# learning rate of 4e-3, so many latents were not stable.
BASE = training.TrainingSettings(
    num_filters=64,
    num_latents=160,
    hyper_width=64,
    batch_size=8,
    crop_size=256,
    steps=26_000,
    steps_per_epoch=1000,
    least_detail=4.0,
    learning_rate=1.5e-3,
    annealing_start=0.0,
)
MODELS, RESULTS = pathlib.Path("saved_models"), pathlib.Path("results/shipped")
AUTHORS_FILE = MODELS / "AUTHORS.md"
LARGEST_BYTES = 9 * 10**6
REFERENCES = ("jpeg", "webp")
EQUAL_BYTES = "equal_bytes.csv"


def settings_of(quality: int) -> training.TrainingSettings:
    """The settings of one quality."""
    return dataclasses.replace(BASE, lmbda=LMBDAS[quality])


def photographs(data: pathlib.Path) -> list[pathlib.Path]:
    """What is trained on."""
    return sorted((data / "free" / "train").glob("*.jpg"))


def place(quality: int, runs: pathlib.Path | None) -> pathlib.Path:
    """Exports a trained network to where its codec is shipped from."""
    folder = MODELS / f"quality_{quality}"
    if runs is None:
        model = codec.load(folder).network
    else:
        run = runs / f"quality_{quality}"
        check_settings(json.loads((run / "settings.json").read_text()), quality, run)
        model = tf.keras.models.load_model(run / "model.keras")
    check_settings({**model.get_config(), "lmbda": model.lmbda}, quality, folder)
    shutil.rmtree(folder, ignore_errors=True)
    codec.export(model, folder)
    if size_of(folder) > LARGEST_BYTES:
        raise ValueError(f"{folder} has {size_of(folder)} bytes, more than {LARGEST_BYTES}.")
    return folder


def check_settings(found: dict, quality: int, where: pathlib.Path) -> None:
    """Refuses a network that is not what its card would say."""
    expected = dataclasses.asdict(settings_of(quality))
    # Names for what a configuration has as layers, and None for a default.
    names = [
        name for name, value in expected.items() if value is not None and "quantizer" not in name
    ]
    other = {n: found[n] for n in names if n in found and found[n] != expected[n]}
    if other:
        raise ValueError(f"{where} is not quality {quality} as it is now: it has {other}")


def size_of(folder: pathlib.Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def measure(folders: list[pathlib.Path], images: list[pathlib.Path]) -> None:
    """Measures the codecs and the references, and writes the CSV files."""
    comparison = evaluation.Comparison(folders, REFERENCES)
    comparison.measure(*images)
    curves = comparison.curves()
    named = [
        dataclasses.replace(
            curve,
            measurements=tuple(
                dataclasses.replace(m, file=pathlib.Path(m.file).name) for m in curve.measurements
            ),
        )
        for curve in curves
    ]
    RESULTS.mkdir(parents=True, exist_ok=True)
    evaluation.write_comparison(named, RESULTS / "kodak.csv")
    write_equal_bytes(named[0], {path.name: codec.read_image(path) for path in images})


def write_equal_bytes(curve: evaluation.Curve, images: dict) -> None:
    """Measures the references at the bytes of each file, or a little more."""
    found = []
    for m in curve.measurements:
        image = images[m.file]
        size = round(m.bpp * image.shape[0] * image.shape[1] / 8)
        row = {"codec": m.codec, "image": m.file, "bytes": size, "psnr": m.psnr}
        for name in REFERENCES:
            reference = evaluation.REFERENCES[name]
            figures = evaluation.measure(image, *reference.of_size(image, size))
            row |= {f"{name}_bytes": figures.file_bytes, f"{name}_psnr": figures.psnr}
        found.append(row)
    rows.write(found, RESULTS / EQUAL_BYTES)


def write_authors(data: pathlib.Path) -> None:
    """Names the authors of the photographs that the networks were trained on."""
    with (data / "free" / "manifest.csv").open(newline="") as opened:
        used = [row for row in csv.DictReader(opened) if row["file"].startswith("train/")]
    lines = [
        f"- {row['title']} by {row['author'] or 'an author who is not named'}, {row['licence']}, "
        f"from {row['source']}"
        for row in used
    ]
    AUTHORS_FILE.write_text(
        f"# Authors\n\n`quality_1` to `quality_{max(LMBDAS)}` were trained on crops of these "
        f"{len(used)} photographs, reduced in size:\n\n" + "\n".join(lines) + "\n"
    )


def facts_of(quality: int, group: list[evaluation.Measurement]) -> codec.CardFacts:
    """What the card of a quality says, from what was measured on each image."""
    settings = settings_of(quality)
    size = settings.crop_size
    return codec.CardFacts(
        title=f"Quality {quality} of tfsq",
        summary="A mean-scale hyperprior for photographs, whose transforms began as a DCT. It "
        f"comes with tfsq, as `--quality {quality}` of `tfsq compress`, which checks its files "
        "against a list.",
        license="apache-2.0",
        terms="The weights are offered under the Apache License 2.0, for any use, without warranty "
        "of any kind.",
        data=data_of_cards(),
        training=f"{settings.steps} steps of {settings.batch_size} crops of {size}x{size} at "
        f"lambda {settings.lmbda}. One seed. With the three others, under 7 minutes of an "
        f'{DEVICE} (job "codecs" of `benchmarks/accelerator`). Made by: `{COMMAND}`',
        settings=dataclasses.asdict(settings),
        figures=f"Kodak, {evaluation.summary(group)}. Every image: "
        "`results/shipped/kodak.csv` of tfsq.",
    )


def data_of_cards() -> str:
    """The photographs with their authors: a folder that is uploaded goes without the one above."""
    authors = [line for line in AUTHORS_FILE.read_text().splitlines() if line.startswith("- ")]
    return (
        f"Random crops, flipped at random, few of them flat, of these {len(authors)} photographs, "
        "reduced in size. They are in the public domain, under CC0, or under Creative Commons "
        "Attribution licenses:\n\n" + "\n".join(authors)
    )


def write_cards() -> None:
    """Writes the cards, from the committed results alone."""
    models = evaluation.read_comparison(RESULTS / "kodak.csv")[0]
    for quality, group in zip(LMBDAS, models.groups()):
        folder = MODELS / f"quality_{quality}"
        (folder / codec.CARD_FILE).write_text(codec.model_card(folder, facts_of(quality, group)))


def main() -> None:
    """Ships the codecs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, help="free/ and kodak/; only cards if none.")
    parser.add_argument("--runs", type=pathlib.Path, help="Where runs are kept.")
    arguments = parser.parse_args()
    if arguments.data is None:
        write_cards()
        return
    folders = [place(quality, arguments.runs) for quality in LMBDAS]
    sums = [f"{digest}  {name}\n" for f in folders for name, digest in sums_of(f).items()]
    (MODELS / SUMS_FILE).write_text("".join(sums))
    write_authors(arguments.data)
    measure(folders, sorted((arguments.data / "kodak").glob("*.png")))
    shutil.copyfile(arguments.data / "published_kodak24.csv", RESULTS / "published.csv")
    write_cards()


if __name__ == "__main__":
    main()
