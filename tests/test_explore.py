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
import shutil
import subprocess
import sys
import threading

import pytest

from tfsq import analysis, layers
from tfsq.analysis.report import LOSS

ROOT = pathlib.Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "javascripts" / "explore.js"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
FORMS = ("dithered", "additive", "rounding")
GRADIENTS = ("straight_through", "expected")
GRID = list(itertools.product(FORMS, GRADIENTS, (1.0, 0.3, 0.05, 0.01), (0.05, 0.2, 0.5, 2.0)))
# Written into the page where it is served: errors, and what was asked for, as text of the document.
RECORDER = """<script>
const found = { errors: [], drawn: 0 };
const failed = (e) => found.errors.push(`${e.message} ${e.filename || e.target.src}`);
addEventListener("error", failed, true);
addEventListener("unhandledrejection", (e) => found.errors.push(String(e.reason)));
const told = console.error;
console.error = (...words) => { found.errors.push(words.join(" ")); told(...words); };
addEventListener("load", () => setTimeout(() => {
  const set = (name, value) => {
    const input = document.getElementById(`explore-${name}`);
    input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };
  found.before = document.querySelector("[data-now=toRounding]").textContent;
  set("temperature", 0);
  setTimeout(() => {
    found.after = document.querySelector("[data-now=toRounding]").textContent;
    found.shown = document.querySelector("output[for=explore-temperature]").textContent;
    found.drawn = document.querySelectorAll("#explore svg .curve").length;
    found.asked = performance.getEntriesByType("resource").map((e) => [e.initiatorType, e.name]);
    found.wide = document.documentElement.scrollWidth - innerWidth;
    const result = document.createElement("pre");
    result.id = "result";
    result.textContent = JSON.stringify(found);
    document.body.append(result);
  }, 500);
}, 500));
</script>"""


def in_a_browser(test):
    """Marks a test that needs one, and a documentation to build."""
    missing = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
    return pytest.mark.slow(missing(test))


def dumped(address, tmp_path, *options):
    """What a page without network writes into its element "result"."""
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
    ]
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    command += [nowhere, "--virtual-time-budget=10000", *options, "--dump-dom", address]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    text = re.search(r'<pre id="result">(.*?)</pre>', found, re.DOTALL)
    assert text, found[-2000:]
    return json.loads(text[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


@pytest.fixture(scope="module")
def in_browser(tmp_path_factory):
    """The page's numbers, by setting."""
    folder = tmp_path_factory.mktemp("browser")
    names = ("form", "gradient", "temperature", "scale")
    settings = json.dumps([dict(zip(names, setting)) for setting in GRID])
    page = folder / "page.html"
    page.write_text(
        f"<body><script>{SCRIPT.read_text()}</script><script>"
        'const result = document.createElement("pre"); result.id = "result";'
        f"result.textContent = JSON.stringify({settings}.map(tfsqExplore.measure));"
        "document.body.append(result);</script></body>"
    )
    return dict(zip(GRID, dumped(page.as_uri(), folder / "profile")))


@in_a_browser
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


class Serving(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, pages with the recorder in front."""

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        page = pathlib.Path(self.translate_path(self.path)) / "index.html"
        if not page.is_file():
            super().do_GET()
            return
        body = page.read_text().replace("<head>", "<head>" + RECORDER, 1).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def served(folder):
    handler = functools.partial(Serving, directory=folder)
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


@in_a_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_page_draws_without_errors_and_asks_nobody(site, width, tmp_path):
    with served(site) as address:
        found = dumped(f"{address}/explore/", tmp_path, f"--window-size={width},1600")
    # Of formulas, which this page can do without: no name is resolved here.
    formulas = "https://cdn.jsdelivr.net/npm/mathjax"
    # That one error says that errors are seen.
    assert any(formulas in error for error in found["errors"])
    assert [error for error in found["errors"] if formulas not in error] == []
    strangers = [name for _, name in found["asked"] if not name.startswith(address)]
    assert all(name.startswith(formulas) for name in strangers)
    # Material fetches its search, and this page nothing.
    kinds = ("fetch", "xmlhttprequest", "beacon", "other")
    fetched = [name for kind, name in found["asked"] if kind in kinds]
    assert not [name for name in fetched if "search" not in name and "favicon" not in name]
    # One curve in each of two panels, two in the others.
    assert found["drawn"] == 6
    # The slider holds a logarithm.
    assert found["shown"] == "1"
    assert (found["before"], found["after"]) == ("0.0677", "0.1669")
    assert found["wide"] <= 0


def test_script_names_no_address():
    addresses = set(re.findall(r"https?://[^\"'` ]+", SCRIPT.read_text()))
    # The name of a vocabulary, which nobody fetches.
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"\bfetch\(|XMLHttpRequest|sendBeacon|WebSocket|import\(", SCRIPT.read_text()
    )
