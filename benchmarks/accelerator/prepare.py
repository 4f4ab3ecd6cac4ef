"""Prepares a job for a lent accelerator: one folder with everything, and the command to run there.

    python -m benchmarks.accelerator.prepare 0 --data ../shared/data

The folder, `accelerator_job/`, is ignored by git and at most 54 MiB large: with a checkout without
`saved_models`, which is to be moved away for the call, it is less than the 64 MiB that travel. What
comes back goes into `results/accelerator`, by `python -m benchmarks.accelerator.report FOLDER`.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import pathlib
import shutil
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import rows
from benchmarks.accelerator import exactness
from benchmarks.rate_distortion import run as study
from benchmarks.shipped import train as shipped
from tfsq import codec, training
from tfsq.training import program as programs

FOLDER = pathlib.Path("accelerator_job")
ON_DEVICE = pathlib.Path(__file__).parent / "on_device"
LARGEST = 54 << 20
LARGEST_PROGRAM = 53  # MiB
FIRST_LOSSES = 5
SIZES = {"64_160": (64, 160), "128_192": (128, 192), "192_320": (192, 320)}
POLICIES = ("float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class Job:
    """What is run in one slot.

    Attributes:
      about: What it is for.
      prepare: Fills the folder; takes the folder and the data.
      commands: What to run in it, a call each; `$OUT` is where results go. What a call leaves in
        `/tmp` is there for the next one, if that follows at once.
      minutes: Of work, start and compilation included.
    """

    about: str
    prepare: Callable
    commands: tuple[str, ...]
    minutes: int


def settings_of(size: str, policy: str = "float32") -> training.TrainingSettings:
    """A size of `SIZES`, on 8 crops of 256x256."""
    filters, latents = SIZES[size]
    return training.TrainingSettings(
        num_filters=filters,
        num_latents=latents,
        batch_size=8,
        crop_size=256,
        steps=200,
        learning_rate=1e-4,
        steps_per_epoch=1,
        policy=policy,
    )


def prepare_first(folder: pathlib.Path, data: pathlib.Path) -> None:
    """Programs to time, one to compare losses with, and exact predictions."""
    images = sorted((data / "free" / "train").glob("*.jpg"))[:8]
    for size in SIZES:
        for policy in POLICIES:
            name = f"{size}_{policy}"
            training.export_program(images[:1], folder / "speed" / name, settings_of(size, policy))
            # Timed with made-up weights and crops.
            for file in (folder / "speed" / name).glob("start_*.bin"):
                file.unlink()
            shutil.rmtree(folder / "speed" / name / programs.IMAGES)
    settings = settings_of("128_192")
    training.export_program(images, folder / "losses", settings, half=True)
    losses = programs.first_losses(folder / "losses", FIRST_LOSSES)
    found = [{"step": step, "loss": loss} for step, loss in enumerate(losses, 1)]
    rows.write(found, folder / "first_losses.csv")
    exactness.export(folder / "exactness" / codec.shipped_model().name)


def prepare_shipped(folder: pathlib.Path, data: pathlib.Path, settings) -> None:
    """A network on photographs whose terms allow any use, as many as there is room for."""
    images = shipped.photographs(data, "train")
    found = training.export_program(
        images, folder / "network", settings, half=True, max_size=LARGEST_PROGRAM
    )
    print("left out:", *(found["left_out"] or ["none"]))


# From nothing, and with more filters than two cores can train; of at most 16 MB as a codec.
LADDER = dataclasses.replace(
    shipped.START,
    lmbda=None,
    lmbdas=shipped.LMBDAS,
    num_filters=80,
    num_latents=288,
    steps=100_000,
)
TRAINED = (
    "python network/run.py --output result --seconds 525;"
    " tar -c result | split -b 15M - $OUT/result_"
)


def prepare_study(folder: pathlib.Path, data: pathlib.Path, seed: int) -> None:
    """Arms that differ in the temperature of the reconstruction alone: one program."""
    images = [
        path
        for part in ("bsds500", "free")
        for path in sorted((data / part / "train").glob("*.jpg"))
    ]
    settings = dataclasses.replace(study.settings_of(STUDY, STUDY_RUNS[0]), seed=seed)
    training.export_program(images, folder / "study", settings, half=True, max_size=LARGEST_STUDY)


# Dithered SUA with the straight-through gradient has the law of additive noise at temperature 1,
# and is straight-through rounding at 1e-6: one program for all arms.
STUDY = study.experiment_of("papers_size")
STUDY_RUNS = study.runs_of(STUDY)
STUDY_START = 26_000
LARGEST_STUDY = 50  # MiB
STUDY_SEEDS = (0, 1)
# As many arms in a call as come back, and seconds.
STUDY_CALLS = ((slice(4), 368), (slice(4, None), 285))


def study_commands(lmbda: float) -> tuple[str, ...]:
    """A common start with additive noise for two thirds of the steps, then the arms."""
    cache = "export JAX_COMPILATION_CACHE_DIR=/tmp/compiled; cp study/*.py ."
    run = "python study/run.py --output /tmp/result"
    start = f"{run} --seconds 215 --stop {STUDY_START} --run start:{lmbda} --anneal start:1:1:0"
    commands = []
    for part, seconds in STUDY_CALLS:
        # Folders of runs say which arm they are of; the first runs have all arms.
        runs = STUDY_RUNS[: len(STUDY["arms"])][part]
        arms = {pathlib.Path(run.folder).name: STUDY["arms"][run.arm] for run in runs}
        chosen = " ".join(
            f"--run {name}:{lmbda}:/tmp/result/start --anneal {name}:{annealing_of(arm)}"
            for name, arm in arms.items()
        )
        back = f"rm -rf final; python weights_only.py /tmp/result final {' '.join(arms)}"
        packed = "tar -c final | split -b 15M - $OUT/result_"
        commands.append(f"{run} --seconds {seconds} {chosen}; {back}; {packed}")
    return (f"{cache}; {start}; {commands[0]}", f"{cache}; {commands[1]}")


def annealing_of(arm: dict) -> str:
    """What `--anneal` takes after a name."""
    names = ("initial_temperature", "final_temperature", "annealing_start")
    return ":".join(str(arm[name]) for name in names)


JOBS = {
    "0": Job(
        "Is the device seen; steps a second; losses against a CPU's; exact predictions.",
        prepare_first,
        (
            "cp losses/*.py . &&"
            " nvidia-smi --query-gpu=name --format=csv,noheader > $OUT/device.txt;"
            " python exactness.py exactness $OUT/exactness.csv;"
            " timeout 160 python speed.py speed $OUT/speed.csv;"
            " python losses/run.py --output result --precision HIGHEST --seconds 60;"
            " cp result/run/history.csv first_losses.csv $OUT",
        ),
        4,
    ),
    "start": Job(
        "The network of one rate that the codec that ships can begin from.",
        functools.partial(prepare_shipped, settings=shipped.START),
        (TRAINED,),
        4,
    ),
    "ladder": Job(
        "A network of many rates to ship, larger and from nothing.",
        functools.partial(prepare_shipped, settings=LADDER),
        (TRAINED,),
        11,
    ),
    **{
        f"study_{lmbda}_seed_{seed}": Job(
            "Arms of the reconstruction from a common start, at the papers' size.",
            functools.partial(prepare_study, seed=seed),
            study_commands(lmbda),
            14,
        )
        for lmbda in STUDY["lmbdas"]
        for seed in STUDY_SEEDS
    },
}


def main() -> None:
    """Prepares one job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="free/ and bsds500/.")
    arguments = parser.parse_args()
    job = JOBS[arguments.job]
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for file in ON_DEVICE.glob("*.py"):
        shutil.copy(file, FOLDER)
    job.prepare(FOLDER, arguments.data)
    size = sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file())
    if size > LARGEST:
        raise ValueError(f"{FOLDER} has {size} bytes, more than {LARGEST}.")
    print(f"{job.about}\n{size / 2**20:.1f} MiB; {job.minutes} minutes")
    print(f"carry: {FOLDER}")
    for command in job.commands:
        print(f"command: cd {FOLDER} && {command}")


if __name__ == "__main__":
    main()
