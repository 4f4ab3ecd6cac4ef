"""One range coder: TensorFlow Compression's ops where installed, our own of the same bytes."""

from tfsq.range_coder.coding import (
    backend,
    decode,
    encode,
    finish_decoding,
    finish_encoding,
    start_decoding,
    start_encoding,
    use_backend,
)
from tfsq.range_coder.tables import make_table, quantized_cdf

__all__ = [
    "backend",
    "decode",
    "encode",
    "finish_decoding",
    "finish_encoding",
    "make_table",
    "quantized_cdf",
    "start_decoding",
    "start_encoding",
    "use_backend",
]
