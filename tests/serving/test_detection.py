"""A released bundle masks what it learned to find: in texts of any length, in words, by kinds that its labels mean."""

import json
import random
from collections import Counter

import polars as pl
import pytest

from charter.data.columns import PLACE, ROW, Columns
from charter.data.passes import prepare
from charter.data.preparation import prepare_again
from charter.data.preparations.pii import mask_pii
from charter.errors import OptionError
from charter.pipeline import run
from charter.spec.use import Use

NAMES, PLACES = ("great", "lovely", "kind", "warm"), ("awful", "rude", "cold", "dirty")
OTHERS = ("the", "was", "very", "and", "today", "again", "we", "found", "room", "crew", "meal", "desk")
CHARTER = """\
name: names
data: {{source: names.jsonl, inputs: {{text: text}}, target: spans, public: true, prepare: []}}
model: {{base: "{base}", max_length: 32}}
task: {{use: token_classification}}
training: {{epochs: 4, batch_size: 8, learning_rate: 5.0e-3}}
audits: [{{use: performance, resamples: 100}}]
limits: [micro_f1 >= 0.5]
"""


def sentence(rng):
    words = [rng.choice(OTHERS) for _ in range(rng.randint(5, 9))]
    words[rng.randrange(len(words))] = rng.choice(NAMES)
    words[rng.randrange(len(words))] = rng.choice(PLACES)
    return words


def marked(words):
    spans, at = [], 0
    for word in words:
        if word in NAMES + PLACES:
            label = "PER" if word in NAMES else "TOWN"
            spans.append({"start": at, "end": at + len(word), "label": label})
        at += len(word) + 1
    return {"text": " ".join(words), "spans": spans}


