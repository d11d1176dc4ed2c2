"""Microsoft's presidio as a detector of personal data, for `{use: mask_pii, engine: presidio}`."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import Field

from charter.data.detecting import Detected, Detector, Labels
from charter.errors import MissingExtraError, OptionError
from charter.runs.digest import value_digest

Names = Annotated[str, Field(min_length=1)]
KINDS: Labels = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "CREDIT_CARD": "CARD",
    "IBAN_CODE": "IBAN",
    "US_SSN": "SSN",
    "URL": None,
    "DATE_TIME": None,
    "NRP": None,
}
"""What presidio calls things -> the kind here; None: it stays, unless `labels` says otherwise. All others keep their name."""


def presidio(
    *,
    model: Annotated[
        Names | None,
        Field(
            description="an installed spaCy model, such as en_core_web_lg; default: none, so no names or places"
        ),
    ] = None,
    language: Annotated[Names, Field(description="the language of the texts")] = "en",
    labels: Annotated[
        dict[Names, Names | None],
        Field(description="what presidio calls things -> the kind shown; null: it stays"),
    ] = {},  # noqa: B006  (never changed)
    threshold: Annotated[float, Field(ge=0, le=1, description="presidio's least score")] = 0.5,
) -> Detector:
    """What presidio's recognisers find: patterns, and with a spaCy model names and places. `pip install "charter[presidio]"`.

    A spaCy model is never fetched: it must be installed. Without one a blank pipeline splits texts into words, and what
    presidio takes from a model (PERSON, LOCATION, ORGANIZATION, NRP) is not found. Web addresses, dates and nationalities stay.
    """

    def kind_of(entity: str) -> str | None:
        return labels[entity] if entity in labels else KINDS.get(entity, entity)

    def detect(texts: Sequence[str]) -> list[list[Detected]]:
        return [_found(_engine(model, language), text, language, threshold, kind_of) for text in texts]

    def kinds() -> frozenset[str]:
        told = (kind_of(one) for one in _engine(model, language).get_supported_entities(language=language))
        return frozenset(kind for kind in told if kind is not None)

    return Detector(detect, kinds, lambda: value_digest(_versions(model)))


def _found(engine: Any, text: str, language: str, threshold: float, kind_of: Any) -> list[Detected]:
    found: list[Detected] = []
    results = engine.analyze(text=text, language=language, score_threshold=threshold)
    for one in sorted(results, key=lambda each: (-each.score, each.start - each.end)):
        kind = kind_of(one.entity_type)
        free = all(one.end <= other.start or one.start >= other.end for other in found)
        if kind is not None and free:
            found.append(Detected(one.start, one.end, kind))
    return sorted(found)


@cache
def _engine(model: str | None, language: str) -> Any:
    try:
        import spacy
        import tldextract
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ImportError:
        raise MissingExtraError("preparation 'mask_pii', engine presidio", "presidio") from None
    if model is not None and not spacy.util.is_package(model):
        raise OptionError(
            f"preparation 'mask_pii', engine presidio: the spaCy model '{model}' is not installed here, and none is fetched; "
            "install its wheel, or leave engine_model out to look for patterns only"
        )
    # It would fetch the newest list of domain endings when it is first used, and write it into the user's home.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    words = SpacyNlpEngine(models=[{"lang_code": language, "model_name": model or "blank"}])
    words.nlp = {language: spacy.load(model) if model is not None else spacy.blank(language)}
    registry = RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language], nlp_engine=words)
    return AnalyzerEngine(registry=registry, nlp_engine=words, supported_languages=[language])


def _versions(model: str | None) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        told = {name: version(name) for name in ("presidio-analyzer", "spacy")}
        return {**told, "model": f"{model} {version(model)}" if model is not None else "none"}
    except PackageNotFoundError as error:
        if error.name == model:
            raise OptionError(
                f"preparation 'mask_pii', engine presidio: the spaCy model '{model}' is not installed here, and none is fetched; "
                "install its wheel, or leave engine_model out to look for patterns only"
            ) from None
        raise MissingExtraError("preparation 'mask_pii', engine presidio", "presidio") from None
