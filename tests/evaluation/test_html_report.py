import base64
import dataclasses
import io
import json
import re
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests import browser
from tests.photographs import photograph
from tfsq.evaluation import REFERENCES, Curve, Decoding, HtmlReport, Measurement, figures_of
from tfsq.evaluation import html_report as module

pytest.importorskip("plotly")
NAMES = ("a.png", "b <b>.png", "</script>\udcff.png")


def jpeg_as_model(image, name, quality):
    """What a model would give that is JPEG at a quality."""
    jpeg = REFERENCES["jpeg"].at(quality)
    data = jpeg.compress(image)
    decoded = jpeg.decompress(data)
    f = figures_of(image, data, decoded)
    return Decoding(
        Measurement(name, "model", quality, f.bpp, f.psnr, f.ms_ssim), len(data), decoded
    )


def reference_measurements(image, name, ladder=(10, 40, 80)):
    found = []
    for quality in ladder:
        data = REFERENCES["webp"].at(quality).compress(image)
        f = figures_of(image, data, REFERENCES["webp"].at(quality).decompress(data))
        found.append(Measurement(name, "webp", quality, f.bpp, f.psnr, f.ms_ssim))
    return found


@pytest.fixture(scope="module")
def images():
    return {name: photograph()[: 170 + 8 * i, : 240 + i] for i, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def decodings(images):
    return {n: [jpeg_as_model(i, n, q) for q in (80, 5, 30, 50)] for n, i in images.items()}


@pytest.fixture(scope="module")
def written(images, decodings, tmp_path_factory):
    report = HtmlReport(len(images), ["webp"])
    measured, of_webp = [], []
    for name, image in images.items():
        webp = reference_measurements(image, name)
        report.add(image, decodings[name], webp)
        measured += [decoding.measurement for decoding in decodings[name]]
        of_webp += webp
    path = tmp_path_factory.mktemp("report") / "report.html"
    report.write([Curve("tfsq", tuple(measured)), Curve("webp", tuple(of_webp))], path)
    return path


@pytest.fixture(scope="module")
def data(written):
    text = written.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def pixels(url):
    kind, text = url.split(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_measurements_and_means_are_those_of_the_curves(data, decodings):
    model, webp = data["curves"]
    assert (model["is_model"], webp["is_model"]) == (True, False)
    expected = [dataclasses.asdict(d.measurement) for name in NAMES for d in decodings[name]]
    assert model["measurements"] == expected
    rates = [row["bpp"] for row in model["means"]]
    assert rates == sorted(rates)
    assert len(rates) == 4
    assert {row["codec"] for row in webp["measurements"]} == {"WebP"}


def test_pictures_are_what_was_decoded_pixel_by_pixel(data, images, decodings):
    for entry in data["images"]:
        image, crop = images[entry["file"]], entry["crop"]
        where = np.s_[
            crop["top"] : crop["top"] + crop["height"], crop["left"] : crop["left"] + crop["width"]
        ]
        assert np.array_equal(pixels(entry["original"]), image[where])
        # The lowest rate, the middle and the highest.
        by_rate = sorted(decodings[entry["file"]], key=lambda d: d.file_bytes)
        assert len(entry["pictures"]) == 3
        for picture, decoding in zip(entry["pictures"], (by_rate[0], by_rate[2], by_rate[3])):
            model, webp = picture["sides"]
            assert np.array_equal(pixels(model["picture"]), decoding.image[where])
            assert model["bytes"] == decoding.file_bytes
            assert model["psnr"] == pytest.approx(decoding.measurement.psnr)
            # At the setting that has as many bytes, or the lowest.
            at, file = REFERENCES["webp"].of_size(image, decoding.file_bytes)
            assert webp["bytes"] == len(file)
            assert webp["label"] == f"WebP, {at.quality}"
            assert np.array_equal(pixels(webp["picture"]), at.decompress(file)[where])


def test_the_crop_is_where_most_of_the_error_is():
    image = np.zeros([100, 120, 3], np.uint8)
    decoded = image.copy()
    decoded[50:60, 70:75] = 90
    crop = module._Crop.with_most_error(image, decoded, 32)
    assert (crop.height, crop.width) == (32, 32)
    assert np.square(crop.of(decoded).astype(float)).sum() == 90**2 * 150
    whole = module._Crop.with_most_error(image, decoded, 512)
    assert dataclasses.astuple(whole) == (0, 0, 100, 120)


def test_names_of_files_end_no_element(written, data):
    text = written.read_text(encoding="utf-8")
    assert [entry["file"] for entry in data["images"]] == list(NAMES)
    assert "</script>\\udcff" not in text
    assert "b <b>.png" not in text


@pytest.mark.slow
def test_pictures_are_small_where_there_are_many_and_end_where_there_are_too_many(monkeypatch):
    sides = [HtmlReport(n, ["webp", "jpeg"])._side for n in (1, 12, 40, 10_000)]
    assert sides[0] == 512
    assert sides == sorted(sides, reverse=True)
    assert sides[-1] == 160
    # Noise takes most.
    noise = np.random.default_rng(0).integers(0, 256, [300, 300, 3], np.uint8)
    monkeypatch.setattr(module, "_MOST_BYTES", 2_000_000)
    report = HtmlReport(20)
    found = jpeg_as_model(noise, "noise", 50)
    for _ in range(20):
        report.add(noise, [found], [])
    assert 0 < sum(bool(entry["pictures"]) for entry in report._images) < 20
    # At most by the pictures of one image.
    assert report._bytes < 2_000_000 + 2 * 4 * 160**2 * 2


def test_files_that_are_exact_have_no_psnr(tmp_path):
    image = photograph()[:20, :30]
    exact = Decoding(Measurement("a", "model", 1.0, 24.0, np.inf, None), 1800, image)
    report = HtmlReport(1)
    report.add(image, [exact], [])
    report.write([Curve("tfsq", (exact.measurement,))], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert found["images"][0]["pictures"][0]["sides"][0]["psnr"] is None
    assert "Infinity" not in text[text.index('id="data">') :][:5000]


def test_plotly_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ImportError, match=r"HTML reports need plotly: pip install"):
        HtmlReport(1)


@pytest.mark.slow  # A browser.
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_works_in_a_browser(width, written, tmp_path):
    with browser.page(tmp_path / "browser") as page:
        # The quickest of some, since others may use the machine.
        times = [page.open(written.as_uri(), width, mobile=width < 500) for _ in range(4)]
        assert min(times) < 3.0
        began = time.monotonic()
        # Curves come when the rest is there to be looked at.
        page.run(
            "(async () => { while (!document.querySelector('#chart .scatterlayer .trace')) "
            "await new Promise((done) => setTimeout(done, 20)); })()"
        )
        assert time.monotonic() - began < 10.0
        assert page.run("document.documentElement.scrollWidth") <= width
        assert page.run("document.querySelectorAll('#chart .scatterlayer .trace').length") >= 3
        names = "[...document.querySelectorAll('#image option')].map((o) => o.textContent)"
        assert page.run(names)[:2] == list(NAMES[:2])
        # Every picture of every image can be seen.
        loaded = (
            "(async () => { let count = 0; for (const image of data.images) "
            "for (const url of [image.original, image.overview, ...image.pictures.flatMap("
            "(p) => p.sides.map((s) => s.picture))]) { const picture = new Image(); "
            "picture.src = url; await picture.decode(); count += picture.width > 0; } "
            "return count; })()"
        )
        assert page.run(loaded) == 3 * (2 + 3 * 2)
        # The border moves by key, slider and finger.
        border = "document.getElementById('border').style.left"
        assert page.run(border) == "50%"
        page.run("document.getElementById('stage').focus()")
        page.key("ArrowRight")
        assert page.run(border) == "52%"
        page.run(
            "{ const slider = document.getElementById('slider'); slider.value = 10; "
            "slider.dispatchEvent(new Event('input')); }"
        )
        assert page.run(border) == "10%"
        clip = page.run("document.getElementById('left-picture').style.clipPath")
        assert "90%" in clip
        # Errors, another image, and an order of the table.
        choose = "document.getElementById('{}').value = '{}'; "
        change = "document.getElementById('{}').dispatchEvent(new Event('change')); "
        page.run(choose.format("mode", "left-error") + change.format("mode") + "0")
        page.run("new Promise((done) => setTimeout(done, 300))")
        lit = (
            "(() => { const c = document.getElementById('error'); const d = c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data; return d.filter((v, i) => i % 4 < 3)"
            ".reduce((a, b) => a + b, 0); })()"
        )
        assert page.run(lit) > 0
        page.run("document.querySelectorAll('#heads button')[4].click()")
        column = "[...document.querySelectorAll('#rows tr')].map((r) => +r.children[4].textContent)"
        assert page.run(column) == sorted(page.run(column))
        page.run("document.querySelectorAll('#rows button')[0].click()")
        assert page.run("document.getElementById('image').value") != ""
        assert page.complaints == []
        assert [url for url in page.requests if not url.startswith("file:")] == []
