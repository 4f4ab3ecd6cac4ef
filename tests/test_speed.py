"""The speed benchmark: its arithmetic and its report. Nothing is timed here."""

import csv
import itertools

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tensorflow_compression")  # what is compared with

from benchmarks.speed import layers, report, timing, training
from benchmarks.speed.compressai_process import CompressAI


def test_ways_take_turns():
    calls = []
    counter = itertools.count(1)

    def way(name):
        def seconds():
            calls.append(name)
            return float(next(counter))

        return seconds

    found = timing.in_turns({"a": way("a"), "b": way("b")}, rounds=3)
    # One round more, which is not counted.
    assert calls == ["a", "b"] * 4
    assert found == {"a": [3.0, 5.0, 7.0], "b": [4.0, 6.0, 8.0]}


def test_ratio_is_that_of_each_round():
    found = {"ours": [1.0, 2.0, 30.0], "theirs": [2.0, 4.0, 60.0]}
    ours, theirs = timing.rows_of(found, "ours", case="x")
    assert (ours["ratio"], theirs["ratio"], theirs["case"]) == (1.0, 0.5, "x")
    assert (ours["ms"], ours["ms_lowest"], ours["ms_highest"]) == (2e3, 1e3, 3e4)
    assert theirs["ratio_low"] == theirs["ratio_high"] == 0.5


def test_what_is_compared_does_the_same_work():
    y = tf.random.stateless_normal([1000], (0, 1)) * 3.0
    for name, other in layers.NEAREST.items():
        tf.keras.utils.set_random_seed(1)
        ours, theirs = layers.layer_of(name)(y), layers.OTHERS[other](y)
        if name in ("ste", "soft"):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
        # The others are random.
        assert float(tf.reduce_mean(ours - theirs)) == pytest.approx(0.0, abs=0.06)
        assert float(tf.math.reduce_std(ours - y)) == pytest.approx(
            float(tf.math.reduce_std(theirs - y)), abs=0.06
        )
    assert CompressAI(None).ways("training") == {}


@pytest.mark.slow  # TFC builds its kernels from their Fourier transforms.
def test_networks_have_the_kernels_of_those_of_tfc():
    for network in training.NETWORKS:
        ours, theirs = training.ours_of(network), training.theirs_of(network)
        theirs(tf.zeros([1, 64, 64, 3], tf.uint8), training=False)
        sizes = [
            # TFC trains more numbers than a kernel has: its Fourier transform.
            sorted(np.prod(x.kernel.shape) for x in model.submodules if hasattr(x, "kernel"))
            for model in (ours, theirs)
        ]
        assert len(sizes[0]) == 14 and sizes[0] == sizes[1]


def write(folder, part, rows):
    with (folder / f"{part}.csv").open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_report_is_made_from_the_csv_files_alone(tmp_path):
    found = {"tfsq": [1.0, 2.0, 3.0], "tfc": [2.0, 4.0, 6.0], "quantizers of tfsq": [0.01] * 3}
    write(tmp_path, "training", timing.rows_of(found, "tfsq", network="N", crop=64))
    del found["quantizers of tfsq"]
    write(tmp_path, "coding", timing.rows_of(found, "tfsq", network="N", part="encode"))
    write(tmp_path, "entropy_model", timing.rows_of(found, "tfsq", shape="1x2"))
    sizes = (10, 100, 1000, 10000)
    write(
        tmp_path,
        "scaling",
        [{"work": "w", "axis": "pixels", "size": size, "ms": 3 * size} for size in sizes],
    )
    report.write(tmp_path)
    assert "| N | 64 | 2e+03 | 0.50 (0.50 to 0.50) |" in (tmp_path / "training.md").read_text()
    assert "| N | 64 | 0.50 |" in (tmp_path / "shares.md").read_text()
    assert "| w | pixels | 10 to 10000 | 1.00 |" in (tmp_path / "scaling.md").read_text()
    assert (tmp_path / "ratios.png").exists() and (tmp_path / "scaling.png").exists()
