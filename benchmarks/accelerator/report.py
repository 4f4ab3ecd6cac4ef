"""Takes what a job brought back into `results/accelerator`, and makes tables of it.

    python -m benchmarks.accelerator.report [FOLDER]

Without FOLDER, the tables are made again from the CSV files that are there.
"""

from __future__ import annotations

import csv
import pathlib
import shutil
import sys

from tfsq.analysis import markdown

RESULTS = pathlib.Path("results/accelerator")
FILES = ("device.txt", "speed.csv", "exactness.csv", "history.csv", "first_losses.csv")


def read(name: str) -> list[dict]:
    """The rows of a CSV file; none if it is not there."""
    if not (RESULTS / name).exists():
        return []
    with (RESULTS / name).open(newline="") as file:
        return list(csv.DictReader(file))


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
        RESULTS.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copy(pathlib.Path(sys.argv[1]) / name, RESULTS / name)
    for name in ("speed", "exactness"):
        if rows := read(f"{name}.csv"):
            table = markdown(list(rows[0]), [list(row.values()) for row in rows])
            (RESULTS / f"{name}.md").write_text(table)
    if rows := losses():
        columns = ["step", "loss on the CPU", "on the device", "apart"]
        (RESULTS / "losses.md").write_text(markdown(columns, rows))


if __name__ == "__main__":
    main()
