"""The code of README, docs and docstrings runs, and their numbers are those of the results."""

import csv
import doctest
import importlib
import inspect
import json
import pathlib
import pkgutil
import re

import pytest
import tensorflow as tf

import tfsq
from tfsq.layers import registry

ROOT = pathlib.Path(__file__).parent.parent
# Of its report, what README.md quotes.
DEMO = "from nothing, quality 2"
# Their code takes long; that of the others runs every day.
LONG = ("guide.md", "files.md")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(tfsq.__path__, "tfsq.")
    # Of the modules for Keras 2 and Keras 3, one can be imported.
    if not module.name.endswith("__main__") and "_keras" not in module.name
)


FEW_STEPS = {"steps_per_epoch": 1, "epochs": 2}


def code_of(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page.name in LONG else ())
        for page in PAGES
        if code_of(page)
    ],
    ids=lambda page: page.name,
)
def test_code_of_the_page_runs(page, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    if page.name == "README.md":
        # An epoch has as many steps as a reader waits for; `.ci/check_wheel` takes them all.
        fit = tf.keras.Model.fit
        monkeypatch.setattr(
            tf.keras.Model, "fit", lambda *given, **named: fit(*given, **{**named, **FEW_STEPS})
        )
    if page.name == "guide.md":
        # Tracing its networks takes most of the time; those of README.md are traced.
        request.getfixturevalue("eagerly")
    # What a page registers is not there for other tests.
    monkeypatch.setattr(registry, "_QUANTIZERS", registry.names())
    namespace = {}
    for block in code_of(page):
        exec(compile(block, str(page), "exec"), namespace)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_docstrings_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def public_objects():
    for name in MODULES:
        module = importlib.import_module(name)
        for attribute in getattr(module, "__all__", ()):
            value = getattr(module, attribute)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{name}.{attribute}", value


PUBLIC = dict(public_objects())


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_object_documents_its_arguments(name):
    value = PUBLIC[name]
    text = inspect.getdoc(value) or ""
    assert len(text) > 20, name
    target = value.__init__ if inspect.isclass(value) else value
    if inspect.isclass(value) and "__init__" not in vars(value):
        return
    for parameter in inspect.signature(target).parameters.values():
        if parameter.name in ("self", "args", "kwargs") or parameter.name.startswith("_"):
            continue
        documented = re.search(rf"^\s*`?\*{{0,2}}{parameter.name}`?( \(.*\))?:", text, re.MULTILINE)
        assert documented, f"{name} does not document {parameter.name}"


def anchors_of(page):
    """Of its headings, as MkDocs and GitHub make them."""
    # A comment of code is no heading.
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", h).strip().lower()) for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_page_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    for link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if "://" in link:
            continue
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


def test_code_fits_beside_the_links_of_a_page():
    # Of README.md, which is read elsewhere, nothing is hidden.
    blocks = [
        (page.name, line)
        for page in PAGES[1:]
        for block in re.findall(r"```\w*\n(.*?)```", page.read_text(), re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(blocks) > 100
    assert [block for block in blocks if len(block[1]) > 86] == []


def test_figures_of_the_readme_are_those_of_the_demo():
    report = json.loads((ROOT / "results" / "demo" / "report.json").read_text())["files"][DEMO]
    assert report["decoder_matches_encoder"]
    for page in PAGES:
        for psnr, bpp in re.findall(r"([\d.]+) dB at ([\d.]+) bits per pixel", page.read_text()):
            assert psnr == f"{report['psnr']:.2f}", page
            assert bpp == f"{report['bpp']:.3f}", page
    assert "dB at" in (ROOT / "README.md").read_text()


def test_reference_names_what_a_module_of_the_same_name_hides():
    # mkdocstrings takes `tfsq.surrogates.x` for the module, and shows nothing.
    checked = []
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        package = importlib.import_module(f"tfsq.{page.stem}")
        for name in getattr(package, "__all__", ()):
            if f"tfsq.{page.stem}.{name}" in MODULES:
                assert f"::: tfsq.{page.stem}.{name}.{name}\n" in page.read_text()
                checked.append(name)
    assert "soft_rounding" in checked


def test_claims_of_the_theory_page_are_those_of_the_scalar_study():
    with (ROOT / "results" / "scalar_source" / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["seeds"] for row in rows} == {"10"}

    def gaps(arm):
        return [float(row["gap_percent"]) for row in rows if row["arm"] == arm]

    def cases(arm, column):
        chosen = [row for row in rows if row["arm"] == arm and row[column] == "True"]
        return {(row["source"], float(row["lmbda"])) for row in chosen}

    def worse_than_aun(arm):
        against = {
            (row["source"], float(row["lmbda"])): (row["against_aun"], row["standard_error_of_it"])
            for row in rows
            if row["arm"] == arm
        }
        return {case for case, (d, error) in against.items() if float(d) > 2 * float(error)}

    recipe, hard_end = "same|sua-t=0.9", "same|sua-t=0.9+hard"
    assert len(gaps(recipe)) == 12
    assert max(gaps(recipe)) < 0.5
    assert cases(recipe, "better_than_aun") == set()
    low_rate = {(source, 1.0) for source in ("Gaussian", "Laplace", "Logistic")}
    assert worse_than_aun(recipe) == low_rate | {("Logistic", 3.0)}
    assert max(gaps("aun|aun")) < 0.3
    assert max(gaps("same|uq")) < 0.3
    best = {(row["arm"], row["source"], row["lmbda"]) for row in rows if row["best"] == "True"}
    assert best == {("same|unsr-t=0.15", "Gaussian", "3.0")}
    assert cases(hard_end, "better_than_aun") == {("Gaussian", 60.0), ("Laplace", 60.0)}
    assert ("Laplace", 1.0) in worse_than_aun(hard_end)
    noisy = {("Gaussian", 3.0), ("Laplace", 1.0), ("Laplace", 3.0), ("Logistic", 1.0)}
    assert noisy <= cases("same|unsr-t=0.25", "better_than_aun")
    lower = {("Laplace", 15.0), ("Laplace", 60.0), ("Gaussian", 60.0)}
    assert lower <= cases("same|sua-t=0.7+hard", "better_than_aun")
    for arm in ("aun|ste", "ste|ste", "uq|dsq-t=0.1", "same|sua-t=0.05"):
        low = [r for r in rows if r["arm"] == arm and float(r["lmbda"]) <= 3]
        assert min(float(r["gap_percent"]) for r in low) > 5
