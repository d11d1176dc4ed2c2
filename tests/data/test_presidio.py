"""presidio as an engine of mask_pii: what it calls things is ours, nothing is fetched, and what is missing is said."""

import importlib.util

import pytest

from charter.data.preparations.pii import masker_of
from charter.errors import MissingExtraError, OptionError

INSTALLED = importlib.util.find_spec("presidio_analyzer") is not None


@pytest.mark.skipif(INSTALLED, reason="presidio is installed")
def test_without_presidio_the_command_that_installs_it_is_said():
    with pytest.raises(MissingExtraError, match=r'pip install "charter\[presidio\]"'):
        masker_of(engine="presidio")


@pytest.mark.skipif(not INSTALLED, reason="presidio is not installed")
def test_presidio_finds_beside_forms_and_its_names_are_ours():
    masker = masker_of(engine="presidio")
    texts = ["write ann@x.org from 203.0.113.7", "nothing here"]
    found = [
        [(one.name, text[one.start : one.end]) for one in each]
        for text, each in zip(texts, masker.found(texts), strict=True)
    ]
    assert found == [[("EMAIL", "ann@x.org"), ("IP_ADDRESS", "203.0.113.7")], []]
    stays = masker_of(engine="presidio", labels={"IP_ADDRESS": None})
    assert [one.name for one in stays.found(texts)[0]] == ["EMAIL"]


@pytest.mark.skipif(not INSTALLED, reason="presidio is not installed")
def test_a_spacy_model_that_is_not_installed_is_never_fetched():
    with pytest.raises(OptionError, match="is not installed here, and none is fetched"):
        masker_of(engine="presidio", engine_model="en_core_web_none")
