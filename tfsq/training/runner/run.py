"""Trains with a program that `tfsq program` exported, on whatever device JAX finds.

    python run.py --output RESULT [--run NAME:LMBDA[:START]]... [--anneal NAME:FROM:TO[:STAYS]]...
        [--steps N] [--stop STEP] [--seconds S]

Needs what `requirements.txt` beside it names, no TensorFlow and no tfsq. Each run gets a folder in
RESULT, with its weights, its history and what it goes on from: the same command resumes. It writes
them every 45 seconds, at the end, after S seconds, and when it is interrupted. `tfsq collect` makes
a run folder of it.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import fcntl
import functools
import hashlib
import importlib.metadata
import io
import json
import os
import pathlib
import re
import signal
import sys
import time

import numpy as np
import state_files
from PIL import Image

BEGUN = time.monotonic()
HERE = pathlib.Path(__file__).resolve().parent
PROGRAM, RESULT, HISTORY, REQUIREMENTS = (
    "program.json",
    "result.json",
    "history.csv",
    "requirements.txt",
)
ANNEALING = ("initial_temperature", "final_temperature", "annealing_start")
SAVED_EVERY = 45.0  # Seconds, and a chunk of steps.
LONGEST_CHUNK, CHUNK_SECONDS = 100, 5.0
WARM_UP = 200  # Steps, where the optimizer's moments did not come along.
SLACK = 1.25


def check_versions() -> None:
    """Ends the program if JAX is not the one that it was written for."""
    (needed,) = re.findall(r"(?m)^jax(?:\[\w+\])?==(\S+)$", (HERE / REQUIREMENTS).read_text())
    try:
        found = importlib.metadata.version("jax")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != needed:
        sys.exit(f"This program needs jax {needed}, not {found}: pip install -r {REQUIREMENTS}")


def lock(folder: pathlib.Path) -> None:
    """Keeps other processes out of the results as long as this one lives, or ends the program."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # The folder itself, so that no further file comes back; open until the process ends.
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"Another process works in {folder}.")
    except OSError as error:
        print(f"{folder} cannot be locked: {error.strerror}. Let one process work in it.")


def read_json(path: pathlib.Path) -> dict:
    """Reads a JSON file, or ends the program."""
    try:
        return dict(json.loads(path.read_text()))
    except OSError as error:
        sys.exit(f"{path} cannot be read: {error.strerror}")
    except (ValueError, TypeError) as error:
        sys.exit(f"{path} is damaged: {error}")


def read_images(program: dict) -> list[np.ndarray]:
    """The images of the program, in its order."""
    images = []
    for entry in program["images"]:
        path = HERE / entry["file"]
        try:
            data = path.read_bytes()
        except OSError as error:
            sys.exit(f"{path} cannot be read: {error.strerror}")
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            sys.exit(f"{path} is damaged: its digest is not that of {PROGRAM}.")
        with Image.open(io.BytesIO(data)) as opened:
            images.append(np.asarray(opened.convert("RGB")))
    return images


class Crops:
    """The crops that `tfsq.training.crops_dataset` draws, as places in one buffer of pixels."""

    def __init__(self, images: list[np.ndarray], settings: dict):
        self.pixels = np.concatenate([image.reshape(-1) for image in images])
        self._images = images
        self._starts = np.cumsum([0] + [image.size for image in images[:-1]])
        self._size, self._batch = settings["crop_size"], settings["batch_size"]
        self._seed, self._least = settings["seed"], settings["least_detail"]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            sums_of = functools.partial(_sums_of_steps, size=self._size)
            self._sums = list(pool.map(sums_of, images)) if self._least else []

    def places(self, first: int, steps: int, rows: int) -> np.ndarray:
        """Offset, width of the image and flip of each crop: int64 [rows, batch, 3], steps of it."""
        table = np.zeros((rows, self._batch, 3), np.int64)
        for step in range(steps):
            for i in range(self._batch):
                table[step, i] = self._place((first + step) * self._batch + i)
        return table

    def _place(self, number: int):
        rng = np.random.default_rng((self._seed, number))
        for _ in range(4):
            k, row, column = self._draw(rng)
            if not self._least or self._detail(k, row, column) >= self._least:
                break
        width = self._images[k].shape[1]
        return self._starts[k] + 3 * (row * width + column), width, rng.integers(2)

    def _draw(self, rng):
        k = rng.integers(len(self._images))
        sizes = self._images[k].shape[:2]
        return (k, *(rng.integers(size - self._size + 1) for size in sizes))

    def _detail(self, k, row, column) -> float:
        size, means = self._size, []
        for axis, sums in enumerate(self._sums[k]):
            # Within the crop: one step less along the axis than there are pixels.
            bottom, right = row + size - (axis == 0), column + size - (axis == 1)
            a, b, c, d = map(int, sums[[row, row, bottom, bottom], [column, right, column, right]])
            total = (a - b - c + d) % 2 ** (8 * sums.itemsize)
            means.append(total / (3 * size * (size - 1)))
        return float(np.mean(means))


