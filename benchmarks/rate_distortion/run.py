"""Trains the arms of an experiment and measures them in real files: the rate-distortion study.

    python -m benchmarks.rate_distortion.run surrogates --data ../shared/data --runs ../runs

Every arm of a network, lambda and seed begins with the same weights, and sees the same crops in the
same order for the same number of steps. Each run is a process of its own, with one thread; we
suppose that two of them at a time train more steps in an hour than one with two threads. Runs of an
experiment that names a job of `benchmarks/accelerator` are not trained here but measured alone:
they are what the job brought back, collected as its README says. Runs of an experiment with a
`start` go on from that, a run of each network, lambda and seed that stops at a step, so that arms
differ in what comes after, and in no noise before.

Writes two files to `results/rate_distortion`: `<experiment>.csv` with a row for each image, and
`<experiment>_runs.csv` with a row for each run; `report.py` makes tables and figures from them. Run
again to resume, also without the folders of the runs: what is in these files with the same settings
is not trained again, and a run that was interrupted continues at its last checkpoint. The arms of a
`start` belong together: without its folder it is trained anew, and on another processor its weights
are others.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

from benchmarks import rows as tables

HERE = pathlib.Path(__file__).parent
RESULTS = pathlib.Path("results/rate_distortion")
ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
VALIDATION_SIZE = 256
# In the place of an arm, what all arms go on from.
START = "start"
WRITING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run."""

    architecture: str
    lmbda: float
    seed: int
    arm: str

    @property
    def folder(self) -> str:
        """Where it is trained, below the folder of all runs."""
        arm = self.arm.replace("/", "-").replace(" ", "_")
        return f"{self.architecture}/lmbda_{self.lmbda}/seed_{self.seed}/{arm}"


AXES = [field.name for field in dataclasses.fields(Run)]


def experiment_of(name: str) -> dict:
    """Reads the configuration of an experiment."""
    return json.loads((HERE / "experiments" / f"{name}.json").read_text())


def runs_of(experiment: dict) -> list[Run]:
    """All runs, those of the first seed first."""
    axes = (experiment["seeds"], experiment["architectures"], experiment["lmbdas"])
    return [
        Run(architecture, lmbda, seed, arm)
        for seed, architecture, lmbda in itertools.product(*axes)
        for arm in experiment["arms"]
    ]


def chosen_of(experiment: dict, run: Run) -> dict:
    """The settings of a run that an experiment names: all that matter."""
    axes = {"architecture": run.architecture, "lmbda": run.lmbda, "seed": run.seed}
    own = experiment[START]["settings"] if run.arm == START else experiment["arms"][run.arm]
    return {**axes, **experiment["shared"], **own}


def settings_of(experiment: dict, run: Run):
    """The settings of a run."""
    from tfsq.training import TrainingSettings

    return TrainingSettings(**chosen_of(experiment, run))


def digest_of(experiment: dict, run: Run) -> str:
    """What two runs share only if what was chosen for them is the same."""
    start = {START: experiment[START]} if START in experiment else {}
    written = json.dumps({**chosen_of(experiment, run), **start}, sort_keys=True)
    return hashlib.sha256(written.encode()).hexdigest()[:12]


def read(name: str) -> tuple[list[dict], list[dict]]:
    """The rows of images and of runs that are measured already."""
    images, runs = (tables.read(RESULTS / f"{name}{suffix}.csv") for suffix in ("", "_runs"))
    return (images, runs) if images and runs else ([], [])


def missing(experiment: dict, run_rows: list[dict]) -> list[Run]:
    """The runs that are not measured yet.

    Raises:
      ValueError: if one is, with other settings.
    """
    digests = {tuple(row[axis] for axis in AXES): row["settings"] for row in run_rows}
    found = []
    for run in runs_of(experiment):
        digest = digests.get(tuple(map(str, dataclasses.astuple(run))))
        if digest is None:
            found.append(run)
        elif digest != digest_of(experiment, run):
            raise ValueError(f"{run} was measured with other settings than it has now.")
    return found


def starts_of(experiment: dict, runs: list[Run]) -> list[Run]:
    """What some runs go on from, each once."""
    if START not in experiment:
        return []
    return list(dict.fromkeys(dataclasses.replace(run, arm=START) for run in runs))


def photographs(data: pathlib.Path, part: str) -> list[pathlib.Path]:
    """Those of BSDS500 to train on, or to validate with."""
    return sorted((data / "bsds500" / part).glob("*.jpg"))


