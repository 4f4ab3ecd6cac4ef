"""Trained networks as codecs: export, files, image files in and out, refinement."""

from tfsq.codec.api import compress, compress_file, compress_latents, decompress, decompress_file
from tfsq.codec.codec import Codec
from tfsq.codec.container import Container, pack, unpack
from tfsq.codec.errors import BitstreamError, ModelError, VerificationError
from tfsq.codec.image_files import decode_image, read_image, write_image
from tfsq.codec.progress import Progress
from tfsq.codec.refinement import refine_latents
from tfsq.codec.saved_model import as_codec, export, load
from tfsq.codec.shipped import shipped_codec, shipped_folder, shipped_model, shipped_qualities
from tfsq.codec.targets import Target

__all__ = [
    "BitstreamError",
    "Codec",
    "Container",
    "ModelError",
    "Progress",
    "Target",
    "VerificationError",
    "as_codec",
    "compress",
    "compress_file",
    "compress_latents",
    "decode_image",
    "decompress",
    "decompress_file",
    "export",
    "load",
    "pack",
    "read_image",
    "refine_latents",
    "shipped_codec",
    "shipped_folder",
    "shipped_model",
    "shipped_qualities",
    "unpack",
    "write_image",
]
