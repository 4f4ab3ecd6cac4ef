"""Gains that are set by what rounded latents cost."""

import numpy as np
import pytest

from tests.command_line import run
from tests.photographs import photograph
from tests.tiny import NAME, Tiny
from tfsq import codec, layers, training
from tfsq._keras import weights_of
from tfsq.architectures import NETWORKS
from tfsq.training import calibration
from tfsq.training.data import validation_images

LADDER = (0.0025, 0.01, 0.09)


def network(kind=Tiny, lmbdas=LADDER, distortion="mse", num_latents=4):
    """A network whose gains are not those of the theory."""
    model = kind(num_filters=3, num_latents=num_latents, shortcut="dct", lmbdas=lmbdas)
    model.compile("sgd", lmbda=None if lmbdas else 0.01, distortion=distortion)
    if lmbdas:
        generator = np.random.default_rng(0)
        for logs in (model.gain.logs, model.gain.inverse_logs):
            logs.assign(logs + 0.5 * generator.normal(size=logs.shape))
    return model


@pytest.fixture(scope="module")
def images():
    """One that a network has to pad."""
    return [photograph()[:64, :80], photograph("coffee")[:50, :70]]


def aimed_at(gain, steps, factors):
    """A loss whose lowest point is known, of each quality."""
    before = gain.logs.numpy(), gain.inverse_logs.numpy()

    def losses():
        found_steps = before[0] - gain.logs
        found_factors = gain.inverse_logs - before[1] - found_steps
        return np.mean((found_steps - steps) ** 2 + (found_factors - factors) ** 2, axis=1)

    return losses


def gain_of(channels):
    gain = layers.Gain(LADDER)
    gain.build([None, channels])
    return gain


def test_each_quality_finds_the_lowest_loss_by_itself():
    gain = gain_of(5)
    losses = aimed_at(gain, np.array([[0.4], [0.0], [-0.15]]), np.array([[0.0], [0.25], [0.1]]))
    found = calibration.search(gain, losses)
    np.testing.assert_array_equal(found.after, losses())
    # To within half of the last step, for all channels alike.
    assert (found.after <= 2 * 0.025**2 + 1e-6).all()
    assert (np.ptp(gain.logs.numpy(), axis=1) == 0).all()


def test_gains_that_nothing_makes_better_stay_to_the_bit():
    gain = gain_of(5)
    gain.logs.assign(gain.logs + 0.1234)
    before = gain.logs.numpy(), gain.inverse_logs.numpy()
    found = calibration.search(gain, aimed_at(gain, 0.0, 0.0))
    np.testing.assert_array_equal(found.after, found.before)
    np.testing.assert_array_equal(gain.logs, before[0])
    np.testing.assert_array_equal(gain.inverse_logs, before[1])


def test_losses_that_are_not_finite_are_refused_at_first_and_not_taken_later():
    gain = gain_of(2)
    before = gain.logs.numpy()
    with pytest.raises(FloatingPointError, match=r"not finite before calibration: \[nan, 1.0"):
        calibration.search(gain, lambda: np.array([np.nan, 1.0, 1.0]))
    losses = iter([np.ones(3)])
    calibration.search(gain, lambda: next(losses, np.array([np.nan, 2.0, np.inf])))
    np.testing.assert_array_equal(gain.logs, before)


def test_an_interrupted_search_leaves_the_best_gains():
    gain = gain_of(5)
    losses = aimed_at(gain, 0.4, 0.0)
    calls = []

    def interrupted():
        calls.append(losses())
        if len(calls) == 3:
            raise KeyboardInterrupt
        return calls[-1]

    with pytest.raises(KeyboardInterrupt):
        calibration.search(gain, interrupted)
    np.testing.assert_allclose(losses(), 0.2**2, atol=1e-6)
    assert (calls[2] < losses()).all()


@pytest.mark.usefixtures("eagerly")
def test_losses_are_those_of_evaluation(images):
    model = network()
    losses = calibration.losses_of(model, images)()
    each = [model.evaluate(i[np.newaxis], verbose=0, return_dict=True) for i in images]
    for quality, loss in enumerate(losses, 1):
        mean = np.mean([found[f"loss_{quality}"] for found in each])
        assert loss == pytest.approx(mean, rel=1e-4)


def check_calibration(model, images):
    """Losses fall, and nothing but gains is changed."""
    gains = {id(w) for w in weights_of(model.gain)}
    others = [w for w in weights_of(model) if id(w) not in gains]
    before = [w.numpy() for w in others]
    events = []
    found = training.calibrate(model, images, events.append)
    for weight, value in zip(others, before):
        np.testing.assert_array_equal(weight, value)
    assert (found.after < found.before).all()
    np.testing.assert_allclose(calibration.losses_of(model, images)(), found.after, rtol=1e-6)
    assert [event.done for event in events] == list(range(13))
    assert {(event.stage, event.total) for event in events} == {("calibration", 12)}
    assert events[0].loss == pytest.approx(found.before.mean())
    assert events[-1].loss == pytest.approx(found.after.mean())


