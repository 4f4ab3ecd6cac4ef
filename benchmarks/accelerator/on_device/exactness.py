"""Compares exact predictions on this device with those of the CPU that made them, bit for bit.

    python exactness.py PROGRAMS OUTPUT

PROGRAMS has a folder for each network. Writes a CSV row for each: how many table indexes and means
there are, and how many differ.
"""

from __future__ import annotations

import csv
import pathlib
import sys

import jax
import numpy as np
from step import function_of


def differences(folder: pathlib.Path) -> dict:
    """A row for one network."""
    arguments, expected = (
        list(np.load(folder / f"{name}.npz").values()) for name in ("arguments", "expected")
    )
    inputs, outputs = (
        [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays]
        for arrays in (arguments, expected)
    )
    function = function_of(folder / "predict.hlo.gz", inputs, outputs)
    found = [np.asarray(array) for array in jax.jit(function)(*arguments)]
    # Bits, not values: -0 is not 0.
    indexes, means = (
        int((a.view(f"u{a.itemsize}") != b.view(f"u{b.itemsize}")).sum())
        for a, b in zip(found, expected)
    )
    return {
        "network": folder.name,
        "device": jax.devices()[0].device_kind,
        "indexes": expected[0].size,
        "other_indexes": indexes,
        "means": expected[1].size,
        "other_means": means,
    }


def main() -> None:
    """Compares all networks."""
    programs, output = map(pathlib.Path, sys.argv[1:])
    rows = [differences(folder) for folder in sorted(programs.iterdir())]
    with output.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(*rows, sep="\n")


if __name__ == "__main__":
    main()