def _sums_of_steps(image: np.ndarray, size: int) -> list[np.ndarray]:
    """Absolute steps between neighbours, summed over all above and to the left: one array an axis.

    A crop's detail is then four look-ups; a crop of 256x256 would take longer than a training step.
    """
    # Sums wrap around, of which differences know nothing as long as a crop has less.
    dtype = np.uint32 if 3 * 255 * size**2 < 2**32 else np.uint64
    sums = []
    for axis in (0, 1):
        steps = np.abs(np.diff(image.astype(np.int16), axis=axis)).sum(axis=2)
        summed = steps.astype(dtype).cumsum(0, dtype=dtype).cumsum(1, dtype=dtype)
        sums.append(np.pad(summed, ((1, 0), (1, 0))))
    return sums


def soft_steps(settings: dict) -> int:
    """Steps before the hard part, as `tfsq.training` counts them."""
    return max(1, round((1.0 - settings["hard_fraction"]) * settings["steps"]))


def schedules(settings: dict, first: int, rows: int, warm_from) -> dict:
    """Temperature and learning rate of `rows` steps, float32."""
    step = np.arange(first, first + rows, dtype=np.float64)
    soft = soft_steps(settings)
    stays = min(round(settings["annealing_start"] * soft), soft - 1)
    begin, end = settings["initial_temperature"], settings["final_temperature"]
    temperature = begin * (end / begin) ** (np.maximum(0.0, step - stays) / (soft - stays))
    done = np.minimum(step / settings["steps"], 1.0)
    rate = settings["learning_rate"] * 0.5 * (1.0 + np.cos(np.pi * done))
    if warm_from is not None:
        rate *= np.minimum(1.0, (step - warm_from + 1) / WARM_UP)
    return {
        "temperature": np.maximum(temperature, end).astype(np.float32),
        "learning_rate": rate.astype(np.float32),
    }


