import numpy as np
import pytest
import tensorflow as tf

from tfsq import layers
from tfsq.analysis import Gaussian, LatentBatch, SquaredError, advice, rate_mismatch, recommend

TEMPERATURES = (1.0, 0.5, 0.25, 0.1, 0.03)


def batch(scale=0.05, predicted=0.05, channels=3, loss=None):
    rng = np.random.default_rng(0)
    locs = rng.normal(size=(2, 8, 8, channels))
    latents = locs + rng.normal(scale=scale, size=locs.shape)
    target = tf.constant(latents, tf.float32)
    loss = loss or (lambda y_hat: tf.reduce_sum(tf.square(tf.tanh(y_hat) - tf.tanh(target))))
    return LatentBatch(latents, locs, np.full_like(locs, predicted), loss)


def test_temperature_is_at_the_minimum_of_its_curve():
    layer = layers.StochasticUniformAnnealing(gradient="expected")
    loss = SquaredError(lambda v: 2 * tf.tanh(0.7 * v) + 0.3 * v, target=0.9)
    arguments = {"loss": loss, "temperatures": TEMPERATURES}
    result = recommend(layer, Gaussian(0.3, 0.5), weight=0.2, **arguments)
    curve = {point.temperature: point for point in result.temperature_curve}
    assert set(curve) == set(TEMPERATURES)
    assert curve[1.0].criterion == pytest.approx(1.2)
    for point in curve.values():
        assert point.criterion == pytest.approx(
            point.mismatch / curve[1.0].mismatch + 0.2 * point.risk / curve[1.0].risk
        )
    assert result.temperature == min(curve.values(), key=lambda p: p.criterion).temperature
    # The variance of the expected gradient grows like 1/t: the lowest cannot be the best.
    assert 0.03 < result.temperature < 1.0
    no_risk = recommend(layer, Gaussian(0.3, 0.5), weight=0.0, **arguments)
    assert no_risk.temperature == 0.03
    assert "no minimum inside" in no_risk.note


@pytest.mark.slow
def test_risk_that_is_not_resolved_is_not_trusted():
    """Below t = 0.1, the variance of noisy soft rounding lies in noise that is hardly drawn."""
    loss = SquaredError(lambda v: 2 * tf.tanh(0.7 * v) + 0.3 * v, target=0.9)
    result = recommend("unsr", Gaussian(0.3, 0.5), loss=loss, temperatures=(1.0, 0.5, 0.05))
    assert [np.isinf(p.risk) for p in result.temperature_curve] == [False, False, True]
    assert "the risk is not resolved at t = 0.05" in result.note
    assert result.temperature > 0.05
    of_batch = recommend("unsr", batch(scale=0.5), temperatures=(1.0, 0.02))
    assert np.isinf(of_batch.temperature_curve[-1].risk)


def test_surrogate_without_a_temperature_gets_none():
    result = recommend("aun", Gaussian(scale=0.3))
    assert result.temperature is None
    assert result.temperature_curve == ()


@pytest.mark.slow
def test_surrogate_that_rounds_is_judged_by_its_risk_alone():
    loss = SquaredError(lambda v: tf.tanh(v), target=0.9)
    result = recommend("dsq", Gaussian(0.3, 0.2), loss=loss, temperatures=TEMPERATURES)
    assert all(point.mismatch == 0 for point in result.temperature_curve)
    risks = {point.temperature: point.risk for point in result.temperature_curve}
    assert result.temperature == min(risks, key=risks.get)


def test_bound_does_not_run_away():
    """The gap alone would be least at the largest bound."""
    result = recommend("aun", Gaussian(scale=0.03), scale=0.03)
    gaps = [p.training_rate - p.hard_rate for p in result.bound_curve]
    assert gaps[-1] < gaps[0]
    assert result.scale_lower_bound < 0.2
    least = min(p.hard_rate for p in result.bound_curve)
    for p in result.bound_curve:
        expected = abs(p.training_rate - p.hard_rate) + p.hard_rate - least
        assert p.criterion == pytest.approx(expected)


def test_flat_criterion_gives_the_smallest_bound_and_says_so():
    result = recommend("ste", Gaussian(scale=2.0))
    assert result.scale_lower_bound == 0.01
    assert "J is flat up to a bound of" in result.note


@pytest.mark.slow
def test_scale_that_is_predicted_too_small_needs_a_bound():
    result = recommend("aun", Gaussian(scale=0.4), scale=0.05)
    assert 0.3 < result.scale_lower_bound < 0.6
    assert result.note == ""
    of_batch = recommend("aun", batch(scale=0.4, predicted=0.05))
    assert of_batch.scale_lower_bound == pytest.approx(result.scale_lower_bound, rel=0.4)


