"""The demo: train, export, compress in a second process, decompress in a third, measure.

Trains one network of three rates on crops of three photographs of scikit-image, and compresses a
fourth at each. Writes everything under demo_output/. `make demo` runs it; it takes a few minutes on
two cores.
"""

from __future__ import annotations

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
STEPS, STEPS_PER_EPOCH = 3000, 150
QUALITIES = (1, 2, 3)
# Of the codecs that come with tfsq, the one of the smallest files.
BUNDLED = 1
REPORTED = (
    "bpp",
    "psnr",
    "estimated_bits",
    "payload_bytes",
    "file_bytes",
    "decoder_matches_encoder",
)
TRAINING_OPTIONS = {
    "--lmbdas": "0.0015,0.004,0.0107",
    # More than the default, which leaves out more than quantization does at this rate.
    "--num-latents": 64,
    "--steps": STEPS,
    # Twice the default, since steps are few.
    "--learning-rate": 4e-3,
    "--steps-per-epoch": STEPS_PER_EPOCH,
    "--batch-size": 8,
    "--crop-size": 64,
}


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


def main() -> None:
    """Runs the demo."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    paths = write_photographs()
    started = time.monotonic()
    options = [word for option in TRAINING_OPTIONS.items() for word in option]
    training_paths = [paths[name] for name in TRAINING_PHOTOGRAPHS]
    run_tfsq("train", *training_paths, "--output", OUTPUT / "run", *options)
    train_seconds = time.monotonic() - started

    model, original = OUTPUT / "run" / "codec", codec.read_image(paths[HELD_OUT])
    trained = codec.load(model)
    rows, pictures = [], []
    for quality in QUALITIES:
        options = ("--model", model, "--quality", quality)
        row, shown = compressed(paths[HELD_OUT], original, trained, f"quality_{quality}", options)
        rows.append({"quality": quality, **row})
        pictures.append((f"trained here, quality {quality}", *shown))
    options = ("--quality", BUNDLED)
    bundled = codec.shipped_codec(BUNDLED)
    row, shown = compressed(paths[HELD_OUT], original, bundled, "bundled", options)
    pictures.append((f"bundled codec, quality {BUNDLED}", *shown))
    demo_pictures.draw_comparison(original, pictures, OUTPUT / "comparison.png")
    history = OUTPUT / "run" / "history.csv"
    demo_pictures.draw_training(history, STEPS_PER_EPOCH, OUTPUT / "training.png")

    report = {"files": rows, "bundled": row}
    report |= {"train_seconds": round(train_seconds, 1), "steps": STEPS}
    (OUTPUT / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    Console().print(table_of([*rows, {"quality": "bundled", **row}]))


def compressed(path, original, used: codec.Codec, name: str, options) -> tuple[dict, tuple]:
    """Compresses the photograph and decompresses it, each in a process of its own; and by JPEG.

    Args:
      path: Of the photograph.
      original: Its pixels.
      used: The codec that `options` name.
      name: Of the files.
      options: Of `tfsq compress`.

    Returns:
      (row, shown): figures of the report, and for the picture pairs of pixels and figures, of the
      codec and of JPEG.
    """
    file, back = OUTPUT / f"{name}.tfsq", OUTPUT / f"{name}.png"
    run_tfsq("compress", path, file, *options)
    # What comes with tfsq is found by the file.
    run_tfsq("decompress", file, back, *(options[:2] if "--model" in options else ()))
    decoded, data = codec.read_image(back), file.read_bytes()
    figures = evaluation.measure(original, used, data, decoded, quality=codec.unpack(data).quality)
    # JPEG gets as many bytes, or a little more.
    reference, data = evaluation.REFERENCES["jpeg"].of_size(original, figures.file_bytes)
    jpeg = reference.decompress(data)
    of_jpeg = evaluation.figures_of(original, data, jpeg)
    row = {name: getattr(figures, name) for name in REPORTED}
    row |= {"jpeg_psnr": of_jpeg.psnr, "jpeg_file_bytes": of_jpeg.file_bytes}
    return row, ((decoded, figures), (jpeg, of_jpeg))


def table_of(rows: list[dict]) -> Table:
    """A table of the report, a column for each file."""
    table = Table("", *(str(row["quality"]) for row in rows), title="demo_output/report.json")
    for name in (*REPORTED, "jpeg_psnr", "jpeg_file_bytes"):
        values = (row[name] for row in rows)
        table.add_row(name, *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values))
    return table


if __name__ == "__main__":
    main()
