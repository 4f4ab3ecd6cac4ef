"""Trains the arms of an experiment and measures them in real files: the rate-distortion study.

    python benchmarks/rate_distortion/run.py stage1 --data ../shared/data --runs ../runs

Every arm of a network, lambda and seed begins at the same early checkpoint, and sees the same crops
in the same order for the same number of steps. Run again to resume: a training run continues at its
last checkpoint, and what is measured is not measured again. Each run is a process of its own, with
one thread, since two of them at a time train more steps in an hour than one with two threads. An
arm that several experiments name is trained once: its folder does not depend on the experiment.

Writes two files to `results/rate_distortion`: `<experiment>.csv` with a row for each image, and
`<experiment>_runs.csv` with a row for each run; `report.py` makes tables and figures from them.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import dataclasses
import itertools
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).parent
RESULTS = pathlib.Path("results/rate_distortion")
EVALUATION = "evaluation.json"
ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
VALIDATION_SIZE = 256
COLLECTING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run: an arm, or the start that all arms share if `arm` is empty."""

    architecture: str
    lmbda: float
    seed: int
    arm: str = ""

    @property
    def folder(self) -> str:
        """Where it is trained, below the folder of all runs."""
        arm = self.arm.replace("/", "-").replace(" ", "_") or "start"
        return f"{self.architecture}/lmbda_{self.lmbda}/seed_{self.seed}/{arm}"

    @property
    def start(self) -> Run:
        """The run that this one begins from."""
        return dataclasses.replace(self, arm="")


def experiment_of(name: str) -> dict:
    """Reads the configuration of an experiment."""
    return json.loads((HERE / "experiments" / f"{name}.json").read_text())


def groups_of(experiment: dict) -> list[list[Run]]:
    """The arms by start, those of the first seed first."""
    axes = (experiment["seeds"], experiment["architectures"], experiment["lmbdas"])
    return [
        [Run(architecture, lmbda, seed, arm) for arm in experiment["arms"]]
        for seed, architecture, lmbda in itertools.product(*axes)
    ]


def chosen_of(experiment: dict, run: Run) -> dict:
    """The settings of a run that are not the default."""
    own = experiment["arms"][run.arm] if run.arm else experiment["start"]["settings"]
    axes = {"architecture": run.architecture, "lmbda": run.lmbda, "seed": run.seed}
    return {**axes, **experiment["shared"], **own}


def settings_of(experiment: dict, run: Run):
    """The settings of a run."""
    from tfsq.training import TrainingSettings

    return TrainingSettings(**chosen_of(experiment, run))


def is_measured(experiment: dict, run: Run, runs: pathlib.Path) -> bool:
    """Whether a run is done, with these settings."""
    folder = runs / run.folder
    if not (folder / EVALUATION).exists():
        return False
    used = json.loads((folder / "settings.json").read_text())
    other = {key: now for key, now in chosen_of(experiment, run).items() if used[key] != now}
    if other:
        changes = ", ".join(f"{key}={used[key]}, now {now}" for key, now in other.items())
        raise ValueError(f"{folder} was measured with other settings: {changes}")
    return True


def perform(experiment: dict, run: Run, data: pathlib.Path, runs: pathlib.Path) -> None:
    """Trains one run to its end and, if it is an arm, measures it."""
    from tfsq import training

    paths = sorted((data / "bsds500" / "train").glob("*.jpg"))
    folder = runs / run.folder
    if not run.arm:
        stop = experiment["start"]["stop"]
        training.train(paths, folder, settings_of(experiment, run), stop=stop)
        return
    started = time.monotonic()
    settings = settings_of(experiment, run)
    model = training.train(paths, folder, settings, start=runs / run.start.folder)
    evaluation = {
        "run": dataclasses.asdict(run),
        "seconds": time.monotonic() - started,
        **validate(model, sorted((data / "bsds500" / "validation").glob("*.jpg"))),
        "images": measure(folder / "codec", sorted((data / "kodak").glob("*.png"))),
    }
    # Whole or not at all: what is there counts as done.
    (folder / "unfinished.json").write_text(json.dumps(evaluation, indent=1) + "\n")
    os.replace(folder / "unfinished.json", folder / EVALUATION)


