import numpy as np
import pytest
import tensorflow as tf

from tfsq._keras import minimize
from tfsq.entropy_models import FactorizedEntropyModel
from tfsq.entropy_models.deep_factorized import DeepFactorized
from tfsq.layers import AdditiveUniformNoise, StochasticUniformAnnealing, StraightThroughRounding

CHANNELS = 4


def latents(shape=(3, 5, 5, CHANNELS), scale=3.0, offset=0.0):
    return tf.random.stateless_normal(shape, (3, 1)) * scale + offset


def trained(scale=2.0, offset=5.3, steps=300):
    """A model fitted to a Gaussian far from zero."""
    model = FactorizedEntropyModel(coding_rank=3, compression=True)
    optimizer = tf.keras.optimizers.Adam(0.05)
    z = latents((8, 16, 16, CHANNELS), scale, offset)
    model.build(z.shape)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(z, training=True)[1]) / (16 * 16 * CHANNELS)
        minimize(optimizer, loss, model.trainable_variables, tape)
        return loss

    for _ in range(steps):
        loss = step()
    return model, z, float(loss)


@pytest.fixture(scope="module")
def fitted():
    tf.keras.utils.set_random_seed(0)
    return trained()


def test_shapes_dtypes_and_defaults():
    model, z = FactorizedEntropyModel(coding_rank=3), latents()
    for training in (False, True):
        z_hat, bits = model(z, training=training)
        assert z_hat.shape == z.shape
        assert bits.shape == (3,)
        assert bits.dtype == tf.float32
    assert isinstance(model.rate_quantizer, AdditiveUniformNoise)
    assert isinstance(model.reconstruction_quantizer, StraightThroughRounding)
    for dtype in ("float16", "bfloat16", "float64"):
        z_hat, bits = model(tf.cast(z, dtype), training=True)
        assert z_hat.dtype == dtype
        assert bits.dtype == tf.float32


def test_learns_the_density(fitted):
    _, _, loss = fitted
    entropy = 0.5 * np.log2(2 * np.pi * np.e * (2.0**2 + 1 / 12))
    assert loss == pytest.approx(entropy, abs=0.05)


def test_quantization_is_centered_on_the_median(fitted):
    model, z, _ = fitted
    np.testing.assert_allclose(model.loc, 5.3, atol=0.3)
    z_hat, _ = model(z, training=False)
    assert np.array_equal(z_hat, np.round(z - model.loc) + model.loc.numpy())
    assert np.array_equal(z_hat, model.quantize(z))
    half = tf.sigmoid(DeepFactorized.of(model._prior_weights).logits(tf.zeros([CHANNELS])))
    np.testing.assert_allclose(half, 0.5, atol=1e-6)


def test_decodes_exactly_in_the_predicted_length(fitted):
    model, z, _ = fitted
    z_hat, bits = model(z, training=False)
    strings = model.compress(z)
    assert np.array_equal(model.decompress(strings, z.shape[1:3]), z_hat)
    actual = np.array([8 * len(string) for string in strings.numpy()])
    assert np.all(np.abs(actual - bits) <= 0.005 * bits + 16)


def test_decodes_what_lies_far_outside_of_the_tables(fitted):
    model, z, _ = fitted
    far = z * 1e4
    decoded = model.decompress(model.compress(far), z.shape[1:3])
    assert np.array_equal(decoded, model.quantize(far))


def test_training_hardly_differs_from_coding(fitted):
    model, z, loss = fitted
    hard = float(tf.reduce_mean(model(z, training=False)[1])) / (16 * 16 * CHANNELS)
    assert hard == pytest.approx(loss, abs=0.05)


def test_tables_follow_the_prior():
    model, z = FactorizedEntropyModel(coding_rank=3, compression=True), latents()
    traced = tf.function(model.compress)
    assert np.array_equal(traced(z), model.compress(z))
    before = model._cdf.numpy()
    decompress = tf.function(model.decompress)
    for weight in model.trainable_weights:
        weight.assign_add(tf.ones_like(weight) * 0.5)
    # Strings decode in whatever order traced and eager calls come.
    for compress in (traced, model.compress, traced):
        strings = compress(z)
        for decode in (model.decompress, decompress):
            assert np.array_equal(decode(strings, z.shape[1:3]), model.quantize(z))
    strings = model.compress(z)
    assert not np.array_equal(model._cdf, before)
    assert np.array_equal(model.decompress(strings, z.shape[1:3]), model.quantize(z))
    # What was traced before reads the new tables.
    assert np.array_equal(traced(z), strings)
    again = model._cdf.numpy()
    model.update_tables()
    assert np.array_equal(model._cdf, again)


