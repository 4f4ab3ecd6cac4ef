"""Made the files of a version of the format; not to be run again for one that is there.

python -m tests.golden.make VERSION [FOLDER]
"""

import pathlib
import sys

import tensorflow as tf

from benchmarks.corpus import LMBDAS, enlarge_kernels, images
from tfsq import codec
from tfsq.architectures import MeanScaleHyperprior

version = int(sys.argv[1])
name = sys.argv[2] if len(sys.argv) > 2 else f"version_{version}"
folder = pathlib.Path(__file__).parent / name
if folder.exists():
    sys.exit(f"{folder} is there already: what is golden stays as it is")
tf.keras.utils.set_random_seed(3)
lmbdas, quality = {2: (None, None), 3: (LMBDAS, 1.234)}[version]
model = MeanScaleHyperprior(num_filters=3, num_latents=4, lmbdas=lmbdas)
model.compile("adam", lmbda=None if lmbdas else 0.01)
enlarge_kernels(model)
if lmbdas:
    for weight in model.gain.weights:
        weight.assign_add(tf.random.normal(weight.shape, stddev=0.3))
codec.export(model, folder / "codec")
data = codec.compress(images()[0], folder / "codec", quality=quality)
(folder / "image.tfsq").write_bytes(data)
codec.write_image(codec.decompress(data, folder / "codec"), folder / "image.png")
