"""The page with sliders computes what tfsq.analysis does, and asks nothing of any server."""

import contextlib
import functools
import http.server
import importlib.util
import itertools
import json
import math
import pathlib
import re
import subprocess
import sys
import threading

import pytest

from tests import browser
from tfsq import analysis, layers
from tfsq.analysis.report import LOSS

ROOT = pathlib.Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "javascripts" / "explore.js"
FORMS = ("dithered", "additive", "rounding")
GRADIENTS = ("straight_through", "expected")
GRID = list(itertools.product(FORMS, GRADIENTS, (1.0, 0.3, 0.05, 0.01), (0.05, 0.2, 0.5, 2.0)))


@pytest.fixture(scope="module")
def in_browser(tmp_path_factory):
    """The page's numbers, by setting."""
    folder = tmp_path_factory.mktemp("browser")
    names = ("form", "gradient", "temperature", "scale")
    settings = json.dumps([dict(zip(names, setting)) for setting in GRID])
    file = folder / "page.html"
    file.write_text(f"<body><script>{SCRIPT.read_text()}</script>")
    with browser.page(folder / "profile") as page:
        page.open(file.as_uri())
        return dict(zip(GRID, page.run(f"{settings}.map(tfsqExplore.measure)")))


@pytest.mark.slow  # A browser.
@pytest.mark.parametrize("setting", GRID, ids=lambda setting: "-".join(map(str, setting)))
def test_numbers_of_the_page_are_those_of_analysis(setting, in_browser):
    form, gradient, temperature, scale = setting
    page, source = in_browser[setting], analysis.Gaussian(0.3, scale)
    sua = layers.StochasticUniformAnnealing(form=form, gradient=gradient)
    measured = analysis.mismatch(sua, temperature, source, LOSS, log2_points=15)
    risk = analysis.gradient_risk(sua, temperature, source, LOSS, log2_points=15)
    deviation = math.sqrt(risk.variance)
    pairs = {
        "toRounding": (measured.to_rounding, measured.to_rounding_error),
        "toLatent": (measured.to_latent, measured.to_latent_error),
        "lossMismatch": (measured.loss, measured.loss_error),
        "hardGradient": (risk.hard_gradient, 0.0),
        "bias": (risk.bias, risk.bias_error),
        "deviation": (deviation, risk.variance_error / (2 * deviation)),
    }
    assert set(pairs) == set(page)
    for name, (value, error) in pairs.items():
        # A few samples make up this gradient's second moment, and tell nothing.
        if math.isinf(error):
            assert (gradient, temperature, scale) == ("expected", 0.01, 0.05)
            continue
        # Of eight replicates, the standard error is itself uncertain.
        tolerance = 0.01 * abs(value) + 5 * error
        assert abs(page[name] - value) <= tolerance, f"{name}: {page[name]}, {value} +- {error}"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and logs nothing."""

    def log_message(self, format, *args):
        pass


@contextlib.contextmanager
def served(folder):
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The documentation as it is built."""
    if importlib.util.find_spec("material") is None:
        pytest.skip("MkDocs Material, of the extra docs, is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


SHOWN = """(() => {
  const text = (selector) => document.querySelector(selector).textContent;
  return {
    toRounding: text("[data-now=toRounding]"),
    temperature: text("output[for=explore-temperature]"),
    drawn: document.querySelectorAll("#explore svg .curve").length,
    wide: document.documentElement.scrollWidth - innerWidth,
  };
})()"""
SLIDE = """(() => {
  const slider = document.getElementById("explore-temperature");
  slider.value = 0;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
})()"""
# What the page draws, it draws in the next frame.
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.mark.slow  # A browser, and a documentation to build.
@pytest.mark.parametrize("width", [390, 1280])
def test_page_draws_without_errors_and_asks_nobody(site, width, tmp_path):
    with served(site) as address, browser.page(tmp_path / "browser") as page:
        page.open(f"{address}/explore/", width=width, height=1600)
        page.run(DRAWN)
        before = page.run(SHOWN)
        page.run(SLIDE)
        page.run(DRAWN)
        after = page.run(SHOWN)
    # Of formulas, which this page can do without: no name is resolved here.
    formulas = "https://cdn.jsdelivr.net/npm/mathjax"
    strangers = [url for url in page.requests if not url.startswith(address)]
    # That one request and its failure say that requests and failures are seen.
    assert len(strangers) == 1 and strangers[0].startswith(formulas)
    assert page.complaints == ["Failed to load resource: net::ERR_NAME_NOT_RESOLVED"]
    # Material fetches its search, and this page nothing.
    asked = [url for url in page.requests if page.kinds[url] in ("Fetch", "XHR", "Ping", "Other")]
    assert [url for url in asked if "search" not in url and "favicon" not in url] == []
    # One curve in each of two panels, two in the others.
    assert before["drawn"] == after["drawn"] == 6
    # The slider holds a logarithm.
    assert after["temperature"] == "1"
    assert (before["toRounding"], after["toRounding"]) == ("0.0677", "0.1669")
    assert before["wide"] <= 0 and after["wide"] <= 0


def test_script_names_no_address():
    addresses = set(re.findall(r"https?://[^\"'` ]+", SCRIPT.read_text()))
    # The name of a vocabulary, which nobody fetches.
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"\bfetch\(|XMLHttpRequest|sendBeacon|WebSocket|import\(", SCRIPT.read_text()
    )
