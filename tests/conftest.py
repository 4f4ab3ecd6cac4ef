import contextlib
import fcntl
import os
import pathlib
import shutil
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with warnings.catch_warnings():
    # What the pinned TensorFlow warns of at import is not ours to mend.
    warnings.simplefilter("ignore")
    import tensorflow as tf

    with contextlib.suppress(ImportError):
        import tensorflow_compression  # noqa: F401
    import tensorflow_probability  # noqa: F401

import hypothesis
import pytest

from tests.photographs import crops
from tests.tiny import tiny_network  # noqa: F401
from tfsq import codec
from tfsq.architectures import MeanScaleHyperprior
from tfsq.codec import shipped
from tfsq.codec.saved_model import METADATA_FILE
from tfsq.evaluation import comparison

hypothesis.settings.register_profile(
    "tfsq", deadline=None, max_examples=50, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("tfsq")

_SMALL_CODEC = pathlib.Path(__file__).parent / "golden" / "version_3" / "codec"
_SEED = 20231
# Two devices, so that strategies with two replicas can run.
_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()] * 2)


# They take longest. The others are short enough for both processes to end at about the same time.
LONGEST = (
    "layers/test_all_layers.py",
    "surrogates/test_all_surrogates.py",
    "codec/test_codec.py",
    "test_documentation.py",
    "analysis/test_mismatch_and_risk.py",
    "architectures/test_fit.py",
    "architectures/test_all_networks.py",
    "training/test_training.py",
    "entropy_models/test_lower_bounded_gaussian_conditional.py",
    "entropy_models/test_factorized.py",
    "architectures/test_mean_scale_hyperprior.py",
    "codec/test_tiling.py",
    "callbacks/test_temperature.py",
    "evaluation/test_references.py",
    "codec/test_file_coding.py",
    "architectures/test_strips.py",
    "analysis/test_figures.py",
    "architectures/test_shortcut.py",
    "architectures/test_local_statistics.py",
    "evaluation/test_comparison.py",
    "codec/test_robustness.py",
    "architectures/test_many_rates.py",
    "architectures/test_accelerated_networks.py",
    "test_cli.py",
)


def pytest_collection_modifyitems(items):
    """Begins with the longest files."""
    tests = pathlib.Path(__file__).parent
    places = {tests / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_fixture_setup(fixturedef):
    """Seeds what a fixture makes for more than one test, whatever ran before."""
    if fixturedef.scope != "function":
        tf.keras.utils.set_random_seed(_SEED)


@pytest.fixture(autouse=True)
def _reproducible():
    tf.keras.utils.set_random_seed(_SEED)


@pytest.fixture
def eagerly():
    """Steps run as they are written, where a test of the loop around them would mostly trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@contextlib.contextmanager
def _alone(place):
    """One worker at a time is inside."""
    with (place / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with a model that was trained for a moment, and its codec; of all workers one."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    with _alone(place):
        if not (place / "trained").exists():
            tf.keras.utils.set_random_seed(1)
            model = MeanScaleHyperprior(num_filters=6, num_latents=8)
            model.compile(tf.keras.optimizers.Adam(1e-3), lmbda=0.02)
            for _ in range(10):
                model.train_step(crops())
            codec.export(model, place / "unfinished" / "exported")
            model.save(place / "unfinished" / "model.keras")
            (place / "unfinished").rename(place / "trained")
    return place / "trained"


@pytest.fixture(scope="session")
def model(trained):
    """The model."""
    return tf.keras.models.load_model(trained / "model.keras")


@pytest.fixture(scope="session")
def folder(trained):
    """The folder of the exported model."""
    return trained / "exported"


@pytest.fixture(scope="session")
def loaded(folder):
    """The loaded codec."""
    return codec.load(folder)


@pytest.fixture
def loaded_once(folder, loaded, monkeypatch):
    """Commands get the exported model without reading it again, and others but once."""
    load, read = codec.load, {}

    def known(path):
        if path == folder:
            return loaded
        file = pathlib.Path(path) / METADATA_FILE
        state = (path, file.read_bytes() if file.is_file() else None)
        if state not in read:
            read[state] = load(path)
        return read[state]

    for module in (codec, codec.api, shipped, comparison):
        monkeypatch.setattr(module, "load", known)


@pytest.fixture
def shipping(tmp_path, monkeypatch):
    """An installation that comes with a small codec, of qualities 1 to 3."""
    (tmp_path / "saved_models").mkdir()
    copy = tmp_path / "saved_models" / "photographs"
    shutil.copytree(_SMALL_CODEC, copy)
    sums = [f"{digest}  {name}\n" for name, digest in shipped.sums_of(copy).items()]
    (tmp_path / "saved_models" / shipped.SUMS_FILE).write_text("".join(sums))
    monkeypatch.setattr(shipped, "_PLACES", (tmp_path / "nothing", tmp_path))
    shipped._shipped_codec.cache_clear()
    yield copy
    shipped._shipped_codec.cache_clear()
