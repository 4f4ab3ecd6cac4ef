"""The demo: train, export, compress in a second process, decompress in a third, measure.

Trains on crops of three photographs of scikit-image and compresses a fourth. Writes everything
under demo_output/. `make demo` runs it; it takes a few minutes on two cores.
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
REPORTED = (
    "bpp",
    "psnr",
    "estimated_bits",
    "payload_bytes",
    "file_bytes",
    "decoder_matches_encoder",
)
TRAINING_OPTIONS = {
    "--lmbda": 0.004,
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

    model, compressed = OUTPUT / "run" / "codec", OUTPUT / f"{HELD_OUT}.tfsq"
    run_tfsq("compress", paths[HELD_OUT], compressed, "--model", model)
    run_tfsq("decompress", compressed, OUTPUT / f"{HELD_OUT}.png", "--model", model)

    original = codec.read_image(paths[HELD_OUT])
    decoded = codec.read_image(OUTPUT / f"{HELD_OUT}.png")
    figures = evaluation.measure(original, codec.load(model), compressed.read_bytes(), decoded)
    # JPEG gets as many bytes, or a little more.
    reference, data = evaluation.REFERENCES["jpeg"].of_size(original, figures.file_bytes)
    jpeg = reference.decompress(data)
    of_jpeg = evaluation.figures_of(original, data, jpeg)
    demo_pictures.draw_comparison(
        (original, decoded, jpeg), figures, of_jpeg, OUTPUT / "comparison.png"
    )
    history = OUTPUT / "run" / "history.csv"
    demo_pictures.draw_training(history, STEPS_PER_EPOCH, OUTPUT / "training.png")

    report = {name: getattr(figures, name) for name in REPORTED}
    report |= {"jpeg_psnr": of_jpeg.psnr, "jpeg_file_bytes": of_jpeg.file_bytes}
    report |= {"train_seconds": round(train_seconds, 1), "steps": STEPS}
    (OUTPUT / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    table = Table(title="demo_output/report.json", show_header=False)
    for name, value in report.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
