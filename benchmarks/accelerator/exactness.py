"""Exact predictions of the shipped network as a program, and what it gives on a CPU.

Whether an accelerator finds the same table indexes and means, bit for bit, `on_device/exactness.py`
says.
"""

from __future__ import annotations

import gzip
import pathlib

import numpy as np
import skimage.data
import tensorflow as tf

from tfsq import codec
from tfsq.architectures.exact import exactly
from tfsq.architectures.hyperprior import HYPER_LATENT

CROP = 256


def hyper_latents(model) -> np.ndarray:
    """Those of a photograph, and made-up ones, small, large and larger than any."""
    rng = np.random.default_rng(0)
    photograph = tf.cast(skimage.data.astronaut()[np.newaxis, :CROP, :CROP], tf.float32)
    z = model.analyze(photograph)[HYPER_LATENT]
    found = [model.hyper_latent_model.quantize(z).numpy()]
    shape = found[0].shape
    found += [np.round(rng.normal(0.0, scale, shape)) for scale in (1.0, 10.0, 1000.0)]
    return np.concatenate(found).astype(np.float32)


def export(folder: pathlib.Path) -> None:
    """Writes the program, what it gets, and what it gives here."""
    model = codec.shipped_codec().network

    def predict(z_hat):
        scale, loc = model.scale_and_loc(exactly(model.hyper_synthesis)(z_hat))
        return model.latent_model.scale_table.indexes(scale), loc

    z_hat = hyper_latents(model)
    function = tf.function(predict, jit_compile=True)
    concrete = function.get_concrete_function(tf.TensorSpec(z_hat.shape, tf.float32))
    hlo = function.experimental_get_compiler_ir(z_hat)(stage="hlo_serialized")
    variables = {id(variable.handle): variable for variable in model.variables}
    arguments = [z_hat, *(variables[id(h)].numpy() for h in concrete.captured_inputs)]
    folder.mkdir(parents=True)
    (folder / "predict.hlo.gz").write_bytes(gzip.compress(hlo, mtime=0))
    # Not compiled by XLA: what a codec computes.
    expected = [tensor.numpy() for tensor in predict(tf.constant(z_hat))]
    for name, arrays in (("arguments", arguments), ("expected", expected)):
        np.savez_compressed(folder / f"{name}.npz", *arrays)
