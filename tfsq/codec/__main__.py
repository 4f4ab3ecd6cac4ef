"""Decodes a file: `python -m tfsq.codec FILE IMAGE MODEL`, what verification starts."""

import sys

from tfsq.codec import decompress_file

file, image, model = sys.argv[1:]
decompress_file(file, image, model)