def train_start(experiment: dict, run: Run, data: pathlib.Path, runs: pathlib.Path) -> dict:
    """Trains what others go on from."""
    from tfsq import training

    settings, step = settings_of(experiment, run), experiment[START]["step"]
    training.train(photographs(data, "train"), runs / run.folder, settings, stop=step)
    return {}


def perform(experiment: dict, run: Run, data: pathlib.Path, runs: pathlib.Path) -> dict:
    """Trains one run to its end, unless a job has, and measures it."""
    from tfsq import training

    folder = runs / run.folder
    started = time.monotonic()
    if "job" in experiment:
        model = collected(folder, settings_of(experiment, run))
    else:
        settings = settings_of(experiment, run)
        start = next((runs / found.folder for found in starts_of(experiment, [run])), None)
        model = training.train(photographs(data, "train"), folder, settings, start=start)
    return {
        "run": dataclasses.asdict(run),
        "settings": digest_of(experiment, run),
        "seconds": round(time.monotonic() - started, 1),
        **validate(model, photographs(data, "validation")),
        "images": measure(folder / "codec", sorted((data / "kodak").glob("*.png"))),
    }


def collected(folder: pathlib.Path, settings):
    """The network of a run that was trained elsewhere.

    Raises:
      ValueError: if it was trained with other settings, or not to the end.
    """
    import tensorflow as tf

    found = json.loads((folder / "settings.json").read_text())
    for name, value in dataclasses.asdict(settings).items():
        if found[name] != value:
            raise ValueError(f"{folder} was trained with {name} {found[name]}, not {value}.")
    last = tables.read(folder / "history.csv")[-1]
    if int(last["step"]) != settings.steps:
        raise ValueError(f"{folder} ends at step {last['step']} of {settings.steps}.")
    return tf.keras.models.load_model(folder / "model.keras")


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
    from tfsq import codec, evaluation

    loaded = codec.load(codec_folder)
    return [
        {
            "image": path.stem,
            **dataclasses.asdict(evaluation.measure(codec.read_image(path), loaded)),
        }
        for path in paths
    ]


def append(name: str, evaluation: dict) -> None:
    """Adds one run to the two result files."""
    evaluation = dict(evaluation)
    run, images = evaluation.pop("run"), evaluation.pop("images")
    # Where this was interrupted between the two files, one of them has it already.
    image_rows, run_rows = (
        [row for row in rows if any(row[axis] != str(run[axis]) for axis in AXES)]
        for rows in read(name)
    )
    kept = ("image", "bpp", "psnr", "ms_ssim", "file_bytes", "decoder_matches_encoder")
    image_rows += [{**run, **{key: image[key] for key in kept}} for image in images]
    run_rows.append({**run, **evaluation})
    for suffix, rows in (("", image_rows), ("_runs", run_rows)):
        tables.write(rows, RESULTS / f"{name}{suffix}.csv")


def in_process(run: Run, arguments) -> str:
    """Runs this script for a single run; what it printed last."""
    command = [sys.executable, "-m", "benchmarks.rate_distortion.run"]
    command += [arguments.experiment, "--single"]
    command += [json.dumps(dataclasses.asdict(run))]
    command += ["--data", str(arguments.data), "--runs", str(arguments.runs)]
    folder = arguments.runs / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a") as log:
        done = subprocess.run(
            command,
            check=True,
            env={**os.environ, **ONE_THREAD},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    return done.stdout.splitlines()[-1]


def perform_in_process(run: Run, arguments) -> None:
    """Performs a run in a process of its own, and writes down what it found."""
    evaluation = json.loads(in_process(run, arguments))
    with WRITING:
        append(arguments.experiment, evaluation)
    print(f"{evaluation['seconds']:7.0f} s  {run.folder}", flush=True)


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
        run = Run(**json.loads(arguments.single))
        perform_one = train_start if run.arm == START else perform
        print(json.dumps(perform_one(experiment, run, arguments.data, arguments.runs)))
        return
    arguments.runs = arguments.runs / "rate_distortion" / arguments.experiment
    todo = missing(experiment, read(arguments.experiment)[1])
    with concurrent.futures.ThreadPoolExecutor(arguments.workers) as pool:
        list(pool.map(lambda run: in_process(run, arguments), starts_of(experiment, todo)))
        list(pool.map(lambda run: perform_in_process(run, arguments), todo))


if __name__ == "__main__":
    main()