class Run:
    """One training run: where it is, and what it has written."""

    def __init__(self, name: str, changed: dict, folder: pathlib.Path, program: dict, stop: int):
        self.name, self.folder, self.program = name, folder, program
        self.settings = {**program["settings"], **changed}
        self.lmbda, self.steps = self.settings["lmbda"], self.settings["steps"]
        self.stop = min(stop, self.steps)
        self.identity = {"program": program["digest"], **changed}
        self.state: dict = {}
        self.step = 0
        self.rows: list[list] = []
        self.sums, self.counted = np.zeros(len(program["metrics"])), 0
        self.warm_from: int | None = None
        self.seconds, self.broken = 0.0, False

    def begin(self, start: pathlib.Path | None) -> None:
        """Goes on with what the folder holds, or begins."""
        if (self.folder / RESULT).exists():
            self._resume()
        elif start is None:
            arrays = read_state(HERE, self.program["start"])
            for name, power in self.program["lmbda_powers"].items():
                ratio = self.lmbda / self.program["settings"]["lmbda"]
                arrays[name] = np.asarray(arrays[name] * ratio**power, np.float32)
            self.step = self.program["first_step"]
            self._take(arrays, missing_is_zero=True)
        else:
            found = read_json(start / RESULT)
            self.step = found["step"]
            self._take(read_state(start, found["state"]))
        if self.step >= self.stop and not (self.folder / RESULT).exists():
            sys.exit(f"Run {self.name} would begin at step {self.step}, and end at {self.stop}.")

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.broken or self.step >= self.stop

    def count(self, sums: np.ndarray, steps: int, temperature: float, rate: float) -> None:
        """Takes note of steps that were done; `sums` are over them."""
        self.step += steps
        self.sums, self.counted = self.sums + sums, self.counted + steps
        self.broken = not np.isfinite(sums).all()
        length = self.program["settings"]["steps_per_epoch"]
        if self.step % length == 0 or self.step >= self.stop:
            means = self.sums / self.counted
            row = [-(-self.step // length) - 1, self.step, *means, temperature, rate, self.seconds]
            self.rows.append([f"{x:.9g}" if isinstance(x, float) else x for x in row])
            self.sums, self.counted = np.zeros_like(self.sums), 0

    def save(self, device: str) -> bool:
        """Writes where the run is, unless a weight is not finite; whether it has."""
        arrays = {name: np.asarray(value) for name, value in self.state.items()}
        floats = [a for a in arrays.values() if np.issubdtype(a.dtype, np.floating)]
        if not all(np.isfinite(array).all() for array in floats):
            self.broken = True
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        halved = [name for name in arrays if name.startswith("optimizer/")]
        listed = state_files.write(self.folder, f"state_{self.step}", arrays, halved)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self._columns())
        writer.writerows(self.rows)
        state_files.write_whole(self.folder / HISTORY, text.getvalue().encode())
        result = {
            **self.identity,
            "name": self.name,
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "device": device,
            "warm_from": self.warm_from,
            "sums": self.sums.tolist(),
            "counted": self.counted,
            "state": listed,
        }
        state_files.write_whole(self.folder / RESULT, json.dumps(result, indent=1).encode())
        kept = {file["name"] for file in listed["files"]}
        for file in self.folder.glob("state_*.bin"):
            if file.name not in kept:
                file.unlink()
        return True

    def _columns(self):
        given = ("temperature", "learning_rate")
        return ["epoch", "step", *self.program["metrics"], *given, "seconds"]

    def _resume(self):
        found = read_json(self.folder / RESULT)
        for name in ("program", *ANNEALING, "lmbda", "steps"):
            value, other = self.identity.get(name), found.get(name)
            if other != value:
                sys.exit(f"{self.folder} holds another run: {name} {other}, not {value}.")
        self.step, self.warm_from = found["step"], found["warm_from"]
        self.sums, self.counted = np.array(found["sums"]), found["counted"]
        self.seconds = found["seconds"]
        with (self.folder / HISTORY).open(newline="") as file:
            rows = list(csv.reader(file))[1:]
        self.rows = [row for row in rows if int(row[1]) <= self.step]
        self._take(read_state(self.folder, found["state"]))

    def _take(self, arrays: dict, missing_is_zero: bool = False) -> None:
        """Fills the state; the optimizer begins anew if it has no moments."""
        if not any(name.startswith("optimizer/") for name in arrays) and self.step:
            self.warm_from = self.step
        for variable in self.program["variables"]:
            name, shape = variable["name"], variable["shape"]
            is_weight = name.startswith(("trained/", "scale/"))
            if is_weight and name not in arrays and not missing_is_zero:
                sys.exit(f"Run {self.name} cannot begin: what it starts from has no {name}.")
            if name in arrays and list(arrays[name].shape) != shape:
                sys.exit(
                    f"Run {self.name} cannot begin: {name} must have shape {shape}, "
                    f"not {list(arrays[name].shape)}."
                )
            filled = arrays.get(name, np.zeros(shape))
            self.state[name] = np.asarray(filled, variable["dtype"])


def read_state(folder: pathlib.Path, listed: dict) -> dict:
    """Reads a state, or ends the program."""
    try:
        return state_files.read(folder, listed)
    except state_files.DamagedError as error:
        sys.exit(str(error))


class Trainer:
    """The program on the device: chunks of steps, compiled once for each part."""

    def __init__(self, program: dict, crops: Crops, precision):
        import jax
        import step

        self._jax, self._program, self._crops = jax, program, crops
        self._make = lambda part: step.Step(
            HERE, program["programs"][part], len(program["metrics"]), precision
        )
        self._compiled: dict = {}
        self.compiling = 0.0  # Seconds, since it was set to zero.
        self._pixels = jax.device_put(crops.pixels)
        device = jax.devices()[0]
        self.device = f"{device.device_kind} ({device.platform}), jax {jax.__version__}"

    def dispatch(self, run: Run, inputs: dict, steps: int):
        """Starts steps of a run; what it returns is to be waited for."""
        part = "hard" if run.step >= soft_steps(run.settings) else "soft"
        if part not in self._compiled:
            self._compiled[part] = self._compile(part, run, inputs)
        lmbda = np.float32(run.lmbda)
        count = np.int32(steps)
        run.state, sums = self._compiled[part](run.state, self._pixels, lmbda, count, inputs)
        return sums

    def places(self, first: int, steps: int):
        """The crops of the next steps, the same for all runs."""
        return self._jax.device_put(self._crops.places(first, steps, LONGEST_CHUNK))

    def _compile(self, part, run, inputs):
        function = chunk_function(self._make(part), self._program["settings"]["crop_size"])
        begun = time.monotonic()
        given = (run.state, self._pixels, np.float32(0.0), np.int32(0), inputs)
        compiled = self._jax.jit(function, donate_argnums=0).lower(*given).compile()
        self.compiling += time.monotonic() - begun
        print(f"{part} steps compiled in {time.monotonic() - begun:.1f} s", flush=True)
        return compiled


def chunk_function(step, size: int):
    """Many steps in one dispatch: (state, pixels, lmbda, count, inputs) -> (state, sums)."""
    import jax

    def crop(pixels, place):
        offset, width, flip = place
        line = jax.numpy.arange(size, dtype=jax.numpy.int64)
        columns = jax.numpy.where(flip == 1, size - 1 - line, line)
        corners = offset + 3 * (line[:, None] * width + columns)
        wanted = corners[..., None] + jax.numpy.arange(3)
        return pixels.at[wanted].get(mode="promise_in_bounds")

    def chunk(state, pixels, lmbda, count, inputs):
        def body(i, carry):
            state, sums = carry
            image = jax.vmap(lambda place: crop(pixels, place))(inputs["places"][i])
            given = {name: inputs[name][i] for name in ("temperature", "learning_rate")}
            metrics, state = step(state, image, lmbda=lmbda, **given)
            return state, sums + metrics

        zeros = jax.numpy.zeros(step.num_metrics, "float32")
        return jax.lax.fori_loop(0, count, body, (state, zeros))

    return chunk


def chunk_length(run: Run, speed: float) -> int:
    """How many steps to do at once: to the end of an epoch or a part, and not for too long."""
    epoch = run.settings["steps_per_epoch"]
    ends = [run.stop, (run.step // epoch + 1) * epoch]
    if run.step < soft_steps(run.settings):
        ends.append(soft_steps(run.settings))
    wanted = max(1, min(LONGEST_CHUNK, int(CHUNK_SECONDS * speed)))
    return min(wanted, min(ends) - run.step)


def train(runs: list[Run], trainer: Trainer, seconds: float) -> str:
    """Trains until all is done, time is up or the process is asked to end; says which."""
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: asked.append(number))
    speed, longest, saving, saved = 1.0, 0.0, 1.0, time.monotonic()
    begun = {run.name: time.monotonic() - run.seconds for run in runs}
    ended = "done"
    while any(not run.is_done for run in runs):
        now = time.monotonic()
        if asked:
            ended = "interrupted"
            break
        if now - BEGUN + SLACK * (longest + saving) > seconds:
            ended = f"stopped after {now - BEGUN:.0f} s"
            break
        first = min(run.step for run in runs if not run.is_done)
        group = [run for run in runs if run.step == first and not run.is_done]
        steps = chunk_length(group[0], speed)
        done: list = []
        places = trainer.places(first, steps)
        for run in group:
            given = schedules(run.settings, first, LONGEST_CHUNK, run.warm_from)
            inputs = {"places": places, **given}
            done.append((run, inputs, trainer.dispatch(run, inputs, steps)))
        for run, inputs, sums in done:
            values = np.asarray(sums, np.float64)
            run.seconds = time.monotonic() - begun[run.name]
            last = (float(inputs[name][steps - 1]) for name in ("temperature", "learning_rate"))
            run.count(values, steps, *last)
            report(run, values / steps, len(group), speed)
            if run.broken:
                print(f"{run.name}: the loss was not finite; the last good weights stay.")
        taken = time.monotonic() - now - trainer.compiling
        trainer.compiling = 0.0
        speed, longest = steps / taken, max(taken, longest)
        if time.monotonic() - saved > SAVED_EVERY:
            saving = save_all(runs, trainer)
            saved = time.monotonic()
    save_all(runs, trainer)
    return ended


def save_all(runs: list[Run], trainer: Trainer) -> float:
    """Writes all runs; seconds that it took."""
    begun = time.monotonic()
    for run in runs:
        if not run.broken and not run.save(trainer.device):
            print(f"{run.name}: a weight was not finite at step {run.step}.", flush=True)
    return time.monotonic() - begun


def report(run: Run, means, group: int, speed: float) -> None:
    """A line of progress."""
    loss = dict(zip(run.program["metrics"], means))["loss"]
    left = (run.stop - run.step) / max(speed, 1e-9)
    print(
        f"{run.name} step {run.step} of {run.stop}: loss {loss:.4f}, {group * speed:.1f} steps/s, "
        f"{left / 60:.1f} min left",
        flush=True,
    )


def parsed_runs(arguments, program: dict) -> list[tuple[str, float, pathlib.Path | None]]:
    """Name, lambda and start of each run."""
    found = []
    for text in arguments.run or [f"run:{program['settings']['lmbda']}"]:
        match = re.fullmatch(r"([\w.-]+):([^:]+)(?::(.+))?", text)
        if match is None:
            sys.exit(f"`--run` must be NAME:LMBDA or NAME:LMBDA:START. Received: {text}")
        name, start = match[1], match[3]
        try:
            lmbda = float(match[2])
        except ValueError:
            lmbda = 0.0
        if not (0.0 < lmbda < float("inf")) or name.strip(".") == "":
            sys.exit(f"`--run` needs a name and a positive lambda. Received: {text}")
        found.append((name, lmbda, pathlib.Path(start) if start else None))
    names = [name for name, _, _ in found]
    if len(set(names)) < len(names):
        sys.exit(f"`--run` needs a name of its own for each run. Received: {names}")
    return found


def parsed_annealing(texts: list[str], names: list[str], settings: dict) -> dict[str, dict]:
    """The temperatures of runs that are not those of the settings."""
    found = {}
    for text in texts:
        name, *numbers = text.split(":")
        try:
            values = [float(number) for number in numbers]
        except ValueError:
            values = []
        if name not in names or name in found or not 2 <= len(values) <= 3:
            sys.exit(
                "`--anneal` must be NAME:FROM:TO or NAME:FROM:TO:STAYS, once for a run that "
                f"`--run` names. Received: {text}"
            )
        begin, end, stays = (*values, settings["annealing_start"])[:3]
        if not 0.0 < end <= begin <= 1.0 or not 0.0 <= stays < 1.0:
            sys.exit(f"`--anneal` needs 0 < TO <= FROM <= 1 and 0 <= STAYS < 1. Received: {text}")
        found[name] = dict(zip(ANNEALING, (begin, end, stays)))
    return found


def main() -> None:
    """Trains all runs, and says how it ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="Folder of results.")
    parser.add_argument("--run", action="append", metavar="NAME:LMBDA[:START]")
    parser.add_argument(
        "--anneal",
        action="append",
        default=[],
        metavar="NAME:FROM:TO[:STAYS]",
        help="Temperatures of a run instead of those of the settings.",
    )
    parser.add_argument("--steps", type=int, help="Instead of those of the settings.")
    parser.add_argument("--stop", type=int, help="End at this step; schedules are those of all.")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="End after so many.")
    parser.add_argument("--precision", choices=("DEFAULT", "HIGH", "HIGHEST"))
    arguments = parser.parse_args()
    check_versions()
    program = read_json(HERE / PROGRAM)
    program["digest"] = hashlib.sha256((HERE / PROGRAM).read_bytes()).hexdigest()
    settings = program["settings"]
    steps = settings["steps"] if arguments.steps is None else arguments.steps
    stop = steps if arguments.stop is None else arguments.stop
    for option, value in (("--steps", steps), ("--stop", stop)):
        if value < 1:
            sys.exit(f"`{option}` must be at least 1. Received: {value}")
    asked = parsed_runs(arguments, program)
    annealing = parsed_annealing(arguments.anneal, [name for name, _, _ in asked], settings)
    lock(arguments.output)
    runs = []
    for name, lmbda, start in asked:
        changed = {"lmbda": lmbda, "steps": steps, **annealing.get(name, {})}
        runs.append(Run(name, changed, arguments.output / name, program, stop))
        runs[-1].begin(start)
    import jax

    try:
        trainer = Trainer(program, Crops(read_images(program), settings), arguments.precision)
        print(f"on {trainer.device}", flush=True)
        print(train(runs, trainer, arguments.seconds), flush=True)
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).strip().splitlines()[0][:300]
        if "RESOURCE_EXHAUSTED" in reason:
            reason = f"The device has too little memory for {len(runs)} runs at a time: {reason}"
        sys.exit(reason)
    if any(run.broken for run in runs):
        sys.exit(1)


if __name__ == "__main__":
    main()
