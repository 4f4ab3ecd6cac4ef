"""The transforms that the networks share, as Keras Sequential models of plain layers."""

from __future__ import annotations

import contextlib

import tensorflow as tf

from tfsq.architectures import upsampling
from tfsq.architectures.gdn import GDN
from tfsq.architectures.shortcut import DCTShortcut


@contextlib.contextmanager
def dtype_policy(policy):
    """Makes `policy` the global Keras policy, so that layers built inside have it."""
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def predicting():
    """The policy of layers that predict a distribution: float32, also under mixed precision.

    Their weights are then the same wherever they are read, as exact predictions need them.
    """
    return dtype_policy("float32")


def down(filters: int, name: str, kernel_size: int = 5, strides: int = 2):
    """A convolution that halves height and width, or keeps them with `strides=1`.

    Args:
      filters: Channels of the output.
      name: Name of the layer.
      kernel_size: Height and width of the kernel.
      strides: 1 or 2.
    """
    return tf.keras.layers.Conv2D(
        filters, kernel_size, strides, padding="same", data_format="channels_last", name=name
    )


def up(filters: int, name: str):
    """A transposed 5x5 convolution that doubles height and width.

    Args:
      filters: Channels of the output.
      name: Name of the layer.
    """
    return tf.keras.layers.Conv2DTranspose(
        filters, 5, 2, padding="same", data_format="channels_last", name=name
    )


def activation_layer(activation: str, name: str):
    """The activation between convolutions.

    Args:
      activation: "relu", or "leaky" for the slope 0.01 below zero.
      name: Name of the layer.
    """
    layers = tf.keras.layers
    return layers.ReLU(name=name) if activation == "relu" else layers.LeakyReLU(0.01, name=name)


def analysis(num_filters: int, num_latents: int, name: str = "analysis"):
    """Image to latent, a sixteenth of height and width: 5x5 convolutions and GDN.

    Args:
      num_filters: Channels of the hidden layers.
      num_latents: Channels of the latent.
      name: Name of the model.
    """
    layers = []
    for i in range(3):
        layers += [down(num_filters, f"down_{i}"), GDN(name=f"gdn_{i}")]
    return _built([*layers, down(num_latents, "down_3")], name, 3)


def synthesis(num_filters: int, num_latents: int, name: str = "synthesis"):
    """Latent to image: transposed 5x5 convolutions and inverse GDN.

    Args:
      num_filters: Channels of the hidden layers.
      num_latents: Channels of the latent.
      name: Name of the model.
    """
    layers = []
    for i in range(3):
        layers += [
            up(num_filters, f"up_{i}"),
            GDN(inverse=True, name=f"igdn_{i}"),
        ]
    pixels = upsampling.Conv2DTranspose(3, name="up_3")
    return _built([*layers, pixels], name, num_latents)


def pair(num_filters: int, num_latents: int, lmbda: float | None = None) -> tuple:
    """Analysis and synthesis, with a `DCTShortcut` beside each if they are to begin as a DCT.

    Args:
      num_filters: Channels of the hidden layers.
      num_latents: Channels of the latent.
      lmbda: That of the shortcut; None has none.
    """
    if lmbda is None:
        return analysis(num_filters, num_latents), synthesis(num_filters, num_latents)
    there, back = (
        DCTShortcut(num_latents, inverse, lmbda, name=name, dtype="float32")
        for inverse, name in ((False, "analysis_shortcut"), (True, "synthesis_shortcut"))
    )
    # Names of their own: whoever freezes "analysis" means all of it.
    down = analysis(num_filters, num_latents, "nonlinear_analysis")
    up = synthesis(num_filters, num_latents, "nonlinear_synthesis")
    return (
        beside(down, there, ("down_3",), "analysis"),
        # The first one, too: latents are large from the start, and inverse GDN multiplies.
        beside(up, back, ("up_0", "up_3"), "synthesis", dtype="float32"),
    )


def beside(transform, shortcut, small: tuple[str, ...], name: str, dtype=None):
    """A transform and a linear shortcut from the same input, added.

    Args:
      transform: A Sequential of layers.
      shortcut: A layer with the input and the output of `transform`.
      small: Names of the convolutions of `transform` that begin at a tenth of their weights, so
        that the sum begins near the shortcut.
      name: Name of the model.
      dtype: Dtype or policy of the sum; the global policy's if None.

    Returns:
      A Keras model.
    """
    for convolution in small:
        kernel = transform.get_layer(convolution).kernel
        kernel.assign(0.1 * kernel)
    inputs = tf.keras.Input((None, None, transform.input_shape[-1]))
    total = tf.keras.layers.Add(dtype=dtype)([transform(inputs), shortcut(inputs)])
    return tf.keras.Model(inputs, total, name=name)


def hyper_analysis(num_latents: int, widths: tuple[int, int, int], activation: str):
    """Latent to hyper-latent, a quarter of height and width.

    Args:
      num_latents: Channels of the latent.
      widths: Channels of the three layers, the last of which is the hyper-latent.
      activation: See `activation_layer`.
    """
    layers = [
        down(widths[0], "conv_0", kernel_size=3, strides=1),
        activation_layer(activation, f"{activation}_0"),
        down(widths[1], "down_1"),
        activation_layer(activation, f"{activation}_1"),
        down(widths[2], "down_2"),
    ]
    return _built(layers, "hyper_analysis", num_latents)


def hyper_synthesis(
    num_hyper_latents: int,
    widths: tuple[int, int, int],
    activation: str,
    name: str = "hyper_synthesis",
):
    """Hyper-latent to what predicts the distribution of the latent.

    Args:
      num_hyper_latents: Channels of the hyper-latent.
      widths: Channels of the three layers.
      activation: See `activation_layer`.
      name: Name of the model.
    """
    with predicting():
        layers = [
            up(widths[0], "up_0"),
            activation_layer(activation, f"{activation}_0"),
            up(widths[1], "up_1"),
            activation_layer(activation, f"{activation}_1"),
            down(widths[2], "conv_2", kernel_size=3, strides=1),
        ]
        return _built(layers, name, num_hyper_latents)


def convolutions(
    channels: int, widths: tuple[int, ...], kernel_sizes: tuple[int, ...], activation: str, name
):
    """Convolutions that keep height and width, with an activation between them, to predict with.

    Args:
      channels: Channels of the input.
      widths: Channels of the layers.
      kernel_sizes: Their kernels' height and width.
      activation: See `activation_layer`.
      name: Name of the model.
    """
    layers = []
    with predicting():
        for i, (width, kernel_size) in enumerate(zip(widths, kernel_sizes)):
            if i:
                layers.append(activation_layer(activation, f"{activation}_{i - 1}"))
            layers.append(down(width, f"conv_{i}", kernel_size, strides=1))
        return _built(layers, name, channels)


def _built(layers, name, channels):
    """Every weight exists from here on, so that loading cannot miss one."""
    model = tf.keras.Sequential(layers, name=name)
    model.build((None, None, None, channels))
    return model
