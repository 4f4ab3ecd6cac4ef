"""The pictures of the demo."""

from __future__ import annotations

import csv
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from tfsq import evaluation

# Of the held-out photograph: an eye.
DETAIL = (slice(70, 170), slice(120, 270))


def draw_comparison(
    images, figures: evaluation.Figures, of_jpeg: evaluation.Figures, path: pathlib.Path
) -> None:
    """Draws the original, what tfsq and JPEG decode from as many bytes, and a detail of each."""
    _, axes = plt.subplots(2, 3, figsize=(15, 7), layout="constrained")
    titles = ["chelsea, held out: 24 bits per pixel"]
    for name, found in (("tfsq", figures), ("JPEG", of_jpeg)):
        titles.append(
            f"{name}: {found.file_bytes} bytes, {found.bpp:.3f} bits per pixel, {found.psnr:.2f} dB"
        )
    for (whole, detail), image, title in zip(axes.T, images, titles):
        whole.imshow(image)
        whole.set_title(title)
        detail.imshow(image[DETAIL], interpolation="nearest")
        for axis in (whole, detail):
            axis.axis("off")
    plt.savefig(path, dpi=100)
    plt.close()


def draw_training(history: pathlib.Path, steps_per_epoch: int, path: pathlib.Path) -> None:
    """Draws rate, distortion, temperature and train-test gap against the step."""
    rows = list(csv.DictReader(history.read_text().splitlines()))
    steps = [(int(row["epoch"]) + 1) * steps_per_epoch for row in rows]
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
