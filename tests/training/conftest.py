import pytest

from tests.photographs import photograph
from tfsq import codec


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    codec.write_image(photograph("coffee")[:100, :120], paths[0])
    codec.write_image(photograph("rocket")[:120, :100], paths[1])
    return paths
