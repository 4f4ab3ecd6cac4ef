"""Files of a size, or of a PSNR, from codecs of many rates."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy import interpolate

from tfsq.codec.codec import Codec
from tfsq.codec.container import QUALITY_PARTS
from tfsq.codec.encoding import Encoded, Predicted, psnr
from tfsq.layers.checks import check_positive

# Of a rate: a file that has at least so much of what it may have is near enough.
_NEAR = 0.99
# Where a search aims, so that estimates that are a little too low do no harm.
_AIM = 0.996
# Of a PSNR, in dB.
_NEAR_DB = 0.01
# By estimates, before a search by files alone.
_GUESSES = 4


@dataclasses.dataclass(frozen=True, repr=False)
class Target:
    """What the file of an image is to be, in the place of a quality; one of these is given.

    Attributes:
      size: Bytes that the file has at most. It has at least 99 % of them, or the highest quality
        whose file is not larger.
      bpp: Likewise, in bits of the file per pixel.
      psnr: Of the decoded pixels, in dB, at least; the lowest quality that has it, by a hundredth.

    Raises:
      ValueError: if none or several are given, or one is not positive and finite.
    """

    size: int | None = None
    bpp: float | None = None
    psnr: float | None = None

    def _given(self) -> dict[str, float]:
        return {name: value for name, value in vars(self).items() if value is not None}

    def __repr__(self):
        return f"Target({', '.join(f'{name}={value!r}' for name, value in self._given().items())})"

    def __post_init__(self):
        given = self._given()
        if len(given) != 1:
            raise ValueError(
                f"A target must have one of size, bpp and psnr. Received: {given or None}"
            )
        for name, value in given.items():
            check_positive(name, value)

    def bytes_for(self, height: int, width: int) -> int:
        """Returns the bytes that a file may have, of a target of a rate.

        Args:
          height: Of the image, in pixels.
          width: Of the image, in pixels.
        """
        if self.size is not None:
            return math.floor(self.size)
        return math.floor((self.bpp or 0.0) * height * width / 8)


def encode_for(
    target: Target,
    image,
    codec: Codec,
    encode: Callable[[float], Encoded],
    predicted: Predicted | None,
) -> Encoded:
    """Codes an image at the quality that meets a target.

    Args:
      target: What the file is to be.
      image: uint8 array [height, width, 3].
      codec: A codec of many rates.
      encode: Function from a quality to the image as it is coded.
      predicted: Of its latents, for estimates.

    Returns:
      The image as it is coded.

    Raises:
      ValueError: if the target is out of the codec's reach for this image.
    """
    search = _Search(image, codec, encode, predicted)
    return search.for_psnr(target) if target.psnr is not None else search.for_rate(target)


class _Search:
    """Qualities of one image, in thousandths; everything is computed once."""

    def __init__(self, image, codec, encode, predicted):
        self._image, self._codec, self._predicted = image, codec, predicted
        self._size = image.shape[:2]
        self.low, self.high = QUALITY_PARTS, QUALITY_PARTS * len(codec.ladder)
        self.encoded = functools.cache(lambda code: encode(code / QUALITY_PARTS))

    def _bytes(self, code: int) -> int:
        return len(self.encoded(code).packed(self._size, self._codec))

    def _log_bytes(self, code: int) -> float:
        return math.log(self._bytes(code))

    def _psnr(self, code: int) -> float:
        return psnr(self._image, self.encoded(code).decoded(self._size, self._codec))

    def for_rate(self, target: Target) -> Encoded:
        limit = target.bytes_for(*self._size)
        if limit < 1:
            raise self._out_of_reach(target)
        goal = math.log(limit)

        def is_near(log_bytes):
            return goal + math.log(_NEAR) <= log_bytes <= goal

        for code in self._guesses(goal + math.log(_AIM)):
            if is_near(self._log_bytes(code)):
                return self.encoded(code)
        highest = self._log_bytes(self.high)
        if highest < goal + math.log(_NEAR) and target.bpp is not None:
            raise self._out_of_reach(target)
        if highest <= goal:
            return self.encoded(self.high)
        if self._log_bytes(self.low) > goal:
            raise self._out_of_reach(target)
        below, _ = crossing(self._log_bytes, goal, self.low, self.high, is_near)
        return self.encoded(below)

    def _guesses(self, aim: float) -> Iterator[int]:
        """Where estimates pass a rate; they learn from the file of each guess."""
        rungs = np.arange(self.low, self.high + 1, QUALITY_PARTS)
        if self._predicted is None:
            return
        sizes = self._predicted.bytes_at(rungs / QUALITY_PARTS)
        codes, off = np.arange(self.low, self.high + 1), 0.0
        curve = interpolate.PchipInterpolator(rungs, np.log(sizes))(codes)
        for _ in range(_GUESSES):
            place = int(np.searchsorted(curve + off, aim))
            if place == len(codes):
                return
            yield int(codes[place])
            off = self._log_bytes(int(codes[place])) - curve[place]

    def for_psnr(self, target: Target) -> Encoded:
        goal = float(target.psnr or 0.0)
        if self._psnr(self.high) < goal:
            raise self._out_of_reach(target)
        if self._psnr(self.low) >= goal:
            return self.encoded(self.low)

        def is_near(psnr):
            return 0.0 <= psnr - goal <= _NEAR_DB

        return self.encoded(crossing(self._psnr, goal, self.low, self.high, is_near)[1])

    def _out_of_reach(self, target: Target) -> ValueError:
        height, width = self._size
        ends = self.low, self.high
        if target.psnr is not None:
            low, high = (f"{self._psnr(code):.2f}" for code in ends)
            text = f"`psnr` must be at most {high} dB, from {low} at the lowest quality"
        elif target.bpp is not None:
            low, high = (f"{8 * self._bytes(code) / (height * width):.4f}" for code in ends)
            text = f"`bpp` must be from {low} to {high}"
        else:
            low, high = (str(self._bytes(code)) for code in ends)
            text = f"`size` must be at least {low} bytes, up to {high} at the highest quality"
        return ValueError(f"{text}, for this image of {width}x{height}. Received: {target}")


def crossing(
    value: Callable[[int], float], goal: float, low: int, high: int, is_near: Callable
) -> tuple[int, int]:
    """Finds where an increasing function of integers passes a value.

    Args:
      value: The function.
      goal: What it passes.
      low: An integer where it has not passed.
      high: An integer where it has.
      is_near: Whether a value is near enough.

    Returns:
      (below, above): two neighbors, the first not beyond `goal`; or one integer twice, whose value
      is near enough.
    """
    a, b = value(low), value(high)
    for end, found in ((low, a), (high, b)):
        if is_near(found):
            return end, end
    for count in itertools.count(1):
        if high - low <= 1:
            break
        # A straight line, and the middle now and then, where it is none.
        share = 0.5 if count % 3 == 0 or not a < goal < b else (goal - a) / (b - a)
        middle = low + min(max(round(share * (high - low)), 1), high - low - 1)
        found = value(middle)
        if is_near(found):
            return middle, middle
        if found <= goal:
            low, a = middle, found
        else:
            high, b = middle, found
    return low, high
