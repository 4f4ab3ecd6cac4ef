"""The pictures of the demo."""

from __future__ import annotations

import csv
import pathlib

from tfsq import drawing

# Of the held-out photograph: an eye.
DETAIL = (slice(70, 170), slice(120, 270))


@drawing.styled
def draw_comparison(original, files: dict[str, dict], path: pathlib.Path) -> None:
    """Draws a detail of the original, and of what codecs and JPEG decode from as many bytes.

    Args:
      original: Pixels of the photograph.
      files: Of each codec its name, and its row as `demo.compressed` returns it.
      path: The file to write.
    """
    figure, axes = drawing.new_figure(1 + len(files), 2, width=2, height=1.5)
    for axis in axes.flat:
        axis.axis("off")
    axes[0, 0].imshow(original)
    axes[0, 0].set_title("chelsea, held out:\n24 bits per pixel")
    axes[1, 0].imshow(original[DETAIL], interpolation="nearest")
    axes[1, 0].set_title("the detail")
    for column, (name, row) in zip(axes.T[1:], files.items()):
        for axis, label, prefix in zip(column, (name, "JPEG"), ("", "jpeg_")):
            count = row[f"{prefix}file_bytes"]
            axis.imshow(row[f"{prefix}pixels"][DETAIL], interpolation="nearest")
            axis.set_title(
                f"{label}\n{count} bytes, {row[f'{prefix}psnr']:.2f} dB,\n"
                f"{8 * count / (original.shape[0] * original.shape[1]):.3f} bits per pixel"
            )
    figure.savefig(path)


@drawing.styled
def draw_training(histories: dict, lengths: dict[str, int], path: pathlib.Path) -> None:
    """Draws rate, distortion, temperature and train-test gap against the step.

    Args:
      histories: Of each run its `history.csv`.
      lengths: Of each run the steps of an epoch.
      path: The file to write.
    """
    panels = {
        "bpp": "rate (bits per pixel)",
        "psnr": "distortion (PSNR, dB)",
        "temperature": "temperature",
        "train_test_gap": "train_test_gap of the loss",
    }
    figure, axes = drawing.new_figure(2, 2, width=2, height=1.9, sharex=True)
    for axis, (name, title) in zip(axes.flat, panels.items()):
        axis.set_title(title)
        for run, style in drawing.line_styles(histories).items():
            rows = list(csv.DictReader(histories[run].read_text().splitlines()))
            steps = [(int(row["epoch"]) + 1) * lengths[run] for row in rows]
            axis.plot(steps, [float(row[name]) for row in rows], **style, label=run)
    drawing.log_axis(axes[1, 0].yaxis)
    axes[1, 1].axhline(0, color="black", linewidth=0.8)
    for axis in axes[1]:
        axis.set_xlabel("optimizer step")
    drawing.label_ends(axes[0, 0])
    figure.savefig(path)
