"""Trained networks as codecs: export, files, evaluation, classical references."""

from tfsq.codec.api import compress, compress_file, compress_latents, decompress, decompress_file
from tfsq.codec.bd_rate import MIN_BD_RATE_POINTS, bd_rate, shared_psnr
from tfsq.codec.comparison import (
    Comparison,
    Curve,
    Measurement,
    check_figure_file,
    compare,
    draw_comparison,
    read_comparison,
    write_comparison,
)
from tfsq.codec.container import Container, pack, unpack
from tfsq.codec.errors import BitstreamError, ModelError, VerificationError
from tfsq.codec.evaluation import Evaluation, RateDistortion, evaluate, measure, rate_distortion
from tfsq.codec.image_files import decode_image, read_image, write_image
from tfsq.codec.references import (
    REFERENCES,
    Reference,
    compress_reference,
    evaluate_reference,
    reference_of_size,
)
from tfsq.codec.refinement import refine_latents
from tfsq.codec.saved_model import Codec, as_codec, export, load
from tfsq.codec.shipped import shipped_codec, shipped_folder, shipped_model, shipped_qualities

__all__ = [
    "MIN_BD_RATE_POINTS",
    "REFERENCES",
    "BitstreamError",
    "Codec",
    "Comparison",
    "Container",
    "Curve",
    "Evaluation",
    "Measurement",
    "ModelError",
    "RateDistortion",
    "Reference",
    "VerificationError",
    "as_codec",
    "bd_rate",
    "check_figure_file",
    "compare",
    "compress",
    "compress_file",
    "compress_latents",
    "compress_reference",
    "decode_image",
    "decompress",
    "decompress_file",
    "draw_comparison",
    "evaluate",
    "evaluate_reference",
    "export",
    "load",
    "measure",
    "pack",
    "rate_distortion",
    "read_comparison",
    "read_image",
    "reference_of_size",
    "refine_latents",
    "shared_psnr",
    "shipped_codec",
    "shipped_folder",
    "shipped_model",
    "shipped_qualities",
    "unpack",
    "write_comparison",
    "write_image",
]
