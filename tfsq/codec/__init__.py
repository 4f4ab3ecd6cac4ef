"""Trained networks as codecs: export, files, evaluation."""

from tfsq.codec.api import compress, compress_file, decompress, decompress_file
from tfsq.codec.container import Container, pack, unpack
from tfsq.codec.errors import BitstreamError, ModelError
from tfsq.codec.evaluation import Evaluation, evaluate, measure
from tfsq.codec.image_files import read_image, write_image
from tfsq.codec.saved_model import Codec, export, load

__all__ = [
    "BitstreamError",
    "Codec",
    "Container",
    "Evaluation",
    "ModelError",
    "compress",
    "compress_file",
    "decompress",
    "decompress_file",
    "evaluate",
    "export",
    "load",
    "measure",
    "pack",
    "read_image",
    "unpack",
    "write_image",
]
