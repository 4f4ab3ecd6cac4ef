"""The demo: train, export, compress in a second process, decompress in a third, measure.

Trains on crops of three photographs of scikit-image and compresses a fourth. Writes everything
under demo_output/. `make demo` runs it; it takes a few minutes on two cores.
"""

from __future__ import annotations

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import skimage.data
from rich.console import Console
from rich.table import Table

from tfsq import codec, evaluation

OUTPUT = pathlib.Path("demo_output")
TRAINING_PHOTOGRAPHS = ("astronaut", "coffee", "rocket")
HELD_OUT = "chelsea"
STEPS, STEPS_PER_EPOCH = 3000, 150
# Of the held-out photograph: an eye.
DETAIL = (slice(70, 170), slice(120, 270))
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


def draw_comparison(
    original, decoded, jpeg, figures: evaluation.Figures, of_jpeg: evaluation.Figures, path
) -> None:
    """Draws the original, what tfsq and JPEG decode from as many bytes, and a detail of each."""
    _, axes = plt.subplots(2, 3, figsize=(15, 7), layout="constrained")
    titles = [f"{HELD_OUT}, held out: 24 bits per pixel"]
    for name, found in (("tfsq", figures), ("JPEG", of_jpeg)):
        titles.append(
            f"{name}: {found.file_bytes} bytes, {found.bpp:.3f} bits per pixel, {found.psnr:.2f} dB"
        )
    for (whole, detail), image, title in zip(axes.T, (original, decoded, jpeg), titles):
        whole.imshow(image)
        whole.set_title(title)
        detail.imshow(image[DETAIL], interpolation="nearest")
        for axis in (whole, detail):
            axis.axis("off")
    plt.savefig(path, dpi=100)
    plt.close()


def draw_training(history: pathlib.Path, path: pathlib.Path) -> None:
    """Draws rate, distortion, temperature and train-test gap against the step."""
    rows = list(csv.DictReader(history.read_text().splitlines()))
    steps = [(int(row["epoch"]) + 1) * STEPS_PER_EPOCH for row in rows]
    panels = {
        "rate (bits per pixel)": ["bpp"],
        "distortion (PSNR, dB)": ["psnr"],
        "temperature": ["temperature"],
        "train_test_gap of the loss": ["train_test_gap"],
    }
    _, axes = plt.subplots(2, 2, figsize=(10, 6), sharex=True, layout="constrained")
    for axis, (title, names) in zip(axes.flat, panels.items()):
        for name in names:
            axis.plot(steps, [float(row[name]) for row in rows], marker=".")
        axis.set_title(title)
        axis.grid(alpha=0.3)
    axes[0, 1].set_ylim(bottom=float(rows[0]["psnr"]) - 1)
    axes[1, 0].set_yscale("log")
    axes[1, 1].axhline(0, color="black", linewidth=0.8)
    for axis in axes[1]:
        axis.set_xlabel("optimizer step")
    plt.savefig(path, dpi=100)
    plt.close()


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
    draw_comparison(original, decoded, jpeg, figures, of_jpeg, OUTPUT / "comparison.png")
    draw_training(OUTPUT / "run" / "history.csv", OUTPUT / "training.png")

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
