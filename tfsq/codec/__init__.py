"""Trained networks as codecs: export, files, image files in and out, refinement."""

from tfsq.codec.api import compress, compress_latents, decompress
from tfsq.codec.cards import CARD_FILE, CardFacts, model_card, write_model_card
from tfsq.codec.codec import Codec
from tfsq.codec.container import Container, pack, unpack
from tfsq.codec.errors import BitstreamError, ModelError, VerificationError
from tfsq.codec.file_coding import (
    CompressedFile,
    FileOutcome,
    compress_file,
    compress_files,
    decompress_file,
    decompress_files,
)
from tfsq.codec.image_files import decode_image, read_image, write_image
from tfsq.codec.progress import Progress
from tfsq.codec.refinement import refine_latents
from tfsq.codec.saved_model import as_codec, export, load
from tfsq.codec.shipped import (
    is_shipped,
    shipped_codec,
    shipped_folder,
    shipped_model,
)
from tfsq.codec.targets import Target

__all__ = [
    "CARD_FILE",
    "BitstreamError",
    "CardFacts",
    "Codec",
    "CompressedFile",
    "Container",
    "FileOutcome",
    "ModelError",
    "Progress",
    "Target",
    "VerificationError",
    "as_codec",
    "compress",
    "compress_file",
    "compress_files",
    "compress_latents",
    "decode_image",
    "decompress",
    "decompress_file",
    "decompress_files",
    "export",
    "is_shipped",
    "load",
    "model_card",
    "pack",
    "read_image",
    "refine_latents",
    "shipped_codec",
    "shipped_folder",
    "shipped_model",
    "unpack",
    "write_image",
    "write_model_card",
]
