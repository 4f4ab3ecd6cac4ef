"""Training runs that are killed at random moments, and go on.

    python -m benchmarks.kills.run

A run is killed with SIGKILL and started again: every other one at a moment of its whole life, from
import to export, the rest at a random step. It has to go on where its last checkpoint is: at the
same step, temperature, learning rate and crops as a run that nobody disturbed, and to leave behind
what that one leaves behind.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import platform
import random
import subprocess
import sys
import tempfile
import time

from benchmarks import rows as tables

PYTHON = ".".join(platform.python_version_tuple()[:2])
RESULTS = pathlib.Path(f"results/kills/kills_{PYTHON}.csv")
STEPS_PER_EPOCH = 20
COLUMNS = ("trial", "killed_after_seconds", "steps_begun", "resumed_at", "lost_steps", "result")


def train(folder: pathlib.Path, steps: int) -> None:
    """Trains, and appends every step to `trace.jsonl`."""
    import tensorflow as tf

    from tests.photographs import photograph
    from tfsq import codec, training
    from tfsq.training import runs

    class Trace(tf.keras.callbacks.Callback):
        """Writes what the step is that comes."""

        def on_train_batch_begin(self, batch, logs=None):
            optimizer = self.model.optimizer
            write(
                step=int(optimizer.iterations),
                temperature=float(self.model.latent_model.reconstruction_quantizer.temperature),
                learning_rate=float(optimizer.learning_rate),
            )

    def write(**line):
        with (folder / "trace.jsonl").open("a") as opened:
            opened.write(json.dumps(line) + "\n")

    def crops(images, crop_size, batch_size, seed, first_batch=0, **others):
        if first_batch or not (folder / "trace.jsonl").exists():
            write(first_batch=first_batch)
        return crops_dataset(images, crop_size, batch_size, seed, first_batch, **others)

    crops_dataset, runs.crops_dataset = runs.crops_dataset, crops
    image = folder / "image.png"
    if not image.exists():
        codec.write_image(photograph(), image)
    settings = training.TrainingSettings(
        num_filters=4,
        num_latents=6,
        steps=steps,
        steps_per_epoch=STEPS_PER_EPOCH,
        batch_size=2,
        crop_size=64,
        final_temperature=0.1,
    )
    training.train([image], folder / "run", settings, callbacks=[Trace()])


def start(folder: pathlib.Path, steps: int) -> subprocess.Popen:
    """Starts `train` in a process of its own."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.kills.run"]
    command += ["--train", str(folder), "--steps", str(steps)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def steps_of(folder: pathlib.Path) -> list[dict]:
    """The steps in the trace; a line that was being written when the run was killed is left out."""
    file = folder / "trace.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [line for line in found if "step" in line]


def complaint(folder: pathlib.Path, before: list[dict], undisturbed: list[dict]) -> str:
    """What is wrong with a run that was killed and went on; "" if nothing is."""
    steps = len(undisturbed)
    after = steps_of(folder)[len(before) :]
    first = after[0]["step"] if after else steps
    last = before[-1]["step"] if before else 0
    if not last - STEPS_PER_EPOCH <= first <= last + 1 or first % STEPS_PER_EPOCH:
        return f"went on at step {first} after {last}"
    if after != undisturbed[first:]:
        return "other steps, temperatures or learning rates"
    # Where every step was done before, none draws crops.
    if (
        0 < first < steps
        and f'{{"first_batch": {first}}}' not in (folder / "trace.jsonl").read_text()
    ):
        return "other crops"
    epochs = [int(row["epoch"]) for row in tables.read(folder / "run" / "history.csv")]
    if epochs != list(range(steps // STEPS_PER_EPOCH)):
        return f"history of epochs {epochs}"
    from tfsq import codec

    codec.load(folder / "run" / "codec")
    return ""


def trial(number: int, folder: pathlib.Path, life: float, undisturbed: list[dict]) -> dict:
    """Kills a run at a moment of its life or at a step, and lets it go on to its end."""
    rng, steps = random.Random(number), len(undisturbed)
    began = time.monotonic()
    process = start(folder, steps)
    if number % 2:
        step = rng.randrange(STEPS_PER_EPOCH, steps - 2 * STEPS_PER_EPOCH)
        while process.poll() is None and len(steps_of(folder)) <= step:
            time.sleep(0.005)
    else:
        time.sleep(rng.uniform(0.0, life))
    process.kill()
    moment = time.monotonic() - began
    process.wait()
    before = steps_of(folder)
    if (folder / "trace.jsonl").exists():
        # A torn last line would join the next one.
        with (folder / "trace.jsonl").open("a") as opened:
            opened.write("" if (folder / "trace.jsonl").read_text().endswith("\n") else "\n")
    failed = start(folder, steps).wait()
    wrong = "it failed" if failed else complaint(folder, before, undisturbed)
    after = steps_of(folder)[len(before) :]
    done, first = len(before), (after[0]["step"] if after else steps)
    values = (number, f"{moment:.2f}", done, first, max(0, done - first), wrong or "ok")
    return dict(zip(COLUMNS, values))


def kill(trials: range, folder: pathlib.Path, steps: int) -> list[dict]:
    """Runs the trials, and the run that nobody disturbs before them."""
    began = time.monotonic()
    assert start(folder / "undisturbed", steps).wait() == 0
    life, undisturbed = time.monotonic() - began, steps_of(folder / "undisturbed")
    assert [line["step"] for line in undisturbed] == list(range(steps))
    return [trial(number, folder / str(number), life, undisturbed) for number in trials]


def main() -> None:
    """Runs the trials, and writes `kills_X.Y.csv`, by the version of Python."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--steps", type=int, default=600, help="Of a run; few are mostly start-up.")
    parser.add_argument("--train", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train, arguments.steps)
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = kill(range(arguments.trials), pathlib.Path(folder), arguments.steps)
    tables.write(rows, RESULTS)
    passed = sum(row["result"] == "ok" for row in rows)
    print(f"{passed} of {len(rows)} killed runs went on as if nothing had happened")
    assert passed == len(rows), rows
    # Those that are killed at a step go on in the middle.
    assert sum(0 < row["resumed_at"] < arguments.steps for row in rows) >= len(rows) // 2, rows


if __name__ == "__main__":
    main()
