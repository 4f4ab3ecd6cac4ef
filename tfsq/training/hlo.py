"""One step of training as HLO, and the order of its parameters."""

from __future__ import annotations

import gzip
import pathlib
import re

import tensorflow as tf

from tfsq.architectures.rate_distortion_model import METRICS
from tfsq.training.settings import TrainingSettings

# HLO's names.
_DTYPES = {
    "bf16": "bfloat16",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "pred": "bool",
    "s32": "int32",
    "s64": "int64",
    "u8": "uint8",
    "u32": "uint32",
    "u64": "uint64",
}


def export_step(model, names: dict, settings: TrainingSettings, file: pathlib.Path) -> dict:
    """Writes one step as HLO, and says what its parameters and results are.

    Args:
      model: What is trained.
      names: Of `names_of`.
      settings: Of the run.
      file: What to write, compressed.

    Returns:
      The description, which the runner reads.

    Raises:
      ValueError: if the step has operations that only TensorFlow has.
      RuntimeError: if TensorFlow orders parameters in another way than we know of.
    """

    def step(image, lmbda):
        values = model.descend(image, lmbda=lmbda)
        return [tf.reduce_mean(values[name]) for name in METRICS]

    function = tf.function(step, jit_compile=True, autograph=False)
    shape = [settings.batch_size, settings.crop_size, settings.crop_size, 3]
    specs = (tf.TensorSpec(shape, tf.uint8, "image"), tf.TensorSpec([], tf.float32, "lmbda"))
    captured = function.get_concrete_function(*specs).captured_inputs
    compiler_ir = function.experimental_get_compiler_ir(*specs)
    hlo, text = compiler_ir(stage="hlo_serialized"), compiler_ir(stage="hlo")
    calls = sorted(set(re.findall(r'custom_call_target="([^"]*)"', text)))
    if calls:
        raise ValueError(f"The step has operations that only TensorFlow has: {calls}")
    parameters = [_parameter(spec.name, spec.name, spec) for spec in specs]
    for handle in captured:
        if id(handle) not in names:
            raise ValueError(f"The step uses a tensor that is no variable of the model: {handle}")
        name, variable = names[id(handle)]
        group = name.split("/")[0]
        given = group if group in ("temperature", "learning_rate") else None
        parameters.append(_parameter(name, given, variable))
    for result, parameter in _aliases(text).items():
        parameters[parameter]["result"] = result
    _check_parameters(text, parameters)
    with gzip.GzipFile(file, "wb", mtime=0) as opened:
        opened.write(hlo)
    return {"file": file.name, "parameters": parameters}


def _parameter(name, given, spec) -> dict:
    shape = spec.shape.as_list()
    described = {
        "name": name,
        "given": given,
        "shape": shape,
        "dtype": tf.as_dtype(spec.dtype).name,
    }
    return {**described, "result": None}


def _aliases(text: str) -> dict[int, int]:
    """Result -> parameter, for what the program updates."""
    header = text[: text.index("\n")]
    found = re.findall(r"\{(\d+)\}: \((\d+), \{\}, \w+-alias\)", header)
    return {int(result): int(parameter) for result, parameter in found}


def _check_parameters(text: str, parameters: list[dict]) -> None:
    """Checks what TensorFlow documents nowhere: in which order captured variables come."""
    entry = text[text.index("\nENTRY ") :].split("->")[0]
    of_program = [
        (_DTYPES[dtype], [int(size) for size in sizes.split(",") if size])
        for dtype, sizes in re.findall(r"arg\d+\.\d+: (\w+)\[([\d,]*)\]", entry)
    ]
    ours = [(parameter["dtype"], parameter["shape"]) for parameter in parameters]
    results = sorted(p["result"] for p in parameters if p["result"] is not None)
    if of_program != ours or results != list(range(len(METRICS), len(METRICS) + len(results))):
        raise RuntimeError(
            "This version of TensorFlow orders the parameters of a program in another way. "
            f"Expected: {ours}, results {results}. Found: {of_program}"
        )
