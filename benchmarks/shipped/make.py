"""Makes the codec that comes with tfsq from its run: exports, measures, writes its card.

    python -m benchmarks.shipped.make --data ../shared/data --runs ../runs/shipped

The run, `calibrated` in `--runs`, is what `train.py` and `calibrate.py` make. Writes
`saved_models/photographs/` with a card, the authors of the photographs, the CSV files in
`results/shipped` that `report.py` makes tables and a figure from, and the pictures. Without
`--runs`, the weights are those of the codec as it is shipped: its functions are exported and
measured again. Without `--data`, the card alone is written, from the committed results.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import pathlib
import shutil
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from benchmarks import rows
from benchmarks.shipped import calibrate, pictures, train
from tfsq import codec, evaluation
from tfsq.codec.saved_model import read_metadata
from tfsq.codec.shipped import SUMS_FILE, sums_of

COMMANDS = (
    "python -m benchmarks.shipped.train --start CODEC --data DATA --runs RUNS",
    "python -m benchmarks.shipped.calibrate --data DATA --runs RUNS",
    "python -m benchmarks.shipped.make --data DATA --runs RUNS",
)
MODELS, RESULTS = pathlib.Path("saved_models"), pathlib.Path("results/shipped")
FOLDER = MODELS / "photographs"
AUTHORS_FILE = MODELS / "AUTHORS.md"
LARGEST_BYTES = 16 * 10**6
REFERENCES = ("jpeg", "webp", "jpeg2000", "avif")
# Those that are also measured at the bytes of each file.
AT_EQUAL_BYTES = pictures.REFERENCES
EQUAL_BYTES = "equal_bytes.csv"
# The hash of the weights that are measured here; `exactness.csv` and `refined.csv` name theirs.
WEIGHTS = "weights.txt"


def place(run: pathlib.Path | None) -> None:
    """Exports the trained network to where the codec is shipped from."""
    if run is None:
        model = codec.load(FOLDER).network
    else:
        check_settings(json.loads((run / "settings.json").read_text()), run)
        model = tf.keras.models.load_model(run / "model.keras")
    check_settings(model.get_config(), FOLDER)
    with tempfile.TemporaryDirectory(dir=MODELS) as folder:
        made = pathlib.Path(folder, FOLDER.name)
        codec.export(model, made)
        if size_of(made) > LARGEST_BYTES:
            raise ValueError(f"The codec has {size_of(made)} bytes, more than {LARGEST_BYTES}.")
        shutil.rmtree(FOLDER, ignore_errors=True)
        made.rename(FOLDER)


def check_settings(found: dict, where: pathlib.Path) -> None:
    """Refuses a network that is not what its card would say."""
    expected = dataclasses.asdict(train.SETTINGS)
    # Names for what a configuration has as layers, and None for a default.
    names = [
        name for name, value in expected.items() if value is not None and "quantizer" not in name
    ]
    other = {n: found[n] for n in names if n in found and found[n] != expected[n]}
    if other:
        raise ValueError(f"{where} is not the codec as it is now: it has {other}")


def size_of(folder: pathlib.Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def measure(images: list[pathlib.Path]) -> None:
    """Measures the codec and the references, and writes the CSV files."""
    comparison = evaluation.Comparison([FOLDER], REFERENCES)
    for image in images:
        comparison.measure(image)
        print(image, flush=True)
    named = [
        dataclasses.replace(
            curve,
            measurements=tuple(
                dataclasses.replace(m, file=pathlib.Path(m.file).name) for m in curve.measurements
            ),
        )
        for curve in comparison.curves()
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
        row = {"quality": f"{m.quality:g}", "image": m.file, "bytes": size, "psnr": m.psnr}
        for name in AT_EQUAL_BYTES:
            reference = evaluation.REFERENCES[name]
            figures = evaluation.measure(image, *reference.of_size(image, size))
            row |= {f"{name}_bytes": figures.file_bytes, f"{name}_psnr": figures.psnr}
        found.append(row)
    rows.write(found, RESULTS / EQUAL_BYTES)


def write_authors(data: pathlib.Path) -> None:
    """Names the authors of the photographs that the network was trained on."""
    with (data / "free" / "manifest.csv").open(newline="") as opened:
        used = [row for row in csv.DictReader(opened) if row["file"].startswith("train/")]
    lines = [
        f"- {row['title']} by {row['author'] or 'an author who is not named'}, {row['licence']}, "
        f"from {row['source']}"
        for row in used
    ]
    AUTHORS_FILE.write_text(
        f"# Authors\n\n`{FOLDER.name}` was trained on crops of these {len(used)} "
        "photographs, reduced in size:\n\n" + "\n".join(lines) + "\n"
    )


def facts() -> codec.CardFacts:
    """What the card says, from the committed results."""
    settings = train.SETTINGS
    size = settings.crop_size
    return codec.CardFacts(
        title="Photographs, a codec of tfsq",
        summary="A mean-scale hyperprior for photographs of many rates, whose transforms began as "
        "a DCT. It comes with tfsq: `tfsq compress` uses it, and checks its files against a list.",
        license="apache-2.0",
        terms="The weights are offered under the Apache License 2.0, for any use, without warranty "
        "of any kind.",
        data=data_of_card(),
        training=f"{settings.steps} steps of {settings.batch_size} crops of {size}x{size} on two "
        f"processor cores, from a network of one rate, lambda {train.START.lmbda}, and fewer "
        f"latents, that an NVIDIA H100 had trained for {train.START.steps} steps of "
        f"{train.START.batch_size} crops of {train.START.crop_size}x{train.START.crop_size} "
        "(`saved_models/quality_3` of tfsq's commit 4c6b913). Then a search set its gains by the "
        f"loss of rounded latents of {calibrate.IMAGES} of the photographs. One seed. Made by: "
        + ", ".join(f"`{command}`" for command in COMMANDS),
        settings=dataclasses.asdict(settings),
        figures=figures_of_card(evaluation.read_comparison(RESULTS / "kodak.csv")[0]),
    )


def figures_of_card(curve: evaluation.Curve) -> str:
    """A line for each quality."""
    lines = [f"- quality {g[0].quality:g}, {evaluation.summary(g)}" for g in curve.groups()]
    return "Kodak; every image: `results/shipped/kodak.csv` of tfsq.\n\n" + "\n".join(lines)


def data_of_card() -> str:
    """The photographs with their authors: a folder that is uploaded goes without the one above."""
    authors = [line for line in AUTHORS_FILE.read_text().splitlines() if line.startswith("- ")]
    return (
        f"Random crops, flipped at random, few of them flat, of these {len(authors)} photographs, "
        "reduced in size. They are in the public domain, under CC0, or under Creative Commons "
        "Attribution licenses:\n\n" + "\n".join(authors)
    )


def write_card() -> None:
    """Writes the card, from the committed results alone."""
    (FOLDER / codec.CARD_FILE).write_text(codec.model_card(FOLDER, facts()))


def main() -> None:
    """Ships the codec."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, help="free/ and kodak/; only a card if none.")
    parser.add_argument("--runs", type=pathlib.Path, help="Where runs are kept.")
    arguments = parser.parse_args()
    if arguments.data is not None:
        # Results beside other weights than they are of are found by it.
        (RESULTS / WEIGHTS).unlink(missing_ok=True)
        place(arguments.runs and arguments.runs / "calibrated")
        sums = [f"{digest}  {name}\n" for name, digest in sums_of(FOLDER).items()]
        (MODELS / SUMS_FILE).write_text("".join(sums))
        write_authors(arguments.data)
        measure(sorted((arguments.data / "kodak").glob("*.png")))
        shutil.copyfile(arguments.data / "published_kodak24.csv", RESULTS / "published.csv")
        pictures.main()
        (RESULTS / WEIGHTS).write_text(read_metadata(FOLDER)["model_hash"] + "\n")
    write_card()


if __name__ == "__main__":
    main()
