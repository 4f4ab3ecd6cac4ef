"""The page on adding a surrogate is followed, and the shared tests are run on what it adds."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from tfsq._keras import IS_KERAS_3

ROOT = pathlib.Path(__file__).parent.parent
PLUGIN = """
def pytest_configure(config):
    import pathlib
    from tests import surrogate_table
    from tests.test_documentation import code_of

    namespace = {}
    for block in code_of(pathlib.Path("docs/adding_a_surrogate.md"))[:3]:
        exec(block, namespace)
    surrogate_table.ROWS.append(namespace["row"])
"""


@pytest.mark.slow  # A process that imports everything again.
def test_page_on_adding_a_surrogate_is_true(tmp_path):
    (tmp_path / "adding_plugin.py").write_text(PLUGIN)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    # Not a worker of the run that this is a part of.
    environment = {k: v for k, v in environment.items() if not k.startswith("PYTEST_XDIST")}
    shared = ["tests/surrogates/test_all_surrogates.py", "tests/layers/test_all_layers.py"]
    command = [sys.executable, "-m", "pytest", "-p", "adding_plugin", "-n0", "-m", "", "-k", "mix"]
    run = subprocess.run(
        [*command, *shared], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    passed = int(re.search(r"(\d+) passed", run.stdout)[1])
    # 4 dtypes by 4 temperatures of oracle and slope are 32 of them; Keras 3 has fewer formats.
    assert passed > (65 if IS_KERAS_3 else 80)
