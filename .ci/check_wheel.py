"""Holds a decoded photograph to being the photograph; runs the quickstart with the wheel alone."""

import pathlib
import re
import sys

import numpy as np

import tfsq

assert "site-packages" in pathlib.Path(tfsq.__file__).parts, tfsq.__file__
*images, readme = sys.argv[1:]
original, decoded = (tfsq.codec.read_image(path).astype(float) for path in images)
mse = np.mean(np.square(original - decoded))
assert mse < 100.0, mse
exec(re.search(r"^```python\n(.*?)^```", pathlib.Path(readme).read_text(), re.DOTALL | re.M)[1])
print(f"{10 * np.log10(255**2 / mse):.2f} dB from the wheel's quality 5, Python {sys.version}")
