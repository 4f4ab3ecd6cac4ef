"""The drivers of the studies and their reports, on made-up measurements."""

import csv
import dataclasses
import importlib.util
import math
import pathlib
import re
import sys

import numpy as np
import pytest
from scipy import stats

from benchmarks.accelerator import prepare

BENCHMARKS = pathlib.Path(__file__).parents[1] / "benchmarks"
FOLDER = BENCHMARKS / "rate_distortion"


def load(name, folder=FOLDER):
    file = folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{folder.name}_{name}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def driver():
    return load("run")


@pytest.fixture(scope="module")
def report():
    return load("report")


LMBDAS, SEEDS, IMAGES = (0.001, 0.003, 0.01, 0.03), (0, 1, 2), ("a", "b", "c", "d")
# Factors on the rate: what the report has to find.
ARMS = {"AUN": 1.0, "worse": 1.05, "the same": 1.0, "better": 0.9}


def images(arms=ARMS, seeds=SEEDS, lmbdas=LMBDAS):
    rng = np.random.default_rng(0)
    rows = []
    for lmbda in lmbdas:
        for seed in seeds:
            for arm, factor in arms.items():
                for i, image in enumerate(IMAGES):
                    psnr = 40.0 + 4.0 * math.log10(lmbda) + i
                    noise = 1.0 if arm == "AUN" else 1.0 + 0.003 * rng.standard_normal()
                    bpp = factor * noise * 0.05 * 10 ** ((psnr - 25.0) / 10.0)
                    row = {"architecture": "Net", "lmbda": lmbda, "seed": seed, "arm": arm}
                    rows.append({**row, "image": image, "bpp": bpp, "psnr": psnr})
    return rows


def runs(rows):
    keys = dict.fromkeys(
        (row["architecture"], row["lmbda"], row["seed"], row["arm"]) for row in rows
    )
    names = ("architecture", "lmbda", "seed", "arm")
    return [{**dict(zip(names, key)), "hard_loss": 1.02, "surrogate_loss": 1.0} for key in keys]


def test_bd_rates_are_those_of_the_factors(report):
    rows = report.bd_rates(images({**ARMS, "mixed AUN/STE": 1.0}))
    assert {row["arm"] for row in rows if row["against"] != "AUN"} == set(ARMS) - {"AUN"}
    found = {row["arm"]: row for row in rows if row["against"] == "AUN"}
    assert set(found) - {"mixed AUN/STE"} == set(ARMS) - {"AUN"}
    for arm, factor in ARMS.items():
        if arm != "AUN":
            assert found[arm]["BD-rate (%)"] == pytest.approx(100 * (factor - 1), abs=0.3)
            assert 0.0 < found[arm]["interval over seeds"] < 1.0
            assert 0.0 < found[arm]["interval over images"] < 1.0
    verdicts = {arm: found[arm]["verdict"] for arm in ARMS if arm != "AUN"}
    assert verdicts == {"worse": "worse", "the same": "no difference", "better": "better"}


def test_losses_are_relative_to_additive_noise_by_seed_and_image(report):
    rows = images(lmbdas=LMBDAS[:1])
    found = {row["arm"]: row for row in report.losses(rows, runs(rows))}
    key = "loss against AUN (%)"
    assert found["AUN"][key] == 0.0
    anchor = np.mean([report.loss_of(row) for row in rows if row["arm"] == "AUN"])
    other = np.mean([report.loss_of(row) for row in rows if row["arm"] == "better"])
    assert found["better"][key] == pytest.approx(100 * (other / anchor - 1), abs=1e-6)
    assert found["better"]["verdict"] == "better"
    assert found["worse"]["verdict"] == "worse"
    assert found["the same"]["verdict"] == "no difference"
    assert found["better"]["train-test gap (%)"] == pytest.approx(2.0)
    # Whichever row is first; panels share the labels of one of them.
    again = report.losses(rows[::-1], runs(rows))
    assert [row["arm"] for row in again] == list(found)
    for row in again:
        assert row[key] == pytest.approx(found[row["arm"]][key])
    rows = images(seeds=(0,), lmbdas=LMBDAS[:1])
    found = {row["arm"]: row for row in report.losses(rows, runs(rows))}
    assert found["better"]["verdict"] == "one seed"


