import json
import re
import shutil

import pytest

from tests.photographs import photograph
from tfsq import codec
from tfsq.codec import shipped

SECTIONS = ["Use", "What it is", "Limits", "Training", "Data", "Figures", "Terms"]
FACTS = codec.CardFacts(
    title="Mine",
    license="cc0-1.0",
    datasets=("someone/photographs",),
    data="Photographs of mine.",
    training="A night.",
    settings={"steps": 7},
    figures="1 bit per pixel.",
)


@pytest.fixture
def mine(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "my codec")


def metadata_of(card):
    yaml = pytest.importorskip("yaml")
    _, header, _ = card.split("---\n", 2)
    return yaml.safe_load(header)


def test_card_has_metadata_and_sections(mine):
    card = codec.model_card(mine, FACTS)
    found = metadata_of(card)
    assert found["library_name"] == "tfsq"
    assert found["license"] == "cc0-1.0"
    assert found["datasets"] == ["someone/photographs"]
    assert "image-compression" in found["tags"]
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == SECTIONS
    for text in ("# Mine\n", "A night.", '"steps": 7', "Photographs of mine.", "1 bit per pixel."):
        assert text in card
    metadata = json.loads((mine / "tfsq.json").read_text())
    assert metadata["model_hash"] in card
    assert f"| lambda | {metadata['lmbda']:g} |" in card


def test_card_says_what_is_not_recorded(mine):
    card = codec.model_card(mine)
    assert not {"license", "datasets"} & set(metadata_of(card))
    assert card.count("not recorded") == 2
    assert "No license is recorded" in card
    assert "None are recorded" in card
    assert "None |" not in card
    assert card.startswith("---\n")
    assert "# my codec\n" in card


@pytest.mark.slow
def test_lines_of_the_card_run(mine, loaded, monkeypatch):
    codec.write_image(photograph()[:40, :50], mine.parent / "photo.png")
    monkeypatch.chdir(mine.parent)
    card = codec.model_card(mine)
    namespace = {}
    exec(re.search(r"```python\n(.*?)```", card, re.DOTALL)[1], namespace)
    assert namespace["pixels"].shape == (40, 50, 3)
    assert "tfsq decompress photo.tfsq decoded.png --model 'my codec'" in card


def test_card_that_was_edited_is_kept(mine):
    file = mine / codec.CARD_FILE
    assert codec.write_model_card(mine)
    assert codec.write_model_card(mine, FACTS)
    written = file.read_text()
    assert written == codec.model_card(mine, FACTS)
    file.write_text(written.replace("A night.", "Two nights."))
    assert not codec.write_model_card(mine)
    assert "Two nights." in file.read_text()
    file.write_text("a card")
    assert not codec.write_model_card(mine)
    assert file.read_text() == "a card"


def test_card_changes_neither_codec_nor_sums(mine, loaded):
    before = shipped.sums_of(mine)
    codec.write_model_card(mine)
    assert shipped.sums_of(mine) == before
    assert codec.load(mine).model_id == loaded.model_id


def test_card_of_many_rates_names_its_qualities(mine):
    file = mine / "tfsq.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "lmbdas": [0.002, 0.01, 0.05]}))
    card = codec.model_card(mine)
    assert "| lambda | 0.002, 0.01, 0.05 |" in card
    assert "`--quality 1` to `--quality 3`" in card


@pytest.mark.parametrize("text", [None, "not json", "{}", "[]"])
def test_folder_that_is_no_codec_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "tfsq.json").write_text(text)
    with pytest.raises(codec.ModelError, match="Not a codec exported by tfsq"):
        codec.write_model_card(tmp_path)
    assert not (tmp_path / codec.CARD_FILE).exists()


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ({"title": " "}, "`title` must not be empty. Received: ' '"),
        ({"data": ""}, "`data` must not be empty. Received: ''"),
        ({"title": "a\nb"}, "`title` must be one line. Received: 'a\\nb'"),
        ({"license": "MIT"}, "such as 'apache-2.0'. Received: 'MIT'"),
        ({"license": "of mine"}, "such as 'apache-2.0'. Received: 'of mine'"),
    ],
)
def test_facts_that_a_card_cannot_say_are_refused(fact, message):
    with pytest.raises(ValueError) as error:
        codec.CardFacts(**fact)
    assert message in str(error.value)


def test_license_without_a_text_is_left_to_the_publisher(mine):
    card = codec.model_card(mine, codec.CardFacts(license="other"))
    assert metadata_of(card)["license"] == "other"
    assert "No license is recorded" in card