@pytest.mark.slow
def test_batch_gives_what_its_source_gives():
    """A batch whose loss adds up over the elements has the risk of the source, per channel."""
    target = 0.9

    def loss(y_hat):
        return tf.reduce_sum(tf.square(2 * tf.tanh(0.7 * y_hat) + 0.3 * y_hat - target))

    rng = np.random.default_rng(0)
    latents = rng.normal(0.3, 0.5, (1, 300, 200, 1))
    zeros = np.zeros_like(latents)
    real = LatentBatch(latents, zeros, zeros + 0.5, loss)
    layer = layers.StochasticUniformAnnealing()
    of_batch = recommend(layer, real, temperatures=(1.0, 0.5))
    source_loss = SquaredError(lambda v: 2 * tf.tanh(0.7 * v) + 0.3 * v, target=target)
    of_source = recommend(
        layer, Gaussian(0.3, 0.5), loss=source_loss, scale=0.5, temperatures=(1.0, 0.5)
    )
    for a, b in zip(of_batch.temperature_curve, of_source.temperature_curve):
        assert a.mismatch == pytest.approx(b.mismatch, rel=0.02)
    for a, b in zip(of_batch.bound_curve, of_source.bound_curve):
        assert a.training_rate == pytest.approx(b.training_rate, abs=0.02)
        assert a.hard_rate == pytest.approx(b.hard_rate, abs=0.02)
    # The gradient in the common shift has the bias of one sample, times the number of them.
    count = latents.size
    bias = -0.197 * count
    assert of_batch.temperature_curve[0].risk == pytest.approx(bias**2, rel=0.25)


def test_risk_of_a_batch_has_the_variance_of_all_channels():
    zeros = np.zeros((1, 20, 20, 16))
    real = LatentBatch(zeros, zeros, zeros + 1.0, lambda y_hat: tf.reduce_sum(y_hat**2))
    (point,) = recommend("sua", real, temperatures=(1.0,)).temperature_curve
    # Of each latent 4 Var(u), and no bias.
    assert point.risk == pytest.approx(zeros.size / 3, rel=0.4)


def test_hard_gradients_are_of_channels_around_their_means():
    given = batch(scale=0.5, channels=2)
    latents = given.residuals
    assert given.hard_gradients.shape == (2,)
    for channel, found in enumerate(given.hard_gradients):
        shift = 0.1 * np.eye(2)[channel]
        up, down = (
            float(given.loss(tf.constant(np.round(latents + s) + given.locs, tf.float32)))
            for s in (shift, -shift)
        )
        assert found == pytest.approx((up - down) / 0.2)


@pytest.mark.slow
def test_rate_is_measured_at_the_temperature_that_is_found():
    source = Gaussian(scale=0.3)
    result = recommend("sua", source, temperatures=(1.0, 0.5), weight=0.0)
    assert result.temperature == 0.5
    point = result.bound_curve[0]
    expected = rate_mismatch("sua", 0.5, source, 0.3, point.bound)
    assert point.training_rate == pytest.approx(expected.training_rate)
    other = rate_mismatch("sua", 1.0, source, 0.3, point.bound)
    assert abs(other.training_rate / expected.training_rate - 1) > 0.01


def test_rate_may_have_a_surrogate_of_its_own():
    result = recommend("sua", batch(), rate_surrogate="aun", temperatures=(1.0, 0.5))
    assert (result.surrogate, result.rate_surrogate) == (
        "StochasticUniformAnnealing",
        "AdditiveUniformNoise",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -1.0}, "`weight` must be at least 0"),
        ({"temperatures": (0.5,)}, "`temperatures` must contain 1"),
        ({"bounds": ()}, "`bounds` must be positive"),
        ({"bounds": (0.0, 1.0)}, "`bounds` must be positive"),
        ({"bounds": (0.1, np.nan)}, "`bounds` must be positive and finite"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        recommend("sua", Gaussian(), **arguments)


def test_what_is_no_source_is_refused():
    with pytest.raises(TypeError, match="`source` must be a Source or a LatentBatch"):
        recommend("aun", None)


@pytest.mark.parametrize("arguments", [{"scale": 1.0}, {"loss": SquaredError()}])
def test_what_a_batch_has_of_its_own_is_refused(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` is for a source"):
        recommend("sua", batch(), **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"locs": np.zeros(3)}, "`locs` must have the shape of `latents`"),
        ({"scales": np.zeros((2, 8, 8, 3))}, "`scales` must be positive"),
        ({"latents": np.full((2, 8, 8, 3), np.nan)}, "`latents` must be finite"),
        ({"latents": np.zeros(3)}, "`latents` must have the shape"),
    ],
)
def test_batch_is_checked(change, message):
    good = batch()
    fields = {name: getattr(good, name) for name in ("latents", "locs", "scales", "loss")}
    with pytest.raises(ValueError, match=message):
        LatentBatch(**{**fields, **change})


def test_advice_follows_from_the_temperature_and_the_bound():
    low = recommend("sua", batch(scale=0.5, predicted=0.5), temperatures=(1.0, 0.01))
    assert low.temperature == 0.01
    words = advice(low)
    assert "ask for a temperature of 0.01; let annealing end at 0.05. " in words
    assert words.endswith(
        "--reconstruction-quantizer StochasticUniformAnnealing --rate-quantizer same "
        "--final-temperature 0.05"
    )
    assert "Keep the lower bound of 0.11: here it costs nothing." in words
    # Predicted ten times too small: a bound near the truth, above the usual one, repairs the rate.
    bound = recommend("aun", batch(scale=0.5, predicted=0.05))
    words = advice(bound)
    assert words.startswith("AdditiveUniformNoise has no temperature. A lower bound of ")
    assert bound.scale_lower_bound > 0.2
    assert words.endswith(f"--scale-lower-bound {bound.scale_lower_bound:g}")
