"""Several devices and machines, and the noise that each draws."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfsq.layers import find
from tfsq.layers.seeded import Seeded

_STRATEGIES = {
    "none": tf.distribute.get_strategy,
    "mirrored": tf.distribute.MirroredStrategy,
    "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
}
_NOISE_OF_A_STEP = 32  # log2 of the numbers that a step may draw


def strategy_of(name: str) -> tf.distribute.Strategy:
    """The strategy of `tf.distribute` to train with.

    Args:
      name: "none"; "mirrored" for all GPUs of this machine; "multi_worker" for the machines that
        the environment variable `TF_CONFIG` lists, as the first thing that TensorFlow does in this
        process.

    Raises:
      ValueError: if there is no such name, or no `TF_CONFIG` for several machines.
    """
    if name not in _STRATEGIES:
        raise ValueError(f"`strategy` must be one of {list(_STRATEGIES)}. Received: {name!r}")
    if name == "multi_worker":
        try:
            json.loads(os.environ.get("TF_CONFIG", ""))
        except ValueError as error:
            raise ValueError(
                "`strategy` multi_worker needs JSON in the environment variable TF_CONFIG. "
                f"Received: {os.environ.get('TF_CONFIG')!r}"
            ) from error
    return _STRATEGIES[name]()


def is_chief(strategy) -> bool:
    """Whether this process is the one that writes the files of the run.

    Args:
      strategy: Where the run is trained.
    """
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().jobs if resolver else []
    if not jobs:
        return True
    return resolver.task_type == "chief" or ("chief" not in jobs and resolver.task_id == 0)


def gathering(strategy) -> Callable[[int], set[int]]:
    """What `in_all_workers` does, traced once for many calls.

    Args:
      strategy: Where the run is trained.
    """

    @tf.function
    def gather(value):
        return strategy.gather(strategy.run(lambda: value[tf.newaxis]), axis=0)

    return lambda value: set(gather(tf.constant(value)).numpy().tolist())


def in_all_workers(strategy, value: int) -> set[int]:
    """What all the workers have called this with, which waits for the last of them.

    Args:
      strategy: Where the run is trained.
      value: Of this worker.
    """
    return gathering(strategy)(value)


def seed_noise(model, seed: int, step: int, strategy) -> None:
    """Another noise than at the beginning, but the same for all runs that start at this step.

    Args:
      model: What is trained.
      seed: Of the run.
      step: Optimizer step that comes next.
      strategy: Where the run is trained.
    """
    for layer in find(model, Seeded):
        if layer.generator is not None:
            # Farther than any step draws; replicas stay apart, as they would not by another seed.
            layer.generator.skip(step << _NOISE_OF_A_STEP)
    resolver = strategy.cluster_resolver
    worker = (resolver.task_id if resolver else None) or 0
    # Replicas of one worker differ anyway, since each is traced apart.
    entropy = np.random.SeedSequence((seed, step), spawn_key=(worker,) if worker else ())
    tf.random.set_seed(int(entropy.generate_state(1)[0]))