def test_missing_runs_are_not_passed_over(report):
    rows = [row for row in images() if (row["arm"], row["lmbda"], row["seed"]) != ("AUN", 0.01, 2)]
    # A seed that is not complete is left out, and not counted.
    assert report.bd_rates(rows) == report.bd_rates([r for r in images() if r["seed"] != 2])
    assert {row["seeds"] for row in report.bd_rates(rows)} == {2}
    with pytest.raises(ValueError, match="Runs are missing"):
        report.bd_rates([row for row in rows if (row["arm"], row["lmbda"]) != ("AUN", 0.03)])
    with pytest.raises(ValueError, match="Runs are missing"):
        report.bd_rates(images()[1:])
    rows = [row for row in images() if (row["arm"], row["seed"]) != ("better", 1)]
    found = {row["arm"]: row for row in report.losses(rows, runs(rows))}
    assert (found["better"]["seeds"], found["worse"]["seeds"]) == (2, 3)
    with pytest.raises(ValueError, match="Runs are missing"):
        report.losses(rows[1:], runs(rows))
    with pytest.raises(ValueError, match="Runs are missing: no AUN"):
        report.losses([row for row in rows if row["arm"] != "AUN"], runs(rows))
    rows = images(seeds=(0,))
    assert {row["verdict"] for row in report.bd_rates(rows)} == {"one seed"}


def test_intervals_are_of_the_statistic(report):
    values = np.random.default_rng(0).normal(1.0, 0.1, [2, 30])
    # Of a mean, the textbook's.
    half = stats.t.ppf(0.975, 29) * stats.sem(values[0])
    assert report.interval_of(np.mean, values[:1], 1) == pytest.approx(half)
    # Of a ratio of means, that of its residuals, to first order.
    ratio = values[0].mean() / values[1].mean()
    residuals = (values[0] - ratio * values[1]) / values[1].mean()
    half = stats.t.ppf(0.975, 29) * stats.sem(residuals)
    found = report.interval_of(lambda v: v[0].mean() / v[1].mean(), values, 1)
    assert found == pytest.approx(half, rel=0.05)
    assert report.interval_of(np.mean, values[:1], 0) == math.inf


def test_an_image_counts_as_its_loss_does(report):
    rows = images({"AUN": 1.0, "other": 1.0}, lmbdas=LMBDAS[:1])
    for row in rows:
        # Nearly all of the loss is that of one image, and the others say nothing.
        row["bpp"] *= 100.0 if row["image"] == "a" else 1.0
        row["bpp"] *= 0.9 if (row["image"], row["arm"]) == ("a", "other") else 1.0
    found = {row["arm"]: row for row in report.losses(rows, runs(rows))}["other"]
    assert found["loss against AUN (%)"] < -5.0
    # The mean over images of their own losses has an interval of 8.0.
    assert found["interval over images"] > 15.0


def test_differences_between_images_decide_too(report):
    rows = images({"AUN": 1.0, "other": 1.0}, lmbdas=LMBDAS[:1])
    for row in rows:
        if row["arm"] == "other":
            row["bpp"] *= 0.7 if row["image"] == "a" else 1.04
    found = {row["arm"]: row for row in report.losses(rows, runs(rows))}
    assert found["other"]["interval over seeds"] < abs(found["other"]["loss against AUN (%)"])
    assert found["other"]["verdict"] == "no difference"


def test_runs_that_are_not_written_down_yet_are_missing(report):
    rows = images()
    without = [run for run in runs(rows) if (run["arm"], run["seed"]) != ("better", 1)]
    with pytest.raises(ValueError, match=r"Runs are missing: better at .* lacks seeds \[1\]"):
        report.losses(rows, without)


def test_a_curve_that_falls_without_an_image_has_no_interval(report):
    rows = images()
    for row in rows:
        # At the last lambda its PSNR falls, by less than what four rise together, not three.
        if row["lmbda"] == max(LMBDAS) and row["image"] == "b":
            row["psnr"] -= 7.0
    found = report.bd_rates(rows)
    assert "no interval" in {row["verdict"] for row in found}
    assert math.isnan(found[0]["interval over images"])


