"""Hyper transforms that begin as local statistics of the coefficients of a DCT.

What a hyper-latent has to say first is known before training: how much is going on around here,
and how bright it is. Where latents begin as a DCT, the hyper analysis therefore begins as two
averages over 4x4 positions of the latent, of the magnitudes of coefficients (the activity) and of
the means of the blocks; and what predicts begins as the inverse: scales proportional to the
activity, and locations of the means. This is our formulation.

All layers but the last pass on a few non-negative channels: the activity, and each mean as two
channels of opposite signs, so that no rectifier takes anything away. Everything else keeps its
random weights, those of the last layers a tenth of them.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import tensorflow as tf
from scipy import fft

from tfsq.architectures.shortcut import COLOR_PENALTIES, frequencies, quantization_step

# Rough ones do, since training goes on from here. Standard deviations of coefficients of
# photographs on 0-255: of luma at frequency 1, and of the mean of a block, for luma and both
# chromas.
_DEVIATION, _MEAN_DEVIATIONS = 150.0, (1400.0, 400.0, 150.0)
# What 4x4 neighboring means keep of that once their average is known, and how much less they depend
# on the activity than other coefficients: light and shade have little to do with texture.
_WITHIN, _MEAN_SLOPE = 0.4, 0.25
# Of a normal distribution, the mean magnitude in standard deviations.
_MAGNITUDE = math.sqrt(2.0 / math.pi)
_MOST_MAGNITUDES, _SIGNS = 10, (1.0, -1.0)
# Kernels hold deviations, and are bounded where predictions are exact; at a lambda of 1, no
# deviation is larger.
_LARGEST_DEVIATION = 300.0
# Positions of the latent for one of the hyper-latent; the kernels of strides 2 and size 5 have
# their two output positions at the taps 1 and 2.
_BLOCK, _TAPS = 4, slice(1, 3)
_PHASES = tuple((row, column) for row in range(2) for column in range(2))
_WAVES = ((0, 0), (0, 1), (1, 0))
_SMALL = 0.1


def _wave(row: int, column: int) -> np.ndarray:
    """A cosine over the block, as [row of 2, row in it, column of 2, column in it]."""
    coefficients = np.zeros((_BLOCK, _BLOCK))
    coefficients[row, column] = 1.0
    return fft.idctn(coefficients, norm="ortho").reshape(2, 2, 2, 2)


def _write(layers, writers) -> None:
    """Has each writer change kernel [rows, columns, inputs, outputs] and bias of its layer."""
    for layer, writer in zip(layers, writers):
        kernel, bias = np.array(layer.kernel.numpy()), np.array(layer.bias.numpy())
        is_transposed = isinstance(layer, tf.keras.layers.Conv2DTranspose)
        writer(kernel.swapaxes(2, 3) if is_transposed else kernel, bias)
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)


def _convolutions(*transforms) -> list:
    return [layer for transform in transforms for layer in transform.layers if layer.weights]


@dataclasses.dataclass(frozen=True)
class PredictionPath:
    """How latents are predicted from the hyper-latent.

    Args:
      transforms: A hyper synthesis (`transforms.hyper_synthesis`), and what follows it: Sequentials
        of convolutions that keep height and width, and of rectifiers.
      locs: Dict from a latent to the output of the last convolution that is its location.
      scales: Likewise for its scale, before softplus.
    """

    transforms: tuple
    locs: dict[int, int]
    scales: dict[int, int]


def begin_as_local_statistics(hyper_analysis, paths, lmbda: float, signed: bool = True) -> None:
    """Writes the weights with which hyper transforms begin.

    Networks with a hidden layer of fewer than four channels, or without a latent for an alternating
    coefficient of luma, keep the weights that they have: there is no room.

    Args:
      hyper_analysis: See `transforms.hyper_analysis`; its input begins as a DCT.
      paths: Sequence of `PredictionPath`.
      lmbda: See `quantization_step`.
      signed: Boolean, whether the hyper analysis sees latents, and not their magnitudes. Without
        signs there are no means.
    """
    num_latents = hyper_analysis.input_shape[-1]
    hidden = _convolutions(hyper_analysis)
    for path in paths:
        hidden += _convolutions(*path.transforms)[:-1]
    narrowest = min(layer.filters for layer in hidden)
    statistics = _Statistics(num_latents, lmbda, narrowest, signed)
    if narrowest < len(_PHASES) or not statistics.magnitudes:
        return
    statistics.begin_analysis(*_convolutions(hyper_analysis))
    for path in paths:
        statistics.begin_path(path)


@dataclasses.dataclass(frozen=True)
class _Statistics:
    """What a hyper-latent says at the beginning, and in which channels."""

    num_latents: int
    lmbda: float
    narrowest: int
    signed: bool

    @functools.cached_property
    def places(self) -> list[tuple[int, int, int]]:
        return frequencies(self.num_latents)

    @functools.cached_property
    def means(self) -> list[int]:
        """The latents that are means of a block, as many as there is room for."""
        found = [i for i, (_, row, column) in enumerate(self.places) if row == column == 0]
        return found[: (self.narrowest - len(_PHASES)) // 2] if self.signed else []

    @functools.cached_property
    def magnitudes(self) -> list[int]:
        """The latents whose magnitudes are averaged: low frequencies of luma."""
        squares = {
            i: row**2 + column**2
            for i, (color, row, column) in enumerate(self.places)
            if color == 0 and row + column > 0
        }
        room = (self.narrowest - 2 * len(self.means)) // len(self.signs)
        return sorted(squares, key=squares.__getitem__)[: min(room, _MOST_MAGNITUDES)]

    @property
    def signs(self) -> tuple[float, ...]:
        """A magnitude is the sum of so many rectified channels."""
        return _SIGNS if self.signed else _SIGNS[:1]

    @property
    def rectified(self) -> int:
        """Channels of the magnitudes."""
        return len(self.signs) * len(self.magnitudes)

    @property
    def carried(self) -> int:
        """Channels of the activity and the means, wherever they are passed on."""
        return 1 + 2 * len(self.means)

    @functools.cached_property
    def deviations(self) -> np.ndarray:
        """Standard deviations of the latents, in quantization steps."""
        values = [
            _DEVIATION / math.sqrt(COLOR_PENALTIES[color] * (row**2 + column**2))
            if row + column
            else _MEAN_DEVIATIONS[color]
            for color, row, column in self.places
        ]
        return np.minimum(np.array(values) / quantization_step(self.lmbda), _LARGEST_DEVIATION)

    @functools.cached_property
    def units(self) -> np.ndarray:
        """Quantization steps that one of the hyper-latent is, for each of `means`."""
        return _WITHIN * self.deviations[self.means]

    def begin_analysis(self, *layers) -> None:
        """Writes the weights of the three convolutions of a hyper analysis."""
        _write(layers, (self._rectified, self._halved, self._described))

    def begin_path(self, path: PredictionPath) -> None:
        """Writes the weights of the convolutions that predict."""
        layers = _convolutions(*path.transforms)
        passed = [self._passed] * (len(layers) - 3)
        predicted = functools.partial(self._predicted, path)
        _write(layers, (self._doubled, self._placed, *passed, predicted))

    def _rectified(self, kernel, _):
        """Each coefficient and its negative: magnitudes, once they are rectified, and means."""
        kernel[..., : self.rectified + 2 * len(self.means)] = 0.0
        for n, i in enumerate(self.magnitudes):
            outputs = slice(len(self.signs) * n, len(self.signs) * (n + 1))
            kernel[1, 1, i, outputs] = np.array(self.signs) / self.deviations[i]
        for outputs, i, unit in zip(self._pairs(self.rectified), self.means, self.units):
            kernel[1, 1, i, outputs] = np.array(_SIGNS) / unit

    def _halved(self, kernel, _):
        """The activity of 2x2 positions, and the average of their means."""
        kernel[..., : len(_PHASES) + 2 * len(self.means)] = 0.0
        average = 1.0 / (_MAGNITUDE * len(self.magnitudes))
        for p, (row, column) in enumerate(_PHASES):
            kernel[1 + row, 1 + column, : self.rectified, p] = average
        for inputs, outputs in zip(self._pairs(self.rectified), self._pairs(len(_PHASES))):
            kernel[_TAPS, _TAPS, inputs, outputs] = 0.25 * np.outer(_SIGNS, _SIGNS)

    def _described(self, kernel, bias):
        """The lowest frequencies of the activity of 4x4 positions, and the average of means."""
        kernel *= _SMALL
        kernel[..., : len(_WAVES) + len(self.means)] = 0.0
        for w, place in enumerate(_WAVES):
            for p, (row, column) in enumerate(_PHASES):
                kernel[_TAPS, _TAPS, p, w] = _wave(*place)[:, row, :, column]
        # So that it is zero where the activity is 1, as usual.
        bias[0] = -_BLOCK
        for n, inputs in enumerate(self._pairs(len(_PHASES))):
            kernel[_TAPS, _TAPS, inputs, len(_WAVES) + n] = 0.25 * np.array(_SIGNS)

    def _doubled(self, kernel, bias):
        """The inverse of `_described`."""
        kernel[..., : len(_PHASES) + 2 * len(self.means)] = 0.0
        for p, (row, column) in enumerate(_PHASES):
            for w, place in enumerate(_WAVES):
                kernel[_TAPS, _TAPS, w, p] = _wave(*place)[:, row, :, column]
        bias[: len(_PHASES)] = 1.0
        for n, outputs in enumerate(self._pairs(len(_PHASES))):
            kernel[_TAPS, _TAPS, len(_WAVES) + n, outputs] = _SIGNS

    def _placed(self, kernel, _):
        """Activity and means at each position."""
        kernel[..., : self.carried] = 0.0
        for p, (row, column) in enumerate(_PHASES):
            kernel[1 + row, 1 + column, p, 0] = 1.0
        for inputs, outputs in zip(self._pairs(len(_PHASES)), self._pairs(1)):
            kernel[_TAPS, _TAPS, inputs, outputs] = np.outer(_SIGNS, _SIGNS)

    def _passed(self, kernel, _):
        """The same."""
        center = kernel.shape[0] // 2
        kernel[..., : self.carried] = 0.0
        kernel[center, center, : self.carried, : self.carried] = np.eye(self.carried)

    def _predicted(self, path, kernel, bias):
        """Scales of the activity, locations of the means."""
        center = kernel.shape[0] // 2
        kernel *= _SMALL
        kernel[:, :, : self.carried] = 0.0
        offsets, slopes = self._scales()
        for i, output in path.scales.items():
            kernel[center, center, 0, output] = slopes[i]
            bias[output] = offsets[i]
        for pair, i, unit in zip(self._pairs(1), self.means, self.units):
            if i in path.locs:
                kernel[center, center, pair, path.locs[i]] = unit * np.array(_SIGNS)

    def _scales(self):
        """Offsets and slopes of lines that softplus makes the scales of where the activity is 1."""
        scales = self.deviations.copy()
        scales[self.means] = self.units
        # Quantization adds its own variance.
        scales = np.sqrt(scales**2 + 1.0 / 12.0)
        # As softplus' inverse has them there, so that scales grow as the activity does.
        slopes = scales / -np.expm1(-scales)
        slopes[[row == column == 0 for _, row, column in self.places]] *= _MEAN_SLOPE
        return scales + np.log(-np.expm1(-scales)) - slopes, slopes

    def _pairs(self, first: int) -> list[slice]:
        """The channels of each mean, behind other channels."""
        return [slice(first + 2 * n, first + 2 * n + 2) for n in range(len(self.means))]
