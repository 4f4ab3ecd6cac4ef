"""The code of README, docs and docstrings runs, and their numbers are those of the results."""

import doctest
import importlib
import inspect
import json
import pathlib
import pkgutil
import re

import pytest

import tfsq
from tfsq.layers import registry

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(tfsq.__path__, "tfsq.")
    if not module.name.endswith("__main__")
)


def code_of(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [p for p in PAGES if code_of(p)], ids=lambda p: p.name)
def test_code_of_the_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
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


def test_figures_of_the_readme_are_those_of_the_demo():
    report = json.loads((ROOT / "results" / "demo" / "report.json").read_text())
    assert report["decoder_matches_encoder"]
    for page in PAGES:
        for psnr, bpp in re.findall(r"([\d.]+) dB at ([\d.]+) bits per pixel", page.read_text()):
            assert psnr == f"{report['psnr']:.2f}", page
            assert bpp == f"{report['bpp']:.3f}", page
    assert "dB at" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("package", ["surrogates", "entropy_models"])
def test_reference_names_what_a_module_of_the_same_name_hides(package):
    # mkdocstrings takes `tfsq.surrogates.x` for the module, and shows nothing.
    page = (ROOT / "docs" / "reference" / f"{package}.md").read_text()
    module = importlib.import_module(f"tfsq.{package}")
    hidden = [name for name in module.__all__ if f"tfsq.{package}.{name}" in MODULES]
    assert hidden
    for name in hidden:
        assert f"::: tfsq.{package}.{name}.{name}\n" in page
