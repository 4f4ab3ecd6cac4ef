"""The demo: train, export, compress in a second process, decompress in a third, measure.

Trains a network of three rates from nothing on crops of three photographs of scikit-image, and goes
on with the bundled codec on the same crops. Compresses a fourth photograph with all of them: with
the network from nothing at each of its rates, with the others to as many bytes as its middle one
takes. Writes everything under demo_output/. `make demo` runs it; it takes minutes on two cores.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import demo_pictures
import skimage.data
from rich.console import Console
from rich.table import Table

from tfsq import codec, evaluation

OUTPUT = pathlib.Path("demo_output")
TRAINING_PHOTOGRAPHS = ("astronaut", "coffee", "rocket")
HELD_OUT = "chelsea"
QUALITIES, MIDDLE = (1, 2, 3), 2
# Options of `tfsq train`.
FROM_NOTHING = {
    "--lmbdas": "0.0015,0.004,0.0107",
    # More than the default, which leaves out more than quantization does at this rate.
    "--num-latents": 64,
    "--steps": 2000,
    "--steps-per-epoch": 100,
    # Twice the default, since steps are few.
    "--learning-rate": 4e-3,
    "--batch-size": 8,
    "--crop-size": 64,
}
FINE_TUNED = {
    "--start": "bundled",
    "--steps": 600,
    "--steps-per-epoch": 100,
    # What was learned before is to stay.
    "--learning-rate": 2e-4,
    "--batch-size": 4,
    "--crop-size": 128,
}
RUNS = {"from nothing": FROM_NOTHING, "bundled, fine-tuned": FINE_TUNED}
BUNDLED = "bundled"
MEASURED = (
    "bpp",
    "psnr",
    "estimated_bits",
    "payload_bytes",
    "file_bytes",
    "decoder_matches_encoder",
)
REPORTED = (*MEASURED, "jpeg_psnr", "jpeg_file_bytes")
SHOWN = ("file_bytes", "bpp", "psnr", "jpeg_psnr")


def write_photographs() -> dict[str, pathlib.Path]:
    """Writes the photographs as PNG files and returns their paths by name."""
    folder = OUTPUT / "photographs"
    folder.mkdir(parents=True)
    paths = {name: folder / f"{name}.png" for name in (*TRAINING_PHOTOGRAPHS, HELD_OUT)}
    for name, path in paths.items():
        codec.write_image(getattr(skimage.data, name)(), path)
    return paths


def run_tfsq(*arguments) -> None:
    """Runs the command line in a process of its own."""
    subprocess.run([sys.executable, "-m", "tfsq", *map(str, arguments)], check=True)


def folder_of(run: str) -> pathlib.Path:
    """Where a run is."""
    return OUTPUT / run.replace(", ", "_").replace(" ", "_").replace("-", "_")


def train(run: str, photographs: list[pathlib.Path]) -> float:
    """Trains, and returns the seconds that it took."""
    began = time.monotonic()
    options = [word for option in RUNS[run].items() for word in option]
    run_tfsq("train", *photographs, "--output", folder_of(run), *options)
    return round(time.monotonic() - began, 1)


def main() -> None:
    """Runs the demo."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    paths = write_photographs()
    seconds = {run: train(run, [paths[name] for name in TRAINING_PHOTOGRAPHS]) for run in RUNS}
    models = {run: folder_of(run) / "codec" for run in RUNS}
    held_out = paths[HELD_OUT]
    first, *others = (*RUNS, BUNDLED)
    rows = {
        f"{first}, quality {quality}": compressed(held_out, models[first], "--quality", quality)
        for quality in QUALITIES
    }
    middle = f"{first}, quality {MIDDLE}"
    for name in others:
        model = models.get(name, codec.shipped_model())
        rows[name] = compressed(held_out, model, "--size", rows[middle]["file_bytes"])
    report = {name: {key: row[key] for key in REPORTED} for name, row in rows.items()}
    compared = {middle: rows[middle], **{name: rows[name] for name in others}}
    original = codec.read_image(held_out)
    demo_pictures.draw_comparison(original, compared, OUTPUT / "comparison.png")
    histories = {run: folder_of(run) / "history.csv" for run in RUNS}
    lengths = {run: options["--steps-per-epoch"] for run, options in RUNS.items()}
    demo_pictures.draw_training(histories, lengths, OUTPUT / "training.png")
    report = {"files": report, "train_seconds": seconds}
    (OUTPUT / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    Console().print(table_of(report["files"]))


@functools.lru_cache
def loaded(model: pathlib.Path) -> codec.Codec:
    """Loads a codec once, so that TensorFlow traces it once."""
    return codec.load(model)


def compressed(path: pathlib.Path, model: pathlib.Path, *options) -> dict:
    """Compresses the photograph and decompresses it, each in a process of its own; and by JPEG.

    Args:
      path: Of the photograph.
      model: Folder of the codec.
      *options: Of `tfsq compress`.

    Returns:
      Figures of the report, and "pixels" and "jpeg_pixels".
    """
    name = "_".join([model.parent.name, *map(str, options)]).replace("--", "")
    file, back = OUTPUT / f"{name}.tfsq", OUTPUT / f"{name}.png"
    run_tfsq("compress", path, file, "--model", model, *options)
    run_tfsq("decompress", file, back, "--model", model)
    original, decoded, data = codec.read_image(path), codec.read_image(back), file.read_bytes()
    used, quality = loaded(model), codec.unpack(data).quality
    figures = evaluation.measure(original, used, data, decoded, quality=quality)
    # JPEG gets as many bytes, or a little more.
    reference, data = evaluation.REFERENCES["jpeg"].of_size(original, figures.file_bytes)
    jpeg = reference.decompress(data)
    of_jpeg = evaluation.figures_of(original, data, jpeg)
    found = {name: getattr(figures, name) for name in MEASURED}
    found |= {"jpeg_psnr": of_jpeg.psnr, "jpeg_file_bytes": of_jpeg.file_bytes}
    return {**found, "pixels": decoded, "jpeg_pixels": jpeg}


def table_of(files: dict[str, dict]) -> Table:
    """A table of what matters in the report, a row for each file."""
    table = Table("", *SHOWN, title="more of it is in demo_output/report.json")
    for name, row in files.items():
        shown = (row[key] for key in SHOWN)
        table.add_row(name, *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in shown))
    return table


if __name__ == "__main__":
    main()