def test_report_is_made_from_the_csv_files_alone(report, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["report.py", "made_up"])
    rows = images()
    for suffix, content in (("", rows), ("_runs", runs(rows))):
        with (tmp_path / f"made_up{suffix}.csv").open("w", newline="") as opened:
            writer = csv.DictWriter(opened, list(content[0]))
            writer.writeheader()
            writer.writerows(content)
    report.main()
    for name in ("losses.md", "losses.png", "bd_rates.md", "bd_rates.png"):
        assert (tmp_path / f"made_up_{name}").stat().st_size > 100
    table = (tmp_path / "made_up_bd_rates.md").read_text()
    assert re.search(r"\| better \| AUN \| -(9\.9\d*|10) \| better \|", table)
    assert table.endswith("\nAll rows: network Net, seeds 3, images 4.\n")


def test_every_experiment_describes_runs_that_can_be_trained(driver):
    files = sorted((FOLDER / "experiments").glob("*.json"))
    assert files
    for file in files:
        experiment = driver.experiment_of(file.stem)
        runs = driver.runs_of(experiment)
        assert len({run.folder for run in runs}) == len(runs)
        settings = [driver.settings_of(experiment, run) for run in runs]
        assert len({driver.digest_of(experiment, run) for run in runs}) == len(runs)
        # What the defaults are tomorrow does not change what was measured.
        free = {"rate_quantizer", "reconstruction_quantizer"}
        # A run has a lambda, and no ladder.
        free |= {"lmbdas"}
        for run in runs:
            fields = {field.name for field in dataclasses.fields(settings[0])}
            assert set(driver.chosen_of(experiment, run)) | free == fields
        for run, chosen in zip(runs, settings):
            assert (chosen.lmbda, chosen.seed) == (run.lmbda, run.seed)
            assert chosen.steps >= 4000


def measured(driver, experiment, run, bpp=0.1):
    figures = {"bpp": bpp, "psnr": 30.0, "ms_ssim": None, "file_bytes": 9, "other": 1}
    image = {"image": "a", "decoder_matches_encoder": True, **figures}
    digest = driver.digest_of(experiment, run)
    return {"run": dataclasses.asdict(run), "settings": digest, "seconds": 1.0, "images": [image]}


def test_study_resumes_from_its_result_files(driver, tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "RESULTS", tmp_path)
    experiment = driver.experiment_of("surrogates")
    first, second, *others = driver.runs_of(experiment)
    assert driver.missing(experiment, driver.read("made_up")[1]) == [first, second, *others]
    for run in (second, first):
        driver.append("made_up", measured(driver, experiment, run))
    # As if it had been interrupted between the two files.
    before = (tmp_path / "made_up_runs.csv").read_text().splitlines(keepends=True)
    (tmp_path / "made_up_runs.csv").write_text("".join(before[:-1]))
    driver.append("made_up", measured(driver, experiment, first))
    images, runs = driver.read("made_up")
    assert [row["arm"] for row in runs] == [row["arm"] for row in images] == [second.arm, first.arm]
    assert set(images[0]) >= {"architecture", "lmbda", "seed", "arm", "image", "bpp", "psnr"}
    assert driver.missing(experiment, runs) == others
    experiment["shared"]["steps"] = 90_000
    with pytest.raises(ValueError, match=r"Run\(.*was measured with other settings"):
        driver.missing(experiment, runs)


def test_arms_go_on_from_starts_that_are_trained_once(driver):
    experiment = driver.experiment_of("changes")
    runs = driver.runs_of(experiment)
    starts = driver.starts_of(experiment, runs)
    assert [start.seed for start in starts] == experiment["seeds"]
    assert not {start.folder for start in starts} & {run.folder for run in runs}
    step = experiment["start"]["step"]
    before = driver.settings_of(experiment, starts[0])
    assert 0 < step < before.steps and step % before.steps_per_epoch == 0
    for run in runs:
        settings = driver.settings_of(experiment, run)
        assert settings.steps == before.steps
        # Nothing falls before the arms part.
        falls = settings.final_temperature < settings.initial_temperature
        first = settings.annealing_start * (1 - settings.hard_fraction) * settings.steps
        assert not falls or round(first) == step
    earlier = {**experiment, "start": {**experiment["start"], "step": 500}}
    assert driver.digest_of(earlier, runs[0]) != driver.digest_of(experiment, runs[0])
    assert driver.starts_of(driver.experiment_of("networks"), runs) == []


