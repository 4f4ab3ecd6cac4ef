"""What a run says on the card of its codec."""

import pytest

from tfsq import codec, training
from tfsq.training import run_folder
from tfsq.training.cards import card_facts

SETTINGS = training.TrainingSettings(steps=6, batch_size=2, crop_size=64)


@pytest.fixture
def run(tmp_path):
    run_folder.write_settings(run_folder.identity(SETTINGS, [], 0, None), tmp_path)
    return tmp_path


def said(run, model_hash="a", **facts):
    return card_facts(SETTINGS, 4, run, model_hash, codec.CardFacts(**facts))


def test_a_run_that_nobody_spoke_of_says_what_it_knows(run):
    found = said(run)
    assert found.training == "4 of 6 steps, each on 2 crops of 64x64."
    assert found.settings["steps"] == 6
    assert found.data.startswith("Random crops of 0 files of digest ")
    assert "not recorded" in found.data
    assert found.license is found.title is found.figures is None
    assert not (run / "card.json").exists()


def test_what_was_said_is_said_again_until_it_is_replaced(run):
    said(run, license="mit", title="One")
    found = said(run, data="Photographs of mine.", title="Two")
    assert found == said(run)
    assert (found.license, found.title) == ("mit", "Two")
    before, mine = found.data.split("\n\n")
    assert before.startswith("Random crops of 0 files") and mine == "Photographs of mine."
    assert "not recorded" not in found.data


def test_figures_are_of_the_weights_that_they_were_said_of(run):
    assert said(run, "a", figures="1 bit per pixel.", license="mit").figures == "1 bit per pixel."
    assert said(run, "a", title="One").figures == "1 bit per pixel."
    assert said(run, "b").figures is None
    assert said(run, "b", data="Mine.").figures is None
    assert said(run, "b").license == "mit"
    assert said(run, "b", figures="2 bits per pixel.").figures == "2 bits per pixel."


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"color": 1}', '{"license": "MIT"}'])
def test_damaged_cards_are_refused_by_name(run, text):
    (run / "card.json").write_text(text)
    with pytest.raises(ValueError, match=r"card\.json is damaged: "):
        said(run, title="One")
    assert (run / "card.json").read_text() == text
