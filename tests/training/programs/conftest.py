import pytest
from PIL import Image

from tests import tiny
from tests.photographs import photograph
from tests.training.programs.small import settings_of
from tfsq import training


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    image = photograph()
    Image.fromarray(image[:200, :230]).save(folder / "a.png")
    Image.fromarray(image[100:300, 50:250]).save(folder / "b.jpg", quality=95)
    Image.fromarray(image[:192, 200:400, 0]).save(folder / "c.jpg", quality=95)
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def exported(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("program") / "program"
    with tiny.registered():
        training.export_program(files, folder, settings_of())
    return folder
