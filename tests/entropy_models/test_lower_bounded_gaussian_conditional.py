import mpmath
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfsq._keras import minimize
from tfsq.entropy_models import (
    LowerBoundedGaussianConditional,
    coded_gaussian_bits,
    gaussian_bits,
)
from tfsq.layers import (
    AdditiveUniformNoise,
    StochasticUniformAnnealing,
    StraightThroughRounding,
)


@pytest.fixture(scope="module")
def model():
    return LowerBoundedGaussianConditional(coding_rank=1, compression=True)


def random_inputs(shape=(4, 50), seed=0, dtype="float32"):
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.uniform(np.log(0.05), np.log(300), shape))
    loc = rng.uniform(-100, 100, shape)
    y = loc + scale * rng.normal(size=shape)
    return [tf.constant(array, dtype) for array in (y, scale, loc)]


def test_shapes_dtypes_and_defaults(model):
    y, scale, loc = random_inputs((2, 3, 8))
    for training in (False, True):
        y_hat, bits = model(y, scale, loc, training=training)
        assert y_hat.shape == y.shape
        assert bits.shape == (2, 3)
        assert bits.dtype == tf.float32
    assert isinstance(model.rate_quantizer, AdditiveUniformNoise)
    assert isinstance(model.reconstruction_quantizer, StraightThroughRounding)
    for coding_rank in (0, 2, 3):
        other = LowerBoundedGaussianConditional(coding_rank=coding_rank)
        assert other(y, scale, loc)[1].shape == y.shape[: 3 - coding_rank]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtype_of_the_bottleneck_is_kept(model, dtype):
    y, scale, loc = random_inputs(dtype=dtype)
    y_hat, bits = model(y, scale, loc, training=True)
    assert y_hat.dtype == dtype
    assert bits.dtype == tf.float32
    decoded = model.decompress(model.compress(y, scale, loc), scale, loc)
    assert decoded.dtype == dtype
    assert np.array_equal(decoded, model.quantize(y, loc))


def test_training_is_the_default_and_follows_keras():
    y = tf.constant([[0.2, 0.2, 0.2]])
    model = LowerBoundedGaussianConditional(
        coding_rank=1, reconstruction_quantizer=AdditiveUniformNoise()
    )
    assert not np.array_equal(model(y, y)[0], np.round(y))
    inputs = tf.keras.Input([3])
    functional = tf.keras.Model(inputs, model(inputs, tf.keras.layers.ReLU()(inputs))[0])
    assert np.array_equal(functional(y, training=False), np.round(y))
    assert not np.array_equal(functional(y, training=True), np.round(y))


def test_one_quantizer_for_both_uses_one_noise_sample():
    quantizer = AdditiveUniformNoise()
    model = LowerBoundedGaussianConditional(
        coding_rank=0, rate_quantizer=quantizer, reconstruction_quantizer=quantizer
    )
    y, scale, loc = random_inputs()
    y_hat, bits = model(y, scale, loc, training=True)
    expected = gaussian_bits(y_hat - loc, tf.clip_by_value(scale, 0.11, 256))
    np.testing.assert_allclose(bits, expected, rtol=1e-3, atol=1e-3)


def test_inference_rounds_and_counts_the_bits_of_the_coded_scale(model):
    y, scale, loc = random_inputs()
    y_hat, bits = model(y, scale, loc, training=False)
    assert np.array_equal(y_hat, np.round(y - loc) + loc.numpy())
    table = np.exp(np.linspace(np.log(0.11), np.log(256), 64))
    nearest = np.argmin(np.abs(np.log(scale.numpy())[..., None] - np.log(table)), axis=-1)
    coded = tf.constant(table[nearest], tf.float32)
    expected = tf.reduce_sum(gaussian_bits(np.round(y - loc), coded), axis=-1)
    np.testing.assert_allclose(bits, expected, rtol=1e-5)


def gradient_to_scale(model, y, scale, sign=1.0):
    with tf.GradientTape() as tape:
        tape.watch(scale)
        loss = sign * tf.reduce_sum(model(y, scale, training=True)[1])
    return tape.gradient(loss, scale).numpy()


