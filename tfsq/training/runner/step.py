"""A training step that TensorFlow exported, as a function for `jax.jit`. JAX and NumPy alone.

What is taken from `jax._src` has no public counterpart: the version of JAX is pinned.
"""

from __future__ import annotations

import dataclasses
import gzip
import pathlib

import jax
from jax._src.interpreters import mlir
from jax._src.lib import _jax
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo

# The steps' counter and the noise generators have 64 bits.
jax.config.update("jax_enable_x64", True)


class Step:
    """One training step: (state, image, lmbda, temperature, learning_rate) -> (metrics, state).

    The state is a dict from the names of variables to their values. What the program does not know
    or does not update stays in it as it is.

    Args:
      folder: Where the program is.
      described: What `program.json` says of it.
      num_metrics: How many of its results, the first, are metrics.
      precision: What to compute products with, instead of the device's default: "DEFAULT", "HIGH"
        or "HIGHEST".
    """

    def __init__(self, folder, described: dict, num_metrics: int, precision: str | None = None):
        self.parameters = described["parameters"]
        self.num_metrics = num_metrics
        inputs = [jax.ShapeDtypeStruct(p["shape"], p["dtype"]) for p in self.parameters]
        outputs = {i: jax.ShapeDtypeStruct((), "float32") for i in range(num_metrics)}
        for parameter, spec in zip(self.parameters, inputs):
            if parameter["result"] is not None:
                outputs[parameter["result"]] = spec
        ordered = [outputs[i] for i in range(len(outputs))]
        self._call = function_of(
            pathlib.Path(folder) / described["file"], inputs, ordered, precision
        )

    def __call__(self, state: dict, image, **given):
        """Takes a step.

        Args:
          state: Dict from names of variables to arrays.
          image: uint8 array [batch, height, width, 3].
          **given: `lmbda`, `temperature` and `learning_rate`, scalars.

        Returns:
          (metrics, state): a vector, and the state after the step.
        """
        given["image"] = image
        values = [self._value(parameter, state, given) for parameter in self.parameters]
        results = self._call(*values)
        updated = {
            parameter["name"]: results[parameter["result"]]
            for parameter in self.parameters
            if parameter["result"] is not None
        }
        return jax.numpy.stack(results[: self.num_metrics]), {**state, **updated}

    @staticmethod
    def _value(parameter, state, given):
        if parameter["given"] is None:
            return state[parameter["name"]]
        return jax.numpy.asarray(given[parameter["given"]], parameter["dtype"])


def function_of(file, inputs: list, outputs: list, precision: str | None = None):
    """A program as a function for `jax.jit`.

    Args:
      file: Gzipped HLO module.
      inputs: Shape and dtype of each parameter, `jax.ShapeDtypeStruct`.
      outputs: Likewise of each result.
      precision: See `Step`.

    Returns:
      Function from arrays to a tuple of arrays.
    """
    with gzip.open(file) as opened:
        artifact = _portable(opened.read(), precision)

    def same_signature(*values):
        del values
        return tuple(jax.numpy.zeros(spec.shape, spec.dtype) for spec in outputs)

    # Everything but the module is right for a function of the same signature.
    template = jax.export.export(jax.jit(same_signature, keep_unused=True))(*inputs)
    return dataclasses.replace(
        template,
        mlir_module_serialized=artifact,
        fun_name=pathlib.Path(file).name.split(".")[0],
        module_kept_var_idx=tuple(range(len(inputs))),
    ).call


def _portable(hlo: bytes, precision) -> bytes:
    """An HLO module as StableHLO, without what a function that is called must not have."""
    with mlir.make_ir_context():
        module = ir.Module.parse(_jax.mlir.hlo_to_stablehlo(hlo))
        attributes = module.operation.attributes
        for name in [getattr(attribute, "name", attribute) for attribute in attributes]:
            # Aliases, which the caller decides on by donating, and flags of partitioning.
            if name.startswith("mhlo."):
                del attributes[name]
        _clean(module.operation, precision)
        module.operation.verify()
        version = stablehlo.get_version_from_compatibility_requirement(
            stablehlo.StablehloCompatibilityRequirement.WEEK_4
        )
        return _jax.mlir.serialize_portable_artifact(module, version, False)


def _clean(operation, precision) -> None:
    operation = getattr(operation, "operation", operation)
    if precision and "precision_config" in operation.attributes:
        chosen = f"#stablehlo<precision {precision}>"
        operation.attributes["precision_config"] = ir.Attribute.parse(f"[{chosen}, {chosen}]")
    for region in operation.regions:
        for block in region.blocks:
            for inner in list(block.operations):
                inner = inner.operation
                if inner.name == "mhlo.copy":
                    inner.results[0].replace_all_uses_with(inner.operands[0])
                    inner.erase()
                else:
                    _clean(inner, precision)