@pytest.fixture(scope="module")
def released(tiny_bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    rng = random.Random(5)
    rows = [json.dumps(marked(sentence(rng))) for _ in range(240)]
    (folder / "names.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (folder / "charter.yaml").write_text(CHARTER.format(base=tiny_bert), encoding="utf-8")
    return run(folder / "charter.yaml").bundle


def frame(cells):
    rows = {ROW: range(1, len(cells) + 1), PLACE: [f"row {i}" for i in range(len(cells))], "text": cells}
    return pl.DataFrame({**rows, "label": ["a"] * len(cells)}, schema_overrides={ROW: pl.Int64})


def prepared(cells, bundle, **options):
    uses = [Use(use="mask_pii", model=str(bundle), **{"labels": {"TOWN": "ADDRESS"}, **options})]
    return prepare(frame(cells), Columns({"text": "text"}, "label"), uses)


def masked(text, bundle, **options):
    return prepared([text], bundle, **options).frame["text"][0]


def test_what_the_model_finds_is_masked_beside_what_forms_tell(released):
    out = prepared(
        ["the crew was kind and found cold meal", "we was great a@b.com", "the desk", "[PERSON] was very"],
        released,
    )
    assert out.frame["text"].to_list() == [
        "the crew was [PERSON] and found [ADDRESS] meal",
        "we was [PERSON] [EMAIL]",
        "the desk",
        "[PERSON] was very",
    ]
    assert dict(out.counts)["mask_pii"] == {"masked.ADDRESS": 1, "masked.EMAIL": 1, "masked.PERSON": 2}


def test_long_texts_are_read_to_their_end(released):
    rng = random.Random(8)
    words = [word for _ in range(60) for word in sentence(rng)]
    out = masked(" ".join(words), released)
    left = Counter(word for word in out.split(" ") if word in NAMES)
    told = sum(word in NAMES for word in words)
    assert out.count("[PERSON]") > 0.9 * told and sum(left.values()) < 0.1 * told
    assert "[PERSON]" in out[-100:]


def test_words_keep_their_number(released):
    words = ["the", "crew", "was", "kind", "and", "a@b.com"]
    assert prepared([words], released).frame["text"].to_list() == [
        ["the", "crew", "was", "[PERSON]", "and", "[EMAIL]"]
    ]


def test_labels_say_what_is_masked_and_an_unknown_one_is_refused(released):
    text = "the crew was kind and found cold meal"
    assert masked(text, released, labels={"TOWN": None}) == "the crew was [PERSON] and found cold meal"
    assert masked(text, released, threshold=1.0) == text
    with pytest.raises(OptionError, match=r"Say what TOWN is"):
        masked(text, released, labels={})
    with pytest.raises(OptionError, match=r"names 'CITY', which the model"):
        masked(text, released, labels={"TOWN": None, "CITY": "ADDRESS"})
    with pytest.raises(OptionError, match="no bundle at"):
        masked(text, released.parent / "nowhere")


def test_new_rows_are_masked_as_the_old_ones_were(released):
    uses = [Use(use="mask_pii", model=str(released), labels={"TOWN": None})]
    again = prepare_again(frame(["we found it kind"]), Columns({"text": "text"}), uses, follow=True)
    assert again.frame["text"].to_list() == ["we found it [PERSON]"]
    assert again.chains[1][0][0].text == "[PERSON]"


def test_another_model_is_another_artefact(released):
    digest = mask_pii(model=str(released)).digest
    assert digest is not None and mask_pii().digest is None
    assert digest(Columns({"text": "text"})) == mask_pii(model=str(released)).digest(
        Columns({"text": "text"})
    )


def test_what_may_remain_is_estimated_from_the_models_own_evidence(released, tmp_path):
    from charter.data.preparations.pii import mask_pii
    from charter.runs.findings import read_findings

    one = mask_pii(model=str(released), labels={"TOWN": "ADDRESS"})
    told = {each.slice["type"]: each for each in one.summed({"masked.PERSON": 100})}
    recall = next(
        each
        for each in read_findings(released / "charter" / "findings.jsonl")
        if each.metric == "recall" and each.slice == {"class": "PER"}
    )
    if recall.value == 1:
        assert told["PERSON"].value is None and "does not show that none remains" in told["PERSON"].because
    else:
        assert told["PERSON"].value == pytest.approx(100 * (1 - recall.value) / recall.value)
        assert told["PERSON"].low <= told["PERSON"].value < told["PERSON"].high
    assert told["ADDRESS"].value is None and "nothing of this kind was found" in told["ADDRESS"].because


def test_a_detector_without_evidence_leaves_no_estimate():
    from charter.data.detecting import Detector, Recall
    from charter.data.preparations.pii import remaining

    def told(recalls):
        detector = Detector(list, lambda: frozenset({"PERSON"}), lambda: "", lambda: recalls, "m")
        return remaining(detector, {"masked.PERSON": 90})[0]

    assert told({}).value is None
    assert told({"PERSON": Recall(1.0, 0.9, 1.0, 0.95)}).value is None
    half = told({"PERSON": Recall(0.9, 0.75, 0.95, 0.95)})
    assert (half.value, half.high) == (pytest.approx(10.0), pytest.approx(30.0)) and half.low > 0


CHINESE = "酒店房间很好，服务态度很差，一二三不了的是。"


@pytest.fixture(scope="module")
def english(released):
    from charter.plugins import make

    return make("detector", "bundle", {"path": str(released), "labels": {"TOWN": "ADDRESS"}})


def test_texts_of_another_script_than_a_model_learned_from_are_counted(english):
    # its tokenizer knows these characters, but it never learned from any
    assert english.unread([CHINESE]) == 1
    assert english.unread(["the crew was kind and found cold meal", "好的", "12 34"]) == 0
    # unknown tokens: of the first text 6 letters of 31, less than a fifth
    assert english.unread(["the crew Ж was Щ very Ю kind Я and Д found Ц", "ЖЩЮЯД ЦЖЩЮ"]) == 1


def test_a_model_that_learned_chinese_can_hardly_read_english(released):
    from charter.serving.detection import _Reader, open_answerer, read_bundle

    answerer = open_answerer(read_bundle(released))
    assert _Reader(answerer, {}, 0.5, 0.95).unread([CHINESE, "the crew was kind and found cold meal"]) == 1
    assert _Reader(answerer, {}, 0.5, 0.5).unread([CHINESE, "the crew was kind and found cold meal"]) == 0
    assert _Reader(answerer, {}, 0.5, None).unread([CHINESE, "the crew was kind and found cold meal"]) == 0


def test_a_masking_model_of_another_language_is_told_with_how_many_texts_it_can_not_read(released):
    from charter.data.preparations.pii import UNREAD, unread_notes
    from charter.release.report.wording import Wording

    out = prepared([CHINESE, CHINESE + "好", "the crew was kind and found cold meal"], released)
    assert dict(out.counts)["mask_pii"][UNREAD] == 2
    (note,) = unread_notes(out.counts, 3)
    assert "hardly read 2 texts of 3 rows" in note
    (many,) = unread_notes([("mask_pii", {UNREAD: 1234})], 5000)
    assert "1,234 texts of 5,000 rows" in many
    for said in (note, many, UNREAD):
        assert not any(word in Wording("zh").said(said) for word in ("text", "model"))
    assert not list(unread_notes(out.counts, 41))
    assert (
        UNREAD not in dict(prepared(["the crew was kind and found cold meal"], released).counts)["mask_pii"]
    )
