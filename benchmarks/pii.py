"""Personal data found, by kind: by form alone, with a model that Charter trained on made-up texts, and by presidio.

English: data set `presidio_synth` (1,500 made-up sentences with spans; microsoft/presidio-research). Chinese: the test part of
`synthetic_pii:zh`, whose templates, given names, streets and organisations the model never learned from; and real news (`msra_ner_dh`).
A span counts as found where start, end and kind agree; a character where it is of the kind. CHARTER_PEERS names the folder that
presidio-analyzer is installed in (pip install --target); without it that arm is left out. CHARTER_BENCH names a folder where the
two models are kept between calls.
"""

import gzip
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import Figures, data_folder, main, run_charter

HERE = Path(__file__).parent
SYNTH = {
    "PERSON": "PERSON", "STREET_ADDRESS": "ADDRESS", "ZIP_CODE": "ADDRESS", "GPE": "LOCATION", "ORGANIZATION": "ORGANIZATION",
    "CREDIT_CARD": "CARD", "PHONE_NUMBER": "PHONE", "EMAIL_ADDRESS": "EMAIL", "IBAN_CODE": "IBAN", "US_SSN": "SSN",
    "DOMAIN_NAME": "URL", "IP_ADDRESS": "IP_ADDRESS", "US_DRIVER_LICENSE": "US_DRIVER_LICENSE",
}  # fmt: skip
"""presidio_synth's types that are looked at -> our kinds. AGE, DATE_TIME, NRP and TITLE are no identifiers here."""
SAME = {"CN_MOBILE": "PHONE", "LANDLINE": "PHONE"}
WHERE = {"ADDRESS": "PLACE", "LOCATION": "PLACE"}
"""Where an address ends and a place begins is a matter of taste: characters of both are counted together too."""
MSRA = {"PER": "PERSON", "LOC": "LOCATION", "ORG": "ORGANIZATION"}
PRETRAINED_ON = 50_000
TIMED = 500

Span = tuple[int, int, str]
Found = Callable[[Sequence[str]], list[list[Span]]]


@dataclass(frozen=True)
class Texts:
    """Texts with the spans that are there, by our kinds."""

    name: str
    texts: Sequence[str]
    spans: Sequence[Sequence[Span]]


def presidio_synth(quick: bool) -> Texts:
    rows = json.loads(
        (data_folder() / "presidio_synth" / "synth_dataset_v2.json").read_text(encoding="utf-8")
    )
    rows = rows[:300] if quick else rows
    spans = [
        [
            (one["start_position"], one["end_position"], SYNTH[one["entity_type"]])
            for one in row["spans"]
            if one["entity_type"] in SYNTH
        ]
        for row in rows
    ]
    return Texts("presidio_synth", [row["full_text"] for row in rows], spans)


def made_up(locale: str, quick: bool) -> Texts:
    from charter.data.sources.synthetic_pii import marked_texts

    made = list(marked_texts(locale, "test", 300 if quick else 2_000, seed=99))
    return Texts(
        f"made_up_{locale}", [one.text for one in made], [[_same(span) for span in one.spans] for one in made]
    )


def msra() -> list[Texts]:
    """Sentences for pre-training without their labels, and others with them."""
    sentences: list[tuple[str, list[Span]]] = []
    signs: list[str] = []
    spans: list[list[object]] = []
    with gzip.open(data_folder() / "msra_ner_dh" / "dh_msra.txt.gz", "rt", encoding="utf-8") as stream:
        for line in stream:
            if line.strip():
                sign, tag = line.rstrip("\n").split("\t")
                if tag.startswith("B-"):
                    spans.append([len(signs), len(signs) + 1, MSRA[tag[2:]]])
                elif tag.startswith("I-") and spans:
                    spans[-1][1] = len(signs) + 1
                signs.append(sign)
            elif signs:
                sentences.append(("".join(signs), [(int(a), int(b), str(k)) for a, b, k in spans]))  # type: ignore[call-overload]
                signs, spans = [], []
    apart = sentences[:PRETRAINED_ON], sentences[-2_000:]
    return [Texts("msra", [text for text, _ in part], [found for _, found in part]) for part in apart]


def _same(span: Span) -> Span:
    return (span[0], span[1], SAME.get(span[2], span[2]))


def by_form_and(**options: object) -> Found:
    """What `mask_pii` with these options finds."""
    from charter.data.preparations.masking import Masker
    from charter.data.preparations.pii import masker_of

    masker: Masker = masker_of(urls=True, **options)
    return lambda texts: [
        [_same((one.start, one.end, one.name)) for one in each] for each in masker.found(texts)
    ]


def presidio_alone(language: str) -> Found | None:
    """Presidio's own answers, without a spaCy model: no registry package holds one."""
    peers = os.environ.get("CHARTER_PEERS")
    if not peers:
        return None
    sys.path.append(peers)
    from charter.data.presidio import presidio

    found = presidio(language=language, labels={"URL": "URL"}, threshold=0.0)
    return lambda texts: [
        [_same((one.start, one.end, one.kind)) for one in each] for each in found.detect(texts)
    ]


