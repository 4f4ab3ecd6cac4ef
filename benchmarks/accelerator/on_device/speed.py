"""Steps a second of programs on this device, with weights and crops that are made up.

    python speed.py PROGRAMS OUTPUT [--steps N]

PROGRAMS has a folder for each program, of which `program.json` and `soft.hlo.gz` are needed; the
smallest is measured first. All run with the device's default for products, TF32 on GPUs, then those
of float32 with HIGHEST. Writes a CSV row for each as it comes.
"""

from __future__ import annotations

import argparse
import csv
import json
import pathlib
import re
import time

import jax
import numpy as np
from step import Step

COLUMNS = ("program", "precision", "device", "compile_s", "ms", "steps_per_s", "gflop")


def made_up(variable: dict, rng) -> np.ndarray:
    """A value of the right shape: weights as they begin, and nothing else."""
    shape, dtype = variable["shape"], variable["dtype"]
    if not variable["name"].startswith("trained/"):
        return np.ones(shape, dtype)
    fan_in = max(1, int(np.prod(shape[:-1])))
    return (np.abs(rng.normal(size=shape)) * 0.1 / fan_in).astype(dtype)


def measure(folder: pathlib.Path, precision: str | None, steps: int) -> dict:
    """A row for one program."""
    program = json.loads((folder / "program.json").read_text())
    settings, rng = program["settings"], np.random.default_rng(0)
    step = Step(folder, program["programs"]["soft"], len(program["metrics"]), precision)
    state = {v["name"]: made_up(v, rng) for v in program["variables"]}
    state = {n: a * 0 if n.startswith("optimizer/") else a for n, a in state.items()}
    size = settings["crop_size"]
    image = rng.integers(0, 256, (settings["batch_size"], size, size, 3), dtype=np.uint8)

    def many(state, image, count):
        def body(_, state):
            # A learning rate of zero: made-up weights stay finite.
            given = {"lmbda": 0.01, "temperature": 0.5, "learning_rate": 0.0}
            return step(state, image, **given)[1]

        return jax.lax.fori_loop(0, count, body, state)

    begun = time.monotonic()
    compiled = jax.jit(many, donate_argnums=0).lower(state, image, np.int32(0)).compile()
    compile_s = time.monotonic() - begun
    state = jax.block_until_ready(compiled(jax.device_put(state), image, np.int32(3)))
    begun = time.monotonic()
    jax.block_until_ready(compiled(state, image, np.int32(steps)))
    ms = 1e3 * (time.monotonic() - begun) / steps
    gflop = (compiled.cost_analysis() or {}).get("flops", 0.0) / 1e9
    kind = jax.devices()[0].device_kind
    values = (folder.name, precision or "default", kind, compile_s, ms, 1e3 / ms, gflop)
    return dict(zip(COLUMNS, [f"{x:.4g}" if isinstance(x, float) else x for x in values]))


def main() -> None:
    """Measures all programs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    with arguments.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        folders = sorted(
            arguments.programs.iterdir(),
            key=lambda folder: [int(number) for number in re.findall(r"\d+", folder.name)],
        )
        exact = [(folder, "HIGHEST") for folder in folders if "bfloat16" not in folder.name]
        for folder, precision in [(folder, None) for folder in folders] + exact:
            row = measure(folder, precision, arguments.steps)
            writer.writerow(row)
            file.flush()
            print(row, flush=True)


if __name__ == "__main__":
    main()