def test_bound_keeps_the_gradient_that_points_back_inside():
    quantizer = StraightThroughRounding()
    model = LowerBoundedGaussianConditional(
        coding_rank=1, scale_upper_bound=8.0, rate_quantizer=quantizer
    )
    # Residual 0: a smaller scale would be cheaper. Residual 5: a larger one.
    below = tf.constant([[0.01, 0.01]])
    gradient = gradient_to_scale(model, tf.constant([[0.0, 5.0]]), below)
    assert gradient[0, 0] == 0
    assert gradient[0, 1] < 0
    at_bound = gradient_to_scale(model, tf.constant([[0.0, 5.0]]), tf.constant([[0.11, 0.11]]))
    assert at_bound[0, 0] > 0
    assert at_bound[0, 1] == pytest.approx(gradient[0, 1])
    above = gradient_to_scale(model, tf.constant([[0.0, 500.0]]), tf.constant([[99.0, 99.0]]))
    assert above[0, 0] > 0
    assert above[0, 1] == 0


@pytest.mark.parametrize("bound", [1e-6, 0.11, 0.5])
def test_scales_outside_of_the_bounds_are_clamped(bound):
    model = LowerBoundedGaussianConditional(
        coding_rank=0,
        scale_lower_bound=bound,
        scale_upper_bound=100.0,
        rate_quantizer=StraightThroughRounding(),
    )
    y = tf.constant([0.0, 3.0, 700.0])
    for outside, inside in ((bound / 10, bound), (1e5, 100.0)):
        bits = model(y, tf.fill([3], outside), training=True)[1]
        np.testing.assert_allclose(bits, gaussian_bits(y, tf.fill([3], inside)), rtol=1e-4)
        bits = model(y, tf.fill([3], outside), training=False)[1]
        expected = coded_gaussian_bits(y, tf.fill([3], inside), 2**-12, 16)
        np.testing.assert_allclose(bits, expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("bound", [1e-6, 1e-3, 0.11, 1.0])
def test_steps_of_the_table_do_not_depend_on_the_bound(bound):
    model = LowerBoundedGaussianConditional(coding_rank=0, scale_lower_bound=bound)
    assert np.log(256 / bound) / (model.num_scales - 1) <= 0.13
    assert model.num_scales >= 64


@pytest.mark.parametrize(
    "arguments",
    [
        # A table that ends before the tails do, and tails that float32 cannot tell from none.
        {"range_coder_precision": 8},
        {"tail_mass": 1e-10},
        {"range_coder_precision": 9, "tail_mass": 2**-9},
    ],
)
@pytest.mark.parametrize(("scale", "distance"), [(256.0, 500), (0.5, 40), (30.0, 2000)])
def test_bits_of_outliers_are_those_of_strings_where_these_have_fewer(arguments, scale, distance):
    ste = StraightThroughRounding()
    model = LowerBoundedGaussianConditional(
        coding_rank=1, rate_quantizer=ste, compression=True, **arguments
    )
    y = tf.fill([1, 400], float(distance))
    scales = tf.fill([1, 400], scale)
    ideal = float(model(y, scales, training=True)[1][0])
    coded = 8 * len(model.compress(y, scales)[0].numpy())
    # Probabilities of few bits are rounded, the escape's among them.
    bits = float(model(y, scales, training=False)[1][0])
    assert bits == pytest.approx(min(ideal, coded), rel=0.1, abs=16)


@pytest.mark.parametrize("sources", [0.5, 1.0, 2.0])
def test_finite_with_finite_gradients_over_the_whole_range(sources):
    model = LowerBoundedGaussianConditional(
        coding_rank=0, scale_lower_bound=1e-6, scale_upper_bound=1e6
    )
    residual, scale = np.meshgrid(
        sources * np.array([0, 0.3, 1, 1e3, 5e5]), 10.0 ** np.arange(-6, 7)
    )
    y, scale = tf.constant(residual, tf.float32), tf.constant(scale, tf.float32)
    loc = tf.zeros_like(y)
    with tf.GradientTape() as tape:
        tape.watch([y, scale, loc])
        bits = model(y, scale, loc, training=True)[1]
    for value in (bits, *tape.gradient(bits, [y, scale, loc])):
        assert np.isfinite(value).all()


def test_decodes_exactly_10_000_random_tensors(model):
    shape = (10_000, 12)
    rng = np.random.default_rng(1)
    scale = np.exp(rng.uniform(np.log(0.11), np.log(256), shape))
    loc = rng.uniform(-100, 100, shape)
    residual = rng.uniform(-1000, 1000, shape) * rng.integers(0, 2, shape)
    residual += scale * rng.normal(size=shape)
    y, scale, loc = (tf.constant(v, tf.float32) for v in (loc + residual, scale, loc))
    strings = model.compress(y, scale, loc)
    assert strings.shape == (10_000,)
    assert np.array_equal(model.decompress(strings, scale, loc), model.quantize(y, loc))


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(-(2.0**29), 2.0**29, width=32))
def test_decodes_exactly_anything_in_range(model, seed, outlier):
    y, scale, loc = random_inputs((1, 10), seed)
    y = tf.concat([y, [[outlier]]], axis=1)
    scale, loc = tf.pad(scale, [[0, 0], [0, 1]]), tf.pad(loc, [[0, 0], [0, 1]])
    strings = model.compress(y, scale, loc)
    assert np.array_equal(model.decompress(strings, scale, loc), model.quantize(y, loc))


