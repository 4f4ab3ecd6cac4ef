"""What threads that work with codecs at once have to do one after the other."""

import concurrent.futures
import time

from absl import logging

from tests.tiny import Tiny
from tfsq.codec import saved_model
from tfsq.codec.graphs import Graphs

THREADS = 4


def in_threads(function):
    """What each of some threads gets of a function, at once."""
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda _: function(), range(THREADS)))


def test_a_function_is_traced_once():
    model = Tiny(4, 6)
    model.compile("adam", lmbda=0.01)
    graphs = Graphs(model)
    assert len(set(map(id, in_threads(lambda: graphs.traced("analysis"))))) == 1


def test_loading_leaves_the_verbosity_as_it_was():
    def load():
        with saved_model._without_gradient_warnings():
            time.sleep(0.01)
            return logging.get_verbosity()

    before = logging.get_verbosity()
    assert before != logging.ERROR
    assert in_threads(load) == [logging.ERROR] * THREADS
    assert logging.get_verbosity() == before