def validate(model, paths) -> dict:
    """The loss on the middle of held-out photographs, with surrogates and with rounding."""
    import numpy as np
    import tensorflow as tf

    from tfsq import codec

    images = []
    for path in paths:
        image = codec.read_image(path)
        row, column = ((size - VALIDATION_SIZE) // 2 for size in image.shape[:2])
        images.append(image[row : row + VALIDATION_SIZE, column : column + VALIDATION_SIZE])
    batches = tf.data.Dataset.from_tensor_slices(np.stack(images)).batch(10)
    evaluate = tf.function(model.rate_distortion)
    means = {}
    for training, prefix in ((True, "surrogate"), (False, "hard")):
        values = [evaluate(batch, training) for batch in batches]
        for name in ("loss", "bpp", "mse"):
            means[f"{prefix}_{name}"] = float(np.mean(np.concatenate([v[name] for v in values])))
    return means


def measure(codec_folder, paths) -> list[dict]:
    """Real files of images, and what comes back."""
    from tfsq import codec

    loaded = codec.load(codec_folder)
    return [
        {"image": path.stem, **dataclasses.asdict(codec.evaluate(codec.read_image(path), loaded))}
        for path in paths
    ]


def collect(name: str, experiment: dict, runs: pathlib.Path) -> None:
    """Gathers what is measured so far in the two result files."""
    image_rows, run_rows = [], []
    for run in itertools.chain.from_iterable(groups_of(experiment)):
        if not is_measured(experiment, run, runs):
            continue
        evaluation = json.loads((runs / run.folder / EVALUATION).read_text())
        images = evaluation.pop("images")
        run_rows.append({**evaluation.pop("run"), **evaluation})
        for image in images:
            kept = ("image", "bpp", "psnr", "ms_ssim", "file_bytes", "decoder_matches_encoder")
            image_rows.append({**dataclasses.asdict(run), **{key: image[key] for key in kept}})
    RESULTS.mkdir(parents=True, exist_ok=True)
    for suffix, rows in (("", image_rows), ("_runs", run_rows)):
        if rows:
            with (RESULTS / f"{name}{suffix}.csv").open("w", newline="") as opened:
                writer = csv.DictWriter(opened, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)


def perform_in_process(run: Run, arguments) -> None:
    """Runs this script for a single run, and says how it ended."""
    command = [sys.executable, __file__, arguments.experiment, "--single"]
    command += [json.dumps(dataclasses.asdict(run))]
    command += ["--data", str(arguments.data), "--runs", str(arguments.runs)]
    folder = arguments.runs / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with (folder / "log.txt").open("a") as log:
        subprocess.run(command, check=True, env={**os.environ, **ONE_THREAD}, stderr=log)
    print(f"{time.monotonic() - started:7.0f} s  {run.folder}", flush=True)


def perform_group(group: list[Run], experiment: dict, arguments) -> None:
    """Trains the start of a group, and its arms one after the other."""
    missing = [run for run in group if not is_measured(experiment, run, arguments.runs)]
    if not missing:
        return
    perform_in_process(group[0].start, arguments)
    for run in missing:
        perform_in_process(run, arguments)
        with COLLECTING:
            collect(arguments.experiment, experiment, arguments.runs)


def main() -> None:
    """Performs an experiment, or a single run of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", help="Name of a file in experiments/.")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="bsds500/ and kodak/.")
    parser.add_argument("--runs", type=pathlib.Path, required=True, help="Where runs are kept.")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="Runs at a time.")
    parser.add_argument("--single", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    experiment = experiment_of(arguments.experiment)
    if arguments.single:
        perform(experiment, Run(**json.loads(arguments.single)), arguments.data, arguments.runs)
        return
    arguments.runs = arguments.runs / "rate_distortion"
    with concurrent.futures.ThreadPoolExecutor(arguments.workers) as pool:
        work = [pool.submit(perform_group, g, experiment, arguments) for g in groups_of(experiment)]
        for done in concurrent.futures.as_completed(work):
            done.result()
    collect(arguments.experiment, experiment, arguments.runs)


if __name__ == "__main__":
    main()