def models(place: Path, news: Texts | None) -> dict[str, Path]:
    """The bundles of the two charters, made unless they lie there already."""
    found = {}
    for name, path in (
        ("en", HERE.parent / "examples" / "pii-en.yaml"),
        ("zh", HERE / "charters" / "pii_zh.yaml"),
    ):
        if name == "zh" and news is None:
            continue
        bundle = place / name / "release" / f"pii-{name}"
        if not bundle.is_dir():
            (place / name).mkdir(parents=True, exist_ok=True)
            if name == "zh" and news is not None:
                lines = [json.dumps({"text": text}, ensure_ascii=False) for text in news.texts]
                (place / name / "zh.jsonl").write_text("\n".join(lines), encoding="utf-8")
            text = path.read_text(encoding="utf-8").replace("${WORK}", str(place / name))
            begun = time.process_time()
            run_charter(text, place / name)
            print(f"{bundle.name}: {time.process_time() - begun:.0f} CPU-seconds")
        found[name] = bundle
    return found


def scores(data: Texts, found: Sequence[Sequence[Span]]) -> dict[str, dict[str, float]]:
    """By kind: n, span precision and recall, character precision and recall, share of characters masked as anything."""
    counts: dict[str, Counter[str]] = {}

    def of(kind: str) -> Counter[str]:
        return counts.setdefault(kind, Counter())

    for text, true, told in zip(data.texts, data.spans, found, strict=True):
        for kind in {span[2] for span in (*true, *told)}:
            of(kind).update({
                "true": sum(span[2] == kind for span in true),
                "told": sum(span[2] == kind for span in told),
                "right": len({span for span in true if span[2] == kind} & set(told)),
            })  # fmt: skip
        marks, answers = _signs(text, true), _signs(text, told)
        for mark, answer in zip(marks, answers, strict=True):
            for kind in {mark, answer, WHERE.get(mark, ""), WHERE.get(answer, ""), "ANY"} - {""}:
                is_true = kind in (mark, WHERE.get(mark)) or (kind == "ANY" and mark != "")
                is_told = kind in (answer, WHERE.get(answer)) or (kind == "ANY" and answer != "")
                one = of(kind)
                one["signs"] += is_true
                one["signs told"] += is_told
                one["signs right"] += is_true and is_told
                one["signs masked"] += is_true and answer != ""
    return {kind: _shares(one) for kind, one in sorted(counts.items())}


def _signs(text: str, spans: Sequence[Span]) -> list[str]:
    marks = [""] * len(text)
    for start, end, kind in spans:
        for place in range(start, end):
            if not text[place].isspace():
                marks[place] = kind
    return marks


def _shares(one: Mapping[str, int]) -> dict[str, float]:
    def share(part: str, whole: str) -> float:
        return one.get(part, 0) / one[whole] if one.get(whole) else float("nan")

    return {
        "n": float(one.get("true", 0)),
        "span_precision": share("right", "told"),
        "span_recall": share("right", "true"),
        "precision": share("signs right", "signs told"),
        "recall": share("signs right", "signs"),
        "masked": share("signs masked", "signs"),
    }


def compared(data: Texts, arms: Mapping[str, Found | None]) -> dict[str, float]:
    """Every arm's scores on all texts, and how many it reads in a CPU-second: the first TIMED, the fastest of three, in turns."""
    figures: dict[str, float] = {}
    present = {name: arm for name, arm in arms.items() if arm is not None}
    found = {name: arm(data.texts) for name, arm in present.items()}
    times: dict[str, list[float]] = {name: [] for name in present}
    for _ in range(3):
        for name, arm in present.items():
            begun = time.process_time()
            arm(data.texts[:TIMED])
            times[name].append(time.process_time() - begun)
    for name in present:
        figures[f"{data.name}_{name}_docs_per_second"] = min(len(data.texts), TIMED) / min(times[name])
        for kind, told in scores(data, found[name]).items():
            if told["n"] or kind in ("PLACE", "ANY"):
                figures |= {
                    f"{data.name}_{name}_{kind}_{key}": value for key, value in told.items() if value == value
                }
    return figures


def nearest_template(data: Texts) -> float:
    """How alike, at most, a sentence of the data set is to a template that the model learned from, slots aside (0 to 1).

    Jaccard similarity of words; what is said of the model is no memory as long as this is low.
    """
    from charter.data.synthetic import english_templates

    def words(text: str) -> frozenset[str]:
        return frozenset("".join(sign if sign.isalnum() else " " for sign in text.lower()).split())

    import re

    learned = [words(re.sub(r"\{\w+\}", " ", one)) for one in english_templates.TRAIN]
    nearest = 0.0
    for text, spans in zip(data.texts, data.spans, strict=True):
        marks = _signs(text, spans)
        rest = words("".join(sign if not mark else " " for sign, mark in zip(text, marks, strict=True)))
        if len(rest) >= 4:
            nearest = max(nearest, *(len(rest & one) / len(rest | one) for one in learned))
    return nearest


def measure(quick: bool) -> Figures:
    place = Path(os.environ.get("CHARTER_BENCH") or tempfile.mkdtemp(prefix="charter-pii-"))
    apart, news = msra()
    bundles = models(place, None if quick else apart)
    english = presidio_synth(quick)
    plain = by_form_and()
    with_en = by_form_and(model=str(bundles["en"]))
    figures: dict[str, float] = {"presidio_synth_nearest_template": nearest_template(english)}
    arms = {"form": plain, "model": with_en, "presidio": presidio_alone("en")}
    figures |= compared(english, arms)
    figures |= compared(made_up("en", quick), {"model": with_en})
    if "zh" in bundles:
        with_zh = by_form_and(model=str(bundles["zh"]))
        figures |= compared(
            made_up("zh", quick), {"form": plain, "model": with_zh, "presidio": presidio_alone("zh")}
        )
        figures |= compared(news, {"model": with_zh})
    return figures


if __name__ == "__main__":
    main(measure, __doc__.splitlines()[0])