@pytest.mark.parametrize("shared", [True, False])
def test_keras_file_keeps_prior_tables_and_temperature(tmp_path, shared):
    quantizer = StochasticUniformAnnealing(1.0)
    model = FactorizedEntropyModel(
        coding_rank=3,
        rate_quantizer=quantizer if shared else None,
        reconstruction_quantizer=quantizer,
        compression=True,
    )
    inputs = tf.keras.Input([5, 5, CHANNELS])
    functional = tf.keras.Model(inputs, model(inputs))
    for weight in model.trainable_weights:
        weight.assign_add(tf.ones_like(weight) * 0.1)
    quantizer.temperature = 0.25
    strings = model.compress(latents())
    functional.save(tmp_path / "model.keras")
    loaded = tf.keras.models.load_model(tmp_path / "model.keras").layers[-1]
    assert len(loaded.weights) == len(model.weights)
    for a, b in zip(model.weights, loaded.weights):
        assert np.array_equal(a, b), a.name
    assert np.array_equal(loaded.decompress(strings, [5, 5]), model.quantize(latents()))
    assert (loaded.rate_quantizer is loaded.reconstruction_quantizer) == shared
    assert float(loaded.reconstruction_quantizer.temperature) == 0.25


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2.0**31])
def test_compress_refuses_what_the_coder_would_hang_on(fitted, bad):
    model, z, _ = fitted
    for compress in (model.compress, tf.function(model.compress)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be finite and within"):
            compress(z + bad)


def test_bad_arguments_are_refused():
    for arguments, message in (
        ({"coding_rank": 0}, "`coding_rank` must be an integer of at least 1"),
        ({"coding_rank": 1, "num_filters": (0,)}, "must be a sequence of integers .*=\\(0,\\)"),
        ({"coding_rank": 1, "num_filters": 3}, "must be a sequence of integers .*=3"),
        ({"coding_rank": 1, "init_scale": np.inf}, "`init_scale` must be positive and finite"),
        (
            {"coding_rank": 1, "init_scale": 0.0},
            "`init_scale` must be positive and finite in float32",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            FactorizedEntropyModel(**arguments)
    model = FactorizedEntropyModel(coding_rank=1)
    with pytest.raises(TypeError, match="The latent must be floating-point"):
        model(tf.zeros([2, 3], tf.int32))
    with pytest.raises(RuntimeError, match="compression=True"):
        model.compress(tf.zeros([2, 3]))
    with pytest.raises(ValueError, match="last dimension of `bottleneck` must be known"):
        FactorizedEntropyModel(coding_rank=1).build((2, None))
    with pytest.raises(RuntimeError, match="must be called or built before"):
        FactorizedEntropyModel(coding_rank=1, compression=True).decompress([""], [1])


def test_config_round_trip():
    model = FactorizedEntropyModel(coding_rank=2, num_filters=(4,), init_scale=5.0)
    again = FactorizedEntropyModel.from_config(model.get_config())
    assert again.get_config() == model.get_config()


def test_compiles_under_xla():
    model, z = FactorizedEntropyModel(coding_rank=3), latents()
    model.build(z.shape)

    @tf.function(jit_compile=True)
    def step(z):
        with tf.GradientTape() as tape:
            z_hat, bits = model(z, training=True)
            loss = tf.reduce_sum(bits) + tf.reduce_sum(z_hat)
        return tape.gradient(loss, model.trainable_variables)

    for gradient in step(z):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_encoder_knows_bit_by_bit_what_the_decoder_will_have(dtype):
    entropy_model = FactorizedEntropyModel(coding_rank=3, compression=True)
    entropy_model.build((None, None, None, 4))
    entropy_model.loc.assign([-0.0, 2.0**-13 * (1.0 + 2.0**-23), 0.3, -0.45])
    z = tf.cast(tf.random.stateless_normal([2, 3, 5, 4], [0, 1]), dtype)
    strings, z_hat = entropy_model.encode(z)
    decoded = entropy_model.decompress(strings, [3, 5])
    assert z_hat.dtype == decoded.dtype == tf.float32
    assert z_hat.numpy().tobytes() == decoded.numpy().tobytes()
    assert np.array_equal(strings, entropy_model.compress(z))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_density_is_float32_under_mixed_precision(policy):
    z = latents()
    found = []
    for dtype in ("float32", policy):
        tf.keras.utils.set_random_seed(3)
        model = FactorizedEntropyModel(coding_rank=3, dtype=dtype)
        found.append(model(z, training=False)[1])
    assert np.array_equal(*found)


@pytest.mark.parametrize("coding_rank", [1, 2, 4])
def test_strings_of_any_rank_decode(coding_rank):
    model, z = FactorizedEntropyModel(coding_rank=coding_rank, compression=True), latents()
    strings = model.compress(z)
    assert strings.shape == z.shape[: 4 - coding_rank]
    between = z.shape[4 - coding_rank : 3]
    assert np.array_equal(model.decompress(strings, between), model.quantize(z))
    assert np.array_equal(model.decompress(strings, list(between)), model.quantize(z))
