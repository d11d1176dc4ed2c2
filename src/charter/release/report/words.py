"""Every word of the page and the terminal's summary in English and Chinese; a test holds both to the same keys and placeholders."""

from collections.abc import Mapping
from typing import Literal

from charter.release.report import (
    claims_words,
    comparison_words,
    continual_words,
    fairness_words,
    ledger_words,
    privacy_words,
    sweep_words,
)
from charter.release.report.chinese import CHINESE
from charter.release.report.english import ENGLISH

Language = Literal["en", "zh"]

WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        **ENGLISH,
        **comparison_words.ENGLISH,
        **continual_words.ENGLISH,
        **ledger_words.ENGLISH,
        **privacy_words.ENGLISH,
        **claims_words.ENGLISH,
        **fairness_words.ENGLISH,
        **sweep_words.ENGLISH,
    },
    "zh": {
        **CHINESE,
        **comparison_words.CHINESE,
        **continual_words.CHINESE,
        **ledger_words.CHINESE,
        **privacy_words.CHINESE,
        **claims_words.CHINESE,
        **fairness_words.CHINESE,
        **sweep_words.CHINESE,
    },
}
