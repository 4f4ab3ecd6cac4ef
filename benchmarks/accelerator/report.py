"""Takes what a job brought back into `results/accelerator`, and makes tables of it.

    python -m benchmarks.accelerator.report [FOLDER]

Without FOLDER, the tables are made again from the CSV files that are there.
"""

from __future__ import annotations

import csv
import pathlib
import shutil
import sys

from benchmarks import rows as tables
from tfsq.analysis import markdown

RESULTS = pathlib.Path("results/accelerator")
FILES = ("device.txt", "speed.csv", "exactness.csv", "history.csv", "first_losses.csv")
RUNS = "runs.csv"
_OF_RUNS = {
    "run": "codec",
    "step": "steps",
    "loss": "loss",
    "bpp": "bits per pixel",
    "psnr": "PSNR (dB)",
}
# What a table calls the columns of a CSV file. Job "codecs" was of four codecs, and is over.
HEADINGS = {
    "speed": {
        "program": "filters, latents, policy",
        "precision": "precision",
        "device": "device",
        "ms": "a step (ms)",
        "steps_per_s": "steps a second",
        "compile_s": "compilation (s)",
    },
    "exactness": {
        "network": "codec",
        "device": "device",
        "indexes": "table indexes",
        "other_indexes": "that differ",
        "means": "means",
        "other_means": "that differ",
    },
    "codecs": {**_OF_RUNS, "seconds": "seconds, of all four"},
    "runs": {**_OF_RUNS, "seconds": "seconds"},
}


def read(name: str) -> list[dict]:
    """The rows of a CSV file; none if it is not there."""
    return tables.read(RESULTS / name)


def take(folder: pathlib.Path) -> None:
    """Copies what a job brought back; of runs, their histories as one file."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (folder / name).exists():
            shutil.copy(folder / name, RESULTS / name)
    histories = sorted((folder / "result").glob("*/history.csv"))
    if not histories:
        return
    with (RESULTS / RUNS).open("w", newline="") as written:
        for i, history in enumerate(histories):
            with history.open(newline="") as file:
                head, *rows = csv.reader(file)
            writer = csv.writer(written, lineterminator="\n")
            writer.writerows([["run", *head]] * (i == 0))
            writer.writerows([history.parent.name, *row] for row in rows)


def last_of_each_run(rows: list[dict]) -> list[dict]:
    """The last row of each run, with fewer digits."""
    last = {row["run"]: row for row in rows}.values()
    digits = {"loss": ".4f", "bpp": ".4f", "psnr": ".2f", "seconds": ".0f"}
    return [
        {k: format(float(v), digits[k]) if k in digits else v for k, v in row.items()}
        for row in last
    ]


def losses() -> list[list]:
    """Loss of the first steps there and here, and how far they are apart."""
    there = {row["step"]: float(row["loss"]) for row in read("history.csv")}
    rows = []
    for row in read("first_losses.csv"):
        here, found = float(row["loss"]), there[row["step"]]
        apart = f"{abs(found / here - 1):.1e}"
        rows.append([row["step"], f"{here:.6g}", f"{found:.6g}", apart])
    return rows


def main() -> None:
    """Copies what came back, and writes the tables."""
    if len(sys.argv) > 1:
        take(pathlib.Path(sys.argv[1]))
    for name, headings in HEADINGS.items():
        rows = read(f"{name}.csv")
        if "run" in headings:
            rows = last_of_each_run(rows)
        if rows:
            table = markdown(list(headings.values()), [[row[k] for k in headings] for row in rows])
            (RESULTS / f"{name}.md").write_text(table)
    if rows := losses():
        columns = ["step", "loss on the CPU", "on the device", "apart"]
        (RESULTS / "losses.md").write_text(markdown(columns, rows))


if __name__ == "__main__":
    main()
