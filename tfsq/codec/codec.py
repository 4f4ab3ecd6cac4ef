"""A codec: the functions of a network over single images, and what it is."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import threading
from collections.abc import Callable

import tensorflow as tf

from tfsq.architectures import CompressionModel
from tfsq.codec.container import stored_quality
from tfsq.codec.graphs import batched, split
from tfsq.layers.ladder import Ladder


@dataclasses.dataclass(frozen=True, eq=False)
class Codec:
    """A codec: the functions of a network over a single image of any size, and its metadata.

    `compress` and `decompress` work on whole images; `tfsq.codec.compress` and `decompress` work in
    tiles, with the others. Latents are float32 [rows, columns, channels], a keyword argument for
    each part; images are uint8 [height, width, 3]; strings and fingerprints of what they decode to
    are a string tensor [parts] and a uint8 tensor [parts, 4]; a size is int32 [2], height and
    width. Of a network of many rates, `compress`, `decompress`, `encode` and `decode` also take
    `quality`, a float32 scalar: `at` gives it to them.

    Attributes:
      metadata: Dict with `tfsq_version`, `coder` (the backend of `tfsq.range_coder` when it was
        exported), `tensorflow_version`, `architecture`, `class` (its name in Keras' registry),
        `config`, `lmbda`, `lmbdas` (of a network of many rates, whose `lmbda` is None),
        `distortion`, `parts`, `size_multiple`, `latent_stride`, `halo` and `model_hash`.
      compress: image -> {"strings", "fingerprints"}.
      decompress: (strings, fingerprints, size) -> {"image"}.
      analysis: image, both sizes multiples of `size_multiple` or those of a tile -> {"y"}.
      latents_of: y -> {part: latent}.
      encode: latents -> {"strings", "fingerprints", "y_hat"}.
      decode: (strings, fingerprints, size) -> {"y_hat"}; raises InvalidArgumentError at a part that
        has another fingerprint, before the next part is decoded.
      synthesis: y_hat -> {"image"}, padded or a tile.
      predict: hyper_latent -> {"strings", "fingerprints", "scale", "loc"}; like the next two None
        but of networks of many rates that code the latent in one piece.
      bits_along: (latent, scale, loc, qualities) -> {"bits"}, nearly those of the latent at each
        quality.
      encode_predicted: (latent, scale, loc, quality) -> {"strings", "fingerprints", "y_hat"}, of
        the latent alone.
      folder: Where it was loaded from, None if it was not.
      lock: For what only one thread at a time may do with its network.
    """

    metadata: dict
    compress: Callable
    decompress: Callable
    analysis: Callable
    latents_of: Callable
    encode: Callable
    decode: Callable
    synthesis: Callable
    # The functions hold weak references to the variables.
    _owner: object = dataclasses.field(repr=False)
    _network: Callable[[], CompressionModel] = dataclasses.field(repr=False)
    folder: pathlib.Path | None = None
    predict: Callable | None = None
    bits_along: Callable | None = None
    encode_predicted: Callable | None = None
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, repr=False)

    @functools.cached_property
    def ladder(self) -> Ladder | None:
        """The lambdas of a network of many rates; None of a single one."""
        lmbdas = self.metadata.get("lmbdas")
        return None if lmbdas is None else Ladder(lmbdas)

    def checked_quality(self, quality: float | None = None) -> float | None:
        """Returns a quality as a file holds it.

        Args:
          quality: From 1 to the number of lambdas, of a network of many rates; None is the middle.

        Returns:
          The nearest thousandth; None of a network of a single rate.

        Raises:
          ValueError: if it is not on the ladder, or if there is none.
        """
        if self.ladder is not None:
            middle = self.ladder.middle
            return stored_quality(middle if quality is None else self.ladder.checked(quality))
        if quality is not None:
            raise ValueError(
                "`quality` must be None for a codec of a single rate. "
                f"Received: quality={quality!r}"
            )
        return None

    def at(self, quality: float | None = None) -> dict[str, tf.Tensor]:
        """Returns what functions are given for a quality.

        Args:
          quality: As for `checked_quality`.

        Returns:
          {"quality": float32 scalar}; {} of a network of a single rate.

        Raises:
          ValueError: as `checked_quality`.
        """
        quality = self.checked_quality(quality)
        return {} if quality is None else {"quality": tf.constant(quality, tf.float32)}

    def lmbda_at(self, quality: float | None = None) -> float:
        """Returns the weight of the distortion.

        Args:
          quality: As for `checked_quality`.

        Raises:
          ValueError: as `checked_quality`.
        """
        found = self.checked_quality(quality)
        if self.ladder is None or found is None:
            return self.metadata["lmbda"]
        return self.ladder.lmbda_at(found)

    @functools.cached_property
    def network(self) -> CompressionModel:
        """The network itself, for what the exported functions do not do: bits and gradients.

        Of a codec that was loaded it is built, from its configuration, when it is first asked for.

        Raises:
          ModelError: if a class of its configuration is not known to Keras.
        """
        return self._network()

    @functools.cached_property
    def estimate(self) -> Callable:
        """Function: latents -> {"bits": float32 [parts], what evaluation predicts for the strings}.

        Of a network of many rates it also takes `quality`.

        Raises:
          ModelError: as `network`.
        """
        network = self.network

        @tf.function(autograph=False, reduce_retracing=True)
        def estimate(**given):
            at, latents = split(given)
            _, bits = network.estimate(batched(latents, network), training=False, **at)
            return {"bits": tf.concat([bits[name] for name in sorted(bits)], axis=0)}

        return estimate

    @functools.cached_property
    def traced(self) -> dict[tuple, Callable]:
        """What takes seconds to trace, by what it was made of; kept as long as the codec."""
        return {}

    @property
    def model_id(self) -> bytes:
        """The 16 bytes that name this model in a file."""
        return bytes.fromhex(self.metadata["model_hash"])[:16]