@pytest.mark.slow
def test_losses_fall_and_nothing_but_gains_is_changed(images):
    check_calibration(network(), images)


# Networks are traced, for some quarter of a minute.
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {NAME}))
def test_losses_of_each_network_fall(name, images):
    check_calibration(network(NETWORKS[name], num_latents=10), images)


@pytest.mark.slow
def test_losses_of_ms_ssim_fall_and_its_least_size_holds(images):
    ladder = tuple(1270.0 * lmbda for lmbda in LADDER)
    model = network(lmbdas=ladder, distortion="ms-ssim")
    check_calibration(model, [photograph()[:192, :200]])
    with pytest.raises(ValueError, match="`images` must have at least 1[0-9]+ pixels a side"):
        training.calibrate(model, images)


@pytest.mark.parametrize(
    ("make", "given", "error", "message"),
    [
        (lambda: network(lmbdas=None), None, ValueError, "of many rates. Received: lmbda=0.01"),
        (network, [], ValueError, "`images` must be at least one"),
        (network, [np.zeros([64, 64, 3])], ValueError, "`images` must be a uint8 .*dtype=float64"),
        (network, [np.zeros([64, 64], np.uint8)], ValueError, r"Received: shape=\(64, 64\)"),
        (lambda: gain_of(2), None, TypeError, "`model` must be a network of `tfsq.architectures`"),
        (lambda: Tiny(3, 4, lmbdas=LADDER), None, RuntimeError, "must be compiled first"),
    ],
)
def test_what_does_not_serve_is_refused(make, given, error, message, images):
    with pytest.raises(error, match=message):
        training.calibrate(make(), images if given is None else given)


@pytest.fixture
def exported(tmp_path):
    folder = tmp_path / "codec"
    codec.export(network(), folder)
    return folder


@pytest.mark.slow
def test_a_codec_is_written_once_more_with_other_gains(exported, files, tmp_path):
    before, output = codec.load(exported), tmp_path / "calibrated"
    result = run("calibrate", *files, "--model", exported, "--output", output)
    assert result.exit_code == 0, result.output
    assert "codec written to" in result.output
    after = codec.load(output)
    hashes = [found.metadata["model_hash"] for found in (before, after)]
    assert hashes[0] != hashes[1]
    card = (output / codec.CARD_FILE).read_text()
    assert f"those of codec {hashes[0]}" in card
    assert "number of images: 2." in card
    assert f"made from codec {hashes[0]}: the terms of that one" in card
    assert "No license" not in card
    # The table tells what both codecs cost.
    rows = [line.split("│")[1:-1] for line in result.output.splitlines() if line.startswith("│")]
    cropped = validation_images(files, Tiny.size_multiple, 1)
    for column, found in ((1, before), (2, after)):
        losses = calibration.losses_of(found.network, cropped)()
        assert [float(row[column]) for row in rows] == pytest.approx(losses, abs=1e-4)
    pixels = codec.read_image(files[0])
    data = codec.compress(pixels, after, quality=1.5)
    assert codec.decompress(data, after).shape == pixels.shape
    with pytest.raises(codec.BitstreamError, match="was made with model"):
        codec.decompress(data, before)


def test_a_codec_of_one_rate_and_a_folder_in_use_are_refused(files, exported, tmp_path):
    single, new = tmp_path / "single", tmp_path / "new"
    codec.export(network(lmbdas=None), single)
    written = (exported / "tfsq.json").read_bytes()
    for model, output, message in (
        (single, new, f"--model must be a codec of many rates. Received: {single}, of one"),
        (exported, single, f"--output must not exist, or be an empty folder. Received: {single}"),
        (exported, exported / "inside", "one is read, the other written"),
        (
            exported,
            files[0],
            f"--output must not exist, or be an empty folder. Received: {files[0]}",
        ),
        (tmp_path / "none", new, "Not a codec exported by tfsq"),
    ):
        result = run("calibrate", *files, "--model", model, "--output", output)
        assert result.exit_code == 1
        assert message in result.output
        assert not new.exists()
    with pytest.raises(ValueError, match="`output` must not exist, or be an empty folder"):
        training.calibrate_codec(exported, files, exported)
    assert (exported / "tfsq.json").read_bytes() == written


@pytest.mark.slow
def test_images_that_do_not_serve_are_left_out_and_named(exported, files, tmp_path):
    (tmp_path / "no.png").write_text("no image")
    output = tmp_path / "calibrated"
    result = run("calibrate", tmp_path / "*.png", "--model", exported, "--output", output)
    assert result.exit_code == 1
    assert "skipped: " in result.output
    assert "number of images: 2." in (output / codec.CARD_FILE).read_text()
    strict = tmp_path / "strict"
    arguments = ("--model", exported, "--output", strict, "--strict")
    assert run("calibrate", tmp_path / "*.png", *arguments).exit_code == 1
    assert not strict.exists()
