import pytest

from tests.photographs import photograph
from tfsq import codec


@pytest.fixture(autouse=True)
def _tiny(tiny_network):
    """Every test of this folder may train it."""


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    codec.write_image(photograph("coffee")[:100, :120], paths[0])
    codec.write_image(photograph("rocket")[:120, :100], paths[1])
    return paths
