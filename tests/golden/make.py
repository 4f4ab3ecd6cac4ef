"""Made the files of the present version of the format; not to be run again for that version.

python -m tests.golden.make tests/golden/version_2
"""

import pathlib
import sys

import tensorflow as tf

from benchmarks.corpus import enlarge_kernels, images
from tfsq import codec
from tfsq.architectures import MeanScaleHyperprior

folder = pathlib.Path(sys.argv[1])
if folder.exists():
    sys.exit(f"{folder} is there already: what is golden stays as it is")
tf.keras.utils.set_random_seed(3)
model = MeanScaleHyperprior(num_filters=3, num_latents=4)
model.compile("adam", lmbda=0.01)
enlarge_kernels(model)
codec.export(model, folder / "codec")
data = codec.compress(images()[0], folder / "codec")
(folder / "image.tfsq").write_bytes(data)
codec.write_image(codec.decompress(data, folder / "codec"), folder / "image.png")
