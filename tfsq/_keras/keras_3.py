"""Keras 3; `keras_2.py` has the same names, and says what they are."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

NO_AUTOCAST = {"autocast": False}
FROM_FIRST_REPLICA = {"aggregation": "only_first_replica"}
LEGACY_OPTIMIZERS: tuple = ()


class Layer(tf.keras.layers.Layer):
    """Keras 3 takes the dtype of a policy for that of outputs, and knows no growing weights."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # In the place of methods called `quantize`, which entropy models have.
        self.__dict__.pop("quantize", None)
        self._tables: tuple[tf.Variable, ...] = ()

    def weight_name(self, name):
        return name

    def get_config(self):
        # By its name, as Keras 2 reads it.
        return {**super().get_config(), "dtype": self.dtype_policy.name}

    def compute_output_spec(self, *args, **kwargs):
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    def add_table(self, name: str) -> tf.Variable:
        table = tf.Variable(
            tf.zeros([0], tf.int32),
            shape=[None],
            validate_shape=False,
            trainable=False,
            name=name,
        )
        self._tables = (*self._tables, table)
        return table

    def save_own_variables(self, store):
        super().save_own_variables(store)
        for number, table in enumerate(self._tables, self._count()):
            store[str(number)] = table.numpy()

    def load_own_variables(self, store):
        names = list(store.keys())  # files of weights cannot be iterated over
        super().load_own_variables({n: store[n] for n in names if int(n) < self._count()})
        for number, table in enumerate(self._tables, self._count()):
            table.assign(store[str(number)])

    def _count(self):
        return len(self._trainable_variables) + len(self._non_trainable_variables)


class Model(tf.keras.Model):
    """Keras 3 cannot tell which weights are whose in a `.keras` file that Keras 2 wrote."""

    def load_own_variables(self, store):
        written = getattr(store, "h5_file", None)
        if written is not None and _has_group(written, "_layer_checkpoint_dependencies"):
            raise ValueError(
                f"The file of {self.name!r} was written by Keras 2, and Keras 3 reads no networks "
                "of Keras 2. Where it was written, call `tfsq.codec.export(model, folder)`; here "
                "`tfsq.codec.load(folder).network` is the network. A run folder of `tfsq train` "
                "needs no conversion: `tfsq export` writes its files again."
            )
        super().load_own_variables(store)

    # What follows is for several machines, whose values Keras takes the mean of as they are.

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if not self._has_workers():
            super()._maybe_symbolic_build(iterator, data_batch)
        elif self.optimizer is not None:
            # Without the mean of a batch, which integers do not have.
            with self.distribute_strategy.scope():
                create_slots(self.optimizer, self.trainable_variables)

    def _make_function(self, step_function):
        def step(data):
            # The mean is along the first axis, which numbers do not have.
            return tf.nest.map_structure(lambda value: value[tf.newaxis], step_function(data))

        return super()._make_function(step if self._has_workers() else step_function)

    def _has_workers(self):
        kind = tf.distribute.MultiWorkerMirroredStrategy
        return isinstance(self.distribute_strategy, kind)


def _has_group(file, name: str) -> bool:
    found = []
    file.visit(lambda path: found.append(path) if path.endswith(name) else None)
    return bool(found)


class Adam(tf.keras.optimizers.Adam):
    """Adam, to be derived from."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # Keras 2 has it in checkpoints, which so are the same.
        self._current_learning_rate = tf.Variable(0.0, trainable=False)

    def _clip_gradients(self, grads):
        # Those of all replicas together, as Keras 2 does: their sum is what is applied.
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync if context else 1
        if replicas == 1:
            return super()._clip_gradients(grads)
        clipped = super()._clip_gradients(context.all_reduce("SUM", grads))
        return [gradient / replicas for gradient in clipped]

    def update_step(self, gradient, variable, learning_rate):
        self.update_one(gradient, variable, learning_rate)

    def update_one(self, gradient, variable, learning_rate) -> None:
        """See `keras_2`."""
        super().update_step(gradient, variable, learning_rate)

    def momentum_of(self, variable):
        """See `keras_2`."""
        return self._momentums[self._get_variable_index(variable)]

    def path_of(self, variable):
        """See `keras_2`; while it is updated, a weight is one of TensorFlow's, without a path."""
        index = self._trainable_variables_indices.get(self._var_key(variable))
        if not hasattr(variable, "path") and index is not None:
            variable = self._trainable_variables[index]
        return getattr(variable, "path", variable.name)


def create_slots(optimizer, variables) -> None:
    """See `keras_2`: a file without slots would be refused, since whoever loads it has some."""
    if not optimizer.built:
        optimizer.build(variables)


def minimize(optimizer, loss, variables, tape) -> None:
    """See `keras_2`."""
    with tape:
        loss = optimizer.scale_loss(loss)
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))


def parts_of(model) -> list:
    """See `keras_2`."""
    if isinstance(model, keras.layers.Layer):
        return list(model._flatten_layers(include_self=False))
    layers = model._flatten(predicate=lambda part: isinstance(part, keras.layers.Layer))
    return [part for layer in layers for part in layer._flatten_layers()]


def leaves_steps_out(optimizer) -> bool:
    """See `keras_2`: of a loss that is scaled, those whose gradients are not finite."""
    return isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)


def slope_of(layer) -> float:
    """See `keras_2`, which keeps it in float32: exact predictions need the same number."""
    return float(np.float32(layer.negative_slope))


def weights_of(model) -> list:
    """See `keras_2`: those of a layer that are trained come before the others."""
    if isinstance(model, keras.Model):
        found = [weight for layer in model._layers for weight in weights_of(layer)]
        own = [*_trained(model, of_parts=False), *_fixed(model, of_parts=False)]
        found += own
    else:
        found = [*_trained(model), *_fixed(model)]
    return list({id(weight): weight for weight in found}.values())


def _trained(layer, of_parts=True) -> list:
    if not layer.trainable:
        return []
    own = list(layer._trainable_variables)
    return own + [w for part in layer._layers if of_parts for w in _trained(part)]


def _fixed(layer, of_parts=True) -> list:
    own = [*layer._non_trainable_variables, *getattr(layer, "_tables", ())]
    if not layer.trainable:
        own = [*layer._trainable_variables, *own]
        return own + [w for part in layer._layers if of_parts for w in weights_of(part)]
    return own + [w for part in layer._layers if of_parts for w in _fixed(part)]
