"""The training step as a program that needs no TensorFlow, for devices that have none.

`export_program` writes it, `runner/run.py` runs it under JAX, `collecting.py` makes a run folder of
what comes back.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfsq import layers
from tfsq._keras import saving
from tfsq._version import __version__
from tfsq.architectures import DCTShortcut
from tfsq.architectures.rate_distortion_model import METRICS
from tfsq.files import checked_empty, writing_folder
from tfsq.layers.base import AnnealedQuantizer, StochasticQuantizer
from tfsq.layers.seeded import Seeded
from tfsq.training import run_folder, state_files
from tfsq.training.data import crops_dataset, training_images
from tfsq.training.hlo import export_step
from tfsq.training.program_images import IMAGES, packed_images, size_of, write_images
from tfsq.training.settings import (
    TrainingSettings,
    apply_step,
    build_model,
    compile_for,
    soft_steps,
)

PROGRAM, RESULT = "program.json", "result.json"
# The version whose private parts `runner/step.py` uses.
REQUIREMENTS = "jax==0.11.2\nnumpy>=2\npillow>=10\n"
_HERE = pathlib.Path(__file__).parent
_RUNNER = (_HERE / "runner" / "run.py", _HERE / "runner" / "step.py", _HERE / "state_files.py")


def export_program(
    paths: Sequence,
    folder,
    settings: TrainingSettings | None = None,
    start=None,
    max_size: float | None = None,
    half: bool = False,
    on_skipped: Callable[[str], None] | None = None,
) -> dict:
    """Exports the training step of a network, with everything that it needs to be run elsewhere.

    `folder` receives the program as HLO, once for surrogates and once for rounded latents where
    `settings.hard_fraction` is positive; what it begins with; the images; and `run.py`, which
    trains with JAX, NumPy and Pillow alone. Lambda, learning rate and temperature are inputs: one
    program serves runs of other lambdas and other numbers of steps. Noise comes from generators of
    the layers' own, seeded by `settings.seed`.

    Args:
      paths: Image files to train on.
      folder: Where to; must not exist, or be empty.
      settings: What to train; the defaults if None.
      start: Folder of a run of the same network, from whose last checkpoint the program begins, or
        of a codec, see `train`; or of a run of another program.
      max_size: MiB that `folder` may have; images that are too much are left out.
      half: Whether weights that are drawn at random travel as float16.
      on_skipped: Called with why an image is left out that does not serve; None raises.

    Returns:
      What `folder` holds: dict with "bytes", "images" and "left_out", the names of images that
      `max_size` has no place for.

    Raises:
      ValueError: if the images do not serve or none has a place, `folder` is not empty,
        `start` is no run of the same network, or the step has operations that only TensorFlow has.
    """
    settings = settings or TrainingSettings()
    if max_size is not None and not max_size > 0.0:
        raise ValueError(f"`max_size` must be positive. Received: max_size={max_size}")
    folder = checked_empty(folder, "folder")
    images = packed_images(paths, settings.crop_size, on_skipped)
    model = _seeded_model(settings)
    # Before a part is frozen, which changes the order of Keras' lists.
    names = names_of(model)
    first_step = _start(names, start, settings)
    with writing_folder(folder) as unfinished:
        written = {
            "tfsq": __version__,
            "tensorflow": tf.__version__,
            "settings": dataclasses.asdict(settings),
            "first_step": first_step,
            "metrics": list(METRICS),
            **_write_program(unfinished, model, names, settings, half, start is not None),
        }
        left_out = write_images(images, unfinished, written, max_size)
        kept = [images[entry["file"]][1] for entry in written["images"]]
        origin = run_folder.origin_of(start and pathlib.Path(start))
        written["identity"] = run_folder.identity(settings, kept, first_step, origin)
        (unfinished / PROGRAM).write_text(json.dumps(written))
        size = size_of(unfinished)
    return {"bytes": size, "images": len(kept), "left_out": left_out}


def first_losses(folder, steps: int) -> list[float]:
    """The losses of the first steps of a program, as TensorFlow computes them, here.

    A device that is right has the same ones, but for the precision of its products: weights,
    crops, noise and schedules are those of the program.

    Args:
      folder: Folder of the program.
      steps: How many; at most those of the settings.
    """
    folder = pathlib.Path(folder)
    program = read_json(folder / PROGRAM)
    settings = TrainingSettings(**program["settings"])
    model = _seeded_model(settings)
    variables = dict(names_of(model).values())
    for name, array in state_files.read(folder, program["start"]).items():
        variables[name].assign(array.astype(variables[name].numpy().dtype))
    images = training_images([folder / e["file"] for e in program["images"]], settings.crop_size)
    crops = crops_dataset(
        images,
        settings.crop_size,
        settings.batch_size,
        settings.seed,
        program["first_step"],
        settings.least_detail,
    )
    rates = tf.keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.steps)
    first, found, step = program["first_step"], [], None
    for number, image in enumerate(crops.take(steps), first):
        apply_step(model, settings, number)
        if step is None or number == soft_steps(settings):
            step = tf.function(lambda image: model.descend(image)["loss"], jit_compile=True)
        model.optimizer.learning_rate.assign(rates(number))
        found.append(float(tf.reduce_mean(step(image))))
    return found


def names_of(model) -> dict:
    """What the variables of a step are called in a program.

    Names do not depend on the quantizers, so that a program can start from the result of another.

    Args:
      model: Of `build_model`, nothing of it frozen.

    Returns:
      Dict from the identity of a variable's handle to (name, variable).
    """
    model.optimizer.build(model.trainable_variables)
    rate = model.optimizer.learning_rate
    given = [part.temperature for part in layers.find(model, AnnealedQuantizer)]
    noisy = layers.find(model, Seeded)
    groups = {
        "fixed": model.non_trainable_variables,
        "trained": model.trainable_variables,
        "optimizer": [v for v in model.optimizer.variables if v is not rate],
        "generator": [part.generator.state for part in noisy if part.generator is not None],
        "temperature": given,
        "learning_rate": [rate] if hasattr(rate, "handle") else [],
    }
    shortcuts = layers.find(model, DCTShortcut)
    groups["scale"] = [part.scale for part in shortcuts]
    return {
        id(variable.handle): (f"{group}/{i}", variable)
        for group, variables in groups.items()
        for i, variable in enumerate(variables)
    }


def _seeded_model(settings):
    """The network, with a constant learning rate, and generators whose state can be exported."""
    seeded = {}
    names = ("reconstruction_quantizer", "rate_quantizer")
    for i, name in enumerate(names):
        given = getattr(settings, name)
        seeded[name] = None if given is None else _seeded(given, settings.seed, i)
    model = build_model(dataclasses.replace(settings, **seeded))
    if model.ladder:
        model.gain.own_seed(_seed_of(settings.seed, len(names)))
    # In the place of a schedule, which would be a constant of the program.
    compile_for(model, settings, settings.learning_rate)
    return model


def _seeded(identifier, *entropy):
    layer = layers.get(identifier)
    if not isinstance(layer, StochasticQuantizer) or layer.generator is not None:
        return identifier
    seeded = type(layer).from_config({**layer.get_config(), "seed": _seed_of(*entropy)})
    return saving.serialize_keras_object(seeded)


def _seed_of(*entropy) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _start(names, start, settings) -> int:
    """Restores what the program starts from; its step."""
    if start is None:
        return 0
    arrays, step = _state_of(pathlib.Path(start), settings)
    for name, variable in names.values():
        if name.startswith(("trained/", "scale/")) and (
            name not in arrays or arrays[name].shape != tuple(variable.shape)
        ):
            raise ValueError(
                f"`start` must be a run of the same network. Received: {start}, whose {name} has "
                f"shape {getattr(arrays.get(name), 'shape', None)}, not {tuple(variable.shape)}"
            )
        # Noise and temperatures are those of this program, whatever quantizers the other one had.
        if name in arrays and name.startswith(("trained/", "scale/", "optimizer/")):
            variable.assign(arrays[name])
    return step


def _state_of(start: pathlib.Path, settings) -> tuple[dict, int]:
    """What a run, or one of a program, has reached, and at which step."""
    if (start / RESULT).exists():
        found = read_json(start / RESULT)
        return state_files.read(start, found["state"]), int(found["step"])
    run_folder.check_start(start, settings)
    model = build_model(settings)
    checkpoints = run_folder.Checkpoints(model, start / run_folder.CHECKPOINTS, saves=False)
    checkpoints.restore(start)
    arrays = {name: variable.numpy() for name, variable in names_of(model).values()}
    return arrays, int(model.optimizer.iterations.numpy())


def _write_program(folder, model, names: dict, settings, half: bool, is_trained: bool) -> dict:
    """Writes steps, what they begin with and what runs them; their description."""
    programs = {"soft": export_step(model, names, settings, folder / "soft.hlo.gz")}
    if settings.hard_fraction:
        apply_step(model, settings, settings.steps)
        programs["hard"] = export_step(model, names, settings, folder / "hard.hlo.gz")
    variables = _variables(programs)
    for file in _RUNNER:
        shutil.copy(file, folder / file.name)
    (folder / "requirements.txt").write_text(REQUIREMENTS)
    (folder / IMAGES).mkdir()
    return {
        "programs": programs,
        "variables": variables,
        "lmbda_powers": {} if is_trained else _lmbda_powers(model, names),
        "start": state_files.write(folder, "start", _start_arrays(names, variables, half)),
    }


def _variables(programs: dict) -> list[dict]:
    """Name, shape and dtype of everything that a run has to keep."""
    found = {
        parameter["name"]: {key: parameter[key] for key in ("name", "shape", "dtype")}
        for program in programs.values()
        for parameter in program["parameters"]
        if parameter["given"] is None
    }
    return list(found.values())


def _start_arrays(names: dict, variables: list[dict], half: bool) -> dict:
    values = {name: variable for name, variable in names.values()}
    arrays = {}
    for entry in variables:
        array = values[entry["name"]].numpy()
        # The optimizer's moments, which begin at zero, need not travel.
        if not array.any():
            continue
        is_weight = entry["name"].startswith("trained/") and array.dtype == np.float32
        arrays[entry["name"]] = array.astype(np.float16) if half and is_weight else array
    return arrays


def _lmbda_powers(model, names: dict) -> dict[str, float]:
    """With which power of lambda a shortcut's scale begins, see `DCTShortcut`."""
    shortcuts = layers.find(model, DCTShortcut)
    return {names[id(part.scale.handle)][0]: -0.5 if part.inverse else 0.5 for part in shortcuts}


def read_json(path: pathlib.Path) -> dict:
    """Returns what a file of a program or of its result holds.

    Args:
      path: Of the file.

    Raises:
      ValueError: if it is missing or damaged.
    """
    try:
        return dict(json.loads(path.read_text()))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
