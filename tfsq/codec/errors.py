"""The errors of the codec."""

from __future__ import annotations


class BitstreamError(ValueError):
    """The bytes are not a `.tfsq` file, are damaged, or belong to another model."""


class VerificationError(ValueError):
    """A second process did not decode a file to the pixels that its encoder expects."""


class ModelError(ValueError):
    """A folder is not an exported codec, or its contents do not match its metadata."""