@pytest.mark.parametrize("scale", [0.11, 0.3, 1.0, 7.3, 200.0])
def test_strings_have_the_predicted_length(model, scale):
    y = tf.random.stateless_normal([1, 100_000], (1, 2)) * scale
    scale = tf.fill(y.shape, scale)
    predicted = float(model(y, scale, training=False)[1][0])
    actual = 8 * len(model.compress(y, scale).numpy()[0])
    assert abs(actual - predicted) <= 0.005 * predicted + 16


def ideal_and_coder_bits(residual, model, scale):
    """Bits of one residual by the density, and by TFC's table and escape code."""
    steps = np.log(256 / 0.11) / 63
    scale = 0.11 * np.exp(steps * np.round(np.log(scale / 0.11) / steps))
    tail = lambda z: mpmath.erfc(z / mpmath.sqrt(2)) / 2  # noqa: E731
    last = np.ceil(scale * -scipy.special.ndtri(model.tail_mass / 2))
    ideal = -mpmath.log(tail((residual - 0.5) / scale) - tail((residual + 0.5) / scale), 2)
    smallest = mpmath.mpf(2) ** -model.range_coder_precision
    if residual <= last:
        return float(ideal), float(min(ideal, model.range_coder_precision))
    escape = -mpmath.log(max(2 * tail((last + 0.5) / scale), smallest), 2)
    return float(ideal), float(escape) + 2 + 2 * np.floor(np.log2(residual - last))


@pytest.mark.parametrize("scale", [0.11, 0.4, 1.3, 15.0, 200.0])
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"tail_mass": 2**-8, "range_coder_precision": 12},
    ],
)
def test_strings_of_outliers_have_the_predicted_length(scale, arguments):
    model = LowerBoundedGaussianConditional(coding_rank=1, compression=True, **arguments)
    # Both signs, as a range coder may end a string of equal symbols early.
    signs = tf.sign(tf.random.stateless_normal([1, 2000], (1, 1)))
    scales = tf.fill(signs.shape, scale)
    for residual in [0, 1, 2, 3, 4, 5, 8, 17, 33, 100, 1000, 100_000]:
        y = signs * residual
        predicted = float(model(y, scales, training=False)[1][0])
        actual = 8 * len(model.compress(y, scales).numpy()[0])
        ideal, coder = ideal_and_coder_bits(residual, model, scale)
        assert abs(actual - 2000 * coder) <= 0.02 * actual + 16, residual
        assert predicted == pytest.approx(2000 * min(ideal, coder), rel=1e-3, abs=1e-2), residual


@pytest.mark.slow
@pytest.mark.parametrize("traced_training", [True, False])
def test_training_may_be_a_tensor(traced_training):
    # Without noise, so that the two can be compared.
    model = LowerBoundedGaussianConditional(1, rate_quantizer=StraightThroughRounding())
    y, scale, loc = random_inputs()

    def bits_and_gradient(training):
        with tf.GradientTape() as tape:
            tape.watch(scale)
            bits = model(y, scale, loc, training=training)[1]
        return bits, tape.gradient(bits, scale, unconnected_gradients="zero")

    found = tf.function(bits_and_gradient)(tf.constant(traced_training))
    for traced, eager in zip(found, bits_and_gradient(traced_training)):
        np.testing.assert_allclose(traced, eager, rtol=1e-5, atol=1e-6)
    assert bool(tf.reduce_any(found[1] != 0)) == traced_training


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.0**31, -(2.0**30)])
@pytest.mark.parametrize("traced", [False, True])
def test_compress_refuses_what_the_coder_would_hang_on(model, bad, traced):
    y, scale = tf.constant([[0.0, bad, 1.0]]), tf.ones([1, 3])
    compress = tf.function(model.compress) if traced else model.compress
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be finite and within"):
        compress(y, scale)