def test_recipes_of_equal_cost_have_equal_steps(tmp_path, monkeypatch):
    module = load("run", BENCHMARKS / "recipe")
    costs = {module.cost_of(recipe) for recipe in module.recipes.RECIPES}
    times = {cost: 30.0 + i for i, cost in enumerate(costs)}
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(module, "step_times", lambda paths: times)
    steps = {job["name"]: job["steps"] for job in module.jobs_of(tmp_path, [0])}
    assert steps["reference"] == module.STEPS
    assert steps["learning rate 4e-3"] == steps["warm-up"] == steps["reference"]
    # Timed once, for good.
    monkeypatch.setattr(module, "step_times", None)
    assert {job["name"]: job["steps"] for job in module.jobs_of(tmp_path, [0])} == steps


@pytest.mark.slow
def test_recipes_begin_where_they_say():
    recipes = load("recipes", BENCHMARKS / "recipe")
    found = {}
    # One of each beginning, the reference among them.
    for recipe in {recipe.beginning: recipe for recipe in recipes.RECIPES[::-1]}.values():
        if recipe.beginning in ("as shipped", "equal magnitude", "stages"):
            model = recipes.network(recipe, 0.003)
            parts = [(model.analysis, "analysis_shortcut"), (model.synthesis, "synthesis_shortcut")]
            norms = [np.linalg.norm(part.get_layer(name).kernel) for part, name in parts]
            found[recipe.beginning] = norms, model.transform(np.zeros([1, 64, 64, 3], "f"))
    norms, _ = found["equal magnitude"]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    assert found["as shipped"][0][0] > 10 * found["as shipped"][0][1]
    # The same function, otherwise parametrized.
    luma = [float(found[name][1][0, 0, 0, 0]) for name in ("equal magnitude", "as shipped")]
    assert luma[0] == pytest.approx(luma[1], rel=0.05)
    assert np.isfinite(found["stages"][1]).all()


@pytest.mark.slow  # A network for each beginning.
def test_all_beginnings_of_recipes_can_be_built():
    recipes = load("recipes", BENCHMARKS / "recipe")
    for recipe in {recipe.beginning: recipe for recipe in recipes.RECIPES}.values():
        model = recipes.network(recipe, 0.003)
        assert np.isfinite(model.transform(np.zeros([1, 64, 64, 3], "f"))).all(), recipe.beginning


@pytest.fixture
def refinement(tmp_path, monkeypatch):
    module = load("run", BENCHMARKS / "refinement")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    return module


def refined_rows(refinement, models=4, saved=0.06):
    rows = []
    for model in range(models):
        for image in IMAGES:
            for steps in (0, 500):
                rate = 0.1 * 2.0**model * (1.0 - saved if steps else 1.0)
                key = (f"m{model}", 0.001 * 3**model, "SGA", steps, image)
                rows.append(refinement.Row(*key, 10.0, rate, 25.0 + 3.0 * model))
    return rows


def test_refinement_reports_the_rate_that_it_saves(refinement):
    (line,) = refinement.bd_rates(refined_rows(refinement))
    assert line[:3] == ["SGA", 500, 10.0]
    assert line[3:] == [pytest.approx(-6.0)] * 3 + [len(IMAGES)]
    assert refinement.bd_rates(refined_rows(refinement, models=3)) == []


def test_refinement_is_reported_from_the_csv_file_alone(refinement, tmp_path, monkeypatch):
    refinement.write(refined_rows(refinement))
    monkeypatch.setattr(sys, "argv", ["run.py"])
    refinement.main()
    assert "| SGA | 500 | 10 | -6 | -6 | -6 | 4 |" in (tmp_path / "bd_rates.md").read_text()
    assert (tmp_path / "gain.png").stat().st_size > 100
    assert (tmp_path / "table.md").stat().st_size > 100


def test_the_two_calls_of_a_study_have_its_arms_between_them():
    for lmbda in (0.0018, 0.013):
        calls = [
            re.findall(rf"--run (\S+):{lmbda}:/tmp/result/start", command)
            for command in prepare.study_commands(lmbda)
        ]
        assert [len(names) for names in calls] == [4, 3]
        assert len({*calls[0], *calls[1]}) == len(prepare.STUDY["arms"]) == 7
