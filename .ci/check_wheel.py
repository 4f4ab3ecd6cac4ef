"""Holds a decoded photograph to being the photograph, in the environment of the wheel alone."""

import pathlib
import sys

import numpy as np

import tfsq

assert "site-packages" in pathlib.Path(tfsq.__file__).parts, tfsq.__file__
original, decoded = (tfsq.codec.read_image(path).astype(float) for path in sys.argv[1:])
mse = np.mean(np.square(original - decoded))
assert mse < 100.0, mse
print(f"{10 * np.log10(255**2 / mse):.2f} dB from the wheel's quality 4")
