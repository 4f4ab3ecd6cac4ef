"""Keras 2; `keras_3.py` has the same names."""

from __future__ import annotations

import tensorflow as tf

# Arguments of `add_weight`.
NO_AUTOCAST = {"experimental_autocast": False}
FROM_FIRST_REPLICA = {"aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
# Whose slots are not those of the others.
LEGACY_OPTIMIZERS: tuple = (tf.keras.optimizers.legacy.Optimizer,)


class Layer(tf.keras.layers.Layer):
    """A layer whose outputs have the dtypes that `call` gives them, and that may have tables."""

    def weight_name(self, name: str) -> str:
        """Returns what to call a weight that is made before the layer is built.

        Weights of an HDF5 file are told apart by name, also those of two such layers.

        Args:
          name: Its name in the layer.
        """
        return f"{self.name}/{name}"

    def add_table(self, name: str) -> tf.Variable:
        """Returns a new int32 weight, a vector of any length, which is empty.

        Args:
          name: Its name.
        """
        return tf.Variable(
            tf.zeros([0], tf.int32),
            shape=[None],
            validate_shape=False,
            trainable=False,
            name=self.weight_name(name),
        )


class Model(tf.keras.Model):
    """A model of these layers."""


class Adam(tf.keras.optimizers.Adam):
    """Adam, to be derived from: a subclass overrides `update_one`."""

    def update_step(self, gradient, variable):
        self.update_one(gradient, variable, self.learning_rate)

    def update_one(self, gradient, variable, learning_rate) -> None:
        """Updates one weight.

        Args:
          gradient: Tensor of the shape of the weight.
          variable: The weight.
          learning_rate: Of this step, a scalar tensor.
        """
        del learning_rate
        super().update_step(gradient, variable)

    def momentum_of(self, variable):
        """Returns the running mean of the gradient of a weight, a variable.

        Args:
          variable: The weight.
        """
        return self._momentums[self._index_dict[self._var_key(variable)]]

    def path_of(self, variable) -> str:
        """Returns the name of a weight, with the names of the layers that it is in.

        Args:
          variable: The weight, or what `update_one` was given.
        """
        return variable.name


def create_slots(optimizer, variables) -> None:
    """Creates what an optimizer keeps of variables where a file has to have it: nothing here.

    Args:
      optimizer: Keras optimizer.
      variables: What is trained.
    """
    del optimizer, variables


def minimize(optimizer, loss, variables, tape) -> None:
    """Takes a step of an optimizer, with the scaling of the loss that it may have.

    Args:
      optimizer: Keras optimizer.
      loss: Scalar tensor.
      variables: What is trained.
      tape: That recorded the loss.
    """
    optimizer.minimize(loss, variables, tape=tape)


def parts_of(model) -> list:
    """Returns the parts of a model, those of nested models and layers, too.

    Args:
      model: Keras model, layer, or other `tf.Module`.
    """
    return list(model.submodules)


def leaves_steps_out(optimizer) -> bool:
    """Says whether steps that an optimizer leaves out do not count.

    Args:
      optimizer: The optimizer, or None.
    """
    del optimizer
    return False


def slope_of(layer) -> float:
    """Returns the slope of a `LeakyReLU` below zero.

    Args:
      layer: The layer.
    """
    return float(layer.alpha)


def weights_of(model) -> list:
    """Returns the weights of a model, tables among them, in the order of Keras 2.

    Args:
      model: Keras model or layer.
    """
    return model.weights