def test_compress_accepts_1e9(model):
    y, scale = tf.constant([[1e9, -1e9]]), tf.ones([1, 2])
    assert np.array_equal(model.decompress(model.compress(y, scale), scale), y)


@pytest.mark.parametrize("traced", [False, True])
def test_scale_of_nan_is_refused_and_infinity_clamped(model, traced):
    compress = tf.function(model.compress) if traced else model.compress
    y = tf.zeros([1, 2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="`scale` must not be NaN"):
        compress(y, tf.constant([[1.0, np.nan]]))
    infinite = tf.constant([[np.inf, np.inf]])
    assert np.array_equal(model.decompress(compress(y, infinite), infinite), y)


def test_strings_with_bytes_left_over_are_refused(model):
    y, scale, loc = random_inputs((1, 500))
    string = model.compress(y, scale, loc).numpy()[0]
    with pytest.raises(tf.errors.InvalidArgumentError, match="Corrupt string in"):
        model.decompress([string + b"more"], scale, loc)


def test_compress_without_tables_is_refused():
    model = LowerBoundedGaussianConditional(coding_rank=1)
    y, scale, _ = random_inputs()
    with pytest.raises(RuntimeError, match="compression=True"):
        model.compress(y, scale)
    with pytest.raises(RuntimeError, match="compression=True"):
        model.decompress([""] * 4, scale)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coding_rank": -1}, "`coding_rank` must be an integer"),
        ({"coding_rank": 1.5}, "`coding_rank` must be an integer"),
        ({"coding_rank": None}, "`coding_rank` must be an integer"),
        ({"scale_lower_bound": 0.0}, "0 < scale_lower_bound < scale_upper_bound"),
        ({"scale_lower_bound": 300.0}, "0 < scale_lower_bound < scale_upper_bound"),
        ({"scale_upper_bound": float("inf")}, "0 < scale_lower_bound < scale_upper_bound"),
        ({"scale_lower_bound": "small"}, "0 < scale_lower_bound < scale_upper_bound"),
        ({"num_scales": 1}, "`num_scales` must be an integer of at least 2"),
        ({"num_scales": 64.7}, "`num_scales` must be an integer of at least 2"),
        ({"stop_gradient": "full"}, "`stop_gradient` must be one of"),
        ({"tail_mass": 1.0}, "`tail_mass` must be in"),
        ({"tail_mass": "small"}, "`tail_mass` must be in"),
        ({"range_coder_precision": 17}, "`range_coder_precision` must be an integer from 1 to 16"),
        ({"range_coder_precision": 12.9}, "`range_coder_precision` must be an integer from 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LowerBoundedGaussianConditional(**{"coding_rank": 1, **arguments})


def test_inputs_that_disagree_are_refused(model):
    y = tf.zeros([2, 3])
    with pytest.raises(ValueError, match=r"`scale` must be floating-point and of the shape"):
        model(y, tf.ones([3]))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"[Ii]ncompatible shapes"):
        model(y, tf.ones([2, 3]), tf.zeros([2, 4]))
    with pytest.raises(ValueError, match="`loc` must have the dtype float32"):
        model.compress(y, tf.ones([2, 3]), tf.zeros([2, 3], "float64"))
    for call in (model.quantize, lambda y: model(y, tf.ones([2, 3]))):
        with pytest.raises(TypeError, match="The latent must be floating-point"):
            call(tf.zeros([2, 3], "int32"))


def test_loc_may_broadcast_as_with_tfc(model):
    y, scale, _ = random_inputs()
    loc = tf.linspace(-3.0, 3.0, 50)
    wide = tf.broadcast_to(loc, y.shape)
    assert np.array_equal(model.compress(y, scale, loc), model.compress(y, scale, wide))
    decoded = model.decompress(model.compress(y, scale, loc), scale, loc)
    assert np.array_equal(decoded, model.quantize(y, wide))
    with pytest.raises(ValueError, match="must have at least coding_rank=2"):
        LowerBoundedGaussianConditional(coding_rank=2)(tf.zeros([3]), tf.ones([3]))


@pytest.mark.parametrize("shared", [True, False])
def test_config_round_trip(shared):
    quantizer = StochasticUniformAnnealing(0.5, form="additive")
    model = LowerBoundedGaussianConditional(
        coding_rank=2,
        scale_lower_bound=0.01,
        rate_quantizer=quantizer if shared else AdditiveUniformNoise(seed=2),
        reconstruction_quantizer=quantizer,
        stop_gradient="none",
    )
    again = LowerBoundedGaussianConditional.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert (again.rate_quantizer is again.reconstruction_quantizer) == shared


def test_compiles_under_xla():
    model = LowerBoundedGaussianConditional(
        coding_rank=1, reconstruction_quantizer=StochasticUniformAnnealing(0.5)
    )
    y, scale, loc = random_inputs()

    @tf.function(jit_compile=True)
    def step(y, scale, loc):
        with tf.GradientTape() as tape:
            tape.watch([y, scale, loc])
            y_hat, bits = model(y, scale, loc, training=True)
            loss = tf.reduce_sum(bits) + tf.reduce_sum(y_hat**2)
        return (bits, *tape.gradient(loss, [y, scale, loc]))

    for value in step(y, scale, loc):
        assert np.isfinite(value).all()


class Autoencoder(tf.keras.Model):
    """A TFC-style model; only the entropy model and the argument of its call are exchanged."""

    def __init__(self, entropy_model, argument):
        super().__init__()
        self.analysis = tf.keras.layers.Dense(4)
        self.prediction = tf.keras.layers.Dense(8)
        self.synthesis = tf.keras.layers.Dense(6)
        self.entropy_model = entropy_model
        self.argument = argument

    def call(self, x, training):
        y = self.analysis(x)
        loc, raw = tf.split(self.prediction(tf.ones_like(x)), 2, axis=-1)
        y_hat, bits = self.entropy_model(y, self.argument(raw), loc, training=training)
        return self.synthesis(y_hat), bits

    def compress(self, x):
        y = self.analysis(x)
        loc, raw = tf.split(self.prediction(tf.ones_like(x)), 2, axis=-1)
        strings = self.entropy_model.compress(y, self.argument(raw), loc)
        decoded = self.entropy_model.decompress(strings, self.argument(raw), loc)
        return decoded, self.entropy_model.quantize(y, loc)


def scale_of(index):
    return tf.exp(np.log(0.11) + np.log(256 / 0.11) / 63 * index)


def test_is_a_drop_in_for_the_model_of_tfc():
    tfc = pytest.importorskip("tensorflow_compression")
    # What the two are given names the same scales.
    index = lambda raw: 20.0 + raw  # noqa: E731
    tfc_model = tfc.LocationScaleIndexedEntropyModel(
        tfc.NoisyNormal, 64, scale_of, coding_rank=1, compression=True
    )
    ours = LowerBoundedGaussianConditional(
        coding_rank=1,
        compression=True,
        reconstruction_quantizer=(quantizer := AdditiveUniformNoise()),
        rate_quantizer=quantizer,
    )
    x = tf.random.stateless_normal([256, 6], (1, 1)) * 4
    results = []
    for model in (
        Autoencoder(tfc_model, index),
        Autoencoder(ours, lambda raw: scale_of(index(raw))),
    ):
        tf.keras.utils.set_random_seed(1)
        model(x, training=True)
        optimizer = tf.keras.optimizers.Adam(1e-2)

        # What is converted is TFC, for seconds; it has no need of it.
        @tf.function(autograph=False)
        def step(model=model, optimizer=optimizer):
            with tf.GradientTape() as tape:
                x_hat, bits = model(x, training=True)
                loss = tf.reduce_mean(bits) + tf.reduce_mean((x - x_hat) ** 2)
            minimize(optimizer, loss, model.trainable_variables, tape)
            return loss

        losses = [float(step()) for _ in range(200)]
        decoded, quantized = model.compress(x)
        assert np.array_equal(decoded, quantized)
        results.append((losses[0], np.mean(losses[-20:])))
    (first, last), (our_first, our_last) = results
    assert our_last < 0.9 * our_first
    assert our_first == pytest.approx(first, rel=0.05)
    assert our_last == pytest.approx(last, rel=0.05)
