"""The pictures of the demo."""

from __future__ import annotations

import csv
import pathlib

from tfsq import drawing

# Of the held-out photograph: an eye.
DETAIL = (slice(70, 170), slice(120, 270))


@drawing.styled
def draw_comparison(original, pictures: list, path: pathlib.Path) -> None:
    """Draws a detail of the original, and of what codecs and JPEG decode from as many bytes.

    Args:
      original: Pixels of the photograph.
      pictures: Of each codec its name, and pairs of pixels and `evaluation.Figures`, its own and
        those of JPEG.
      path: The file to write.
    """
    figure, axes = drawing.new_figure(1 + len(pictures), 2, width=2, height=1.5)
    for axis in axes.flat:
        axis.axis("off")
    axes[0, 0].imshow(original)
    axes[0, 0].set_title("chelsea, held out:\n24 bits per pixel")
    axes[1, 0].imshow(original[DETAIL], interpolation="nearest")
    axes[1, 0].set_title("the detail")
    for column, (name, ours, jpeg) in zip(axes.T[1:], pictures):
        for axis, label, (pixels, found) in zip(column, (name, "JPEG"), (ours, jpeg)):
            axis.imshow(pixels[DETAIL], interpolation="nearest")
            axis.set_title(
                f"{label}\n{found.file_bytes} bytes, {found.psnr:.2f} dB,\n"
                f"{found.bpp:.3f} bits per pixel"
            )
    figure.savefig(path)


@drawing.styled
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
    figure, axes = drawing.new_figure(2, 2, width=2, height=1.9, sharex=True)
    for axis, (title, names) in zip(axes.flat, panels.items()):
        for name in names:
            axis.plot(steps, [float(row[name]) for row in rows], color=drawing.COLORS[0])
        axis.set_title(title)
    axes[0, 1].set_ylim(bottom=float(rows[0]["psnr"]) - 1)
    drawing.log_axis(axes[1, 0].yaxis)
    axes[1, 1].axhline(0, color="black", linewidth=0.8)
    for axis in axes[1]:
        axis.set_xlabel("optimizer step")
    figure.savefig(path)
