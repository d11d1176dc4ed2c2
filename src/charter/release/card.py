"""The model card, in the Hugging Face hub's format: metrics in its metadata, the verdict and its limits in its text."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from charter.release.manifest import ROOT_FORM
from charter.release.record import Record
from charter.release.report.beside import beats, compares, gain_said, metric_of
from charter.release.report.claims import claims_sections
from charter.release.report.continual import continual_sections
from charter.release.report.forms import forms_table
from charter.release.report.lineage import ancestors_of, lineage_lines
from charter.release.report.lines import section_lines
from charter.release.report.origin import descriptions_of
from charter.release.report.privacy import privacy_sections
from charter.release.report.wording import Wording, interval, number
from charter.release.selection import findings_of, first, headline, main_scores, select, weakest_first
from charter.runs.findings import Finding
from charter.spec.metrics import SENTENCE_PAIRS

_EACH = ", top_k=None"
PIPELINES: Mapping[str, str] = {
    "classification": "text-classification",
    "text_pair_classification": "text-classification",
    "multi_label_classification": "text-classification",
    "ordinal": "text-classification",
    "regression": "text-classification",
    "question_answering": "question-answering",
    "sentence_embedding": "sentence-similarity",
    "sentence_similarity": "sentence-similarity",
    "multiple_choice": "multiple-choice",
    "token_classification": "token-classification",
    "masked_language_modelling": "fill-mask",
    **dict.fromkeys(SENTENCE_PAIRS, "fill-mask"),
    "causal_language_modelling": "text-generation",
}
"""The hub's name for each task that a plain transformers pipeline can do; a plug-in's task has none."""
HOW_LONG: Mapping[str, str] = {
    "question_answering": "read in windows of {length} tokens, whole",
    "masked_language_modelling": "read in pieces of {length} tokens, whole",
    **dict.fromkeys(SENTENCE_PAIRS, "read in pieces of {length} tokens, whole"),
    "causal_language_modelling": "read in pieces of {length} tokens, whole",
}
"""How texts longer than the model reads were judged, where they were not cut."""
EVERY_OUTPUT = ("multi_label_classification", "ordinal")
"""Tasks of whose outputs plain transformers shows all only when it is told to."""
_POOLED = (
    "A text's vector is the mean of the last hidden states over its tokens, divided by its length. sentence-transformers opens "
    'the folder too: `SentenceTransformer("FOLDER").encode([...])` gives the same vectors. `charter search` finds the nearest '
    "texts of a file."
)
READ_AS: Mapping[str, str] = {
    "multi_label_classification": (
        "Each label has a probability of its own. `charter predict` answers those from their threshold on: {thresholds}."
    ),
    "ordinal": (
        "An output `> CLASS` is the probability of a class above CLASS, given that it is at least CLASS; multiplied up from the "
        "lowest they give the probability of a class above each, and the answer of `charter predict` is the median class."
    ),
    "question_answering": (
        "The likeliest pair of a start and an end is the answer; the first token stands for none. `charter predict` reads texts of "
        "any length, window by window, and says that there is no answer from a threshold on that was fitted for that."
    ),
    "sentence_embedding": _POOLED,
    "sentence_similarity": _POOLED,
    "multiple_choice": "The text goes in once for each choice, as a pair with it; the highest of the logits names the answer.",
    "masked_language_modelling": "`charter predict` tells how surprised the model is by a text's own hidden tokens: its perplexity.",
    "causal_language_modelling": "`charter predict` tells how surprised the model is by a text's own tokens: its perplexity.",
    **dict.fromkeys(
        SENTENCE_PAIRS,
        "The model has two heads, for hidden tokens and for pairs of segments (class 0: the second follows the first): transformers "
        "opens both as `AutoModelForPreTraining`. `charter predict` tells a text's perplexity.",
    ),
    "regression": "The score is the number itself, in the target's own units{shift}.",
}
"""What plain transformers' outputs mean, where that is not plain from their names."""
SNIPPETS: Mapping[str, tuple[str, ...]] = {
    "question_answering": (
        "from transformers import AutoModelForQuestionAnswering, AutoTokenizer",
        "",
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
        'model = AutoModelForQuestionAnswering.from_pretrained("FOLDER")',
        'told = model(**tokenizer("QUESTION", "TEXT", return_tensors="pt"))',
        "print(told.start_logits, told.end_logits)  # of each token",
    ),
    **dict.fromkeys(
        ("sentence_embedding", "sentence_similarity"),
        (
            "from transformers import AutoModel, AutoTokenizer",
            "",
            'tokenizer, model = AutoTokenizer.from_pretrained("FOLDER"), AutoModel.from_pretrained("FOLDER")',
            'read = tokenizer(["..."], padding=True, return_tensors="pt")',
            "states, mask = model(**read).last_hidden_state, read.attention_mask[..., None]",
            "vectors = (states * mask).sum(1) / mask.sum(1)",
            "print(vectors / vectors.norm(dim=-1, keepdim=True))",
        ),
    ),
    **dict.fromkeys(
        ("masked_language_modelling", *SENTENCE_PAIRS),
        (
            "from transformers import pipeline",
            "",
            'fill = pipeline("fill-mask", model="FOLDER")',
            'print(fill(f"... {fill.tokenizer.mask_token} ..."))',
        ),
    ),
    "multiple_choice": (
        "from transformers import AutoModelForMultipleChoice, AutoTokenizer",
        "",
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
        'model = AutoModelForMultipleChoice.from_pretrained("FOLDER")',
        'choices = ["...", "..."]',
        'read = tokenizer(["TEXT"] * len(choices), choices, padding=True, return_tensors="pt")',
        "print(model(**{name: one[None] for name, one in read.items()}).logits)",
    ),
}
"""How plain transformers is asked where it has no pipeline for the task."""
SAMPLE_LANGUAGES: Mapping[str, str] = {"sample:tweets": "en"}
SAMPLE_BASES: Mapping[str, str] = {"sample:minilm": "sentence-transformers/all-MiniLM-L6-v2"}
"""The hub's name of a base that Charter gives as a sample."""
MOST_GROUPS = 25


def card(record: Record, preparation: Mapping[str, Any]) -> str:
    """A bundle's README.md.

    What is not known is left out of the metadata and said in the text: the charter states no licence for the released
    model, so its licence is "unknown"; languages are named only for Charter's own samples.
    """
    from huggingface_hub import ModelCardData

    charter = record.charter
    kind = PIPELINES.get(charter.task.use)
    source = charter.data.source
    data = ModelCardData(
        language=SAMPLE_LANGUAGES.get(source) if isinstance(source, str) else None,
        license="unknown",
        library_name="transformers",
        pipeline_tag=kind,
        base_model=None if ancestors_of(record.provenance) else _hub_name(charter.model.begins_with),
        model_name=charter.name,
        eval_results=list(_results(record, kind or charter.task.use)) or None,
        tags=["charter", "released" if record.status == "released" else "refused"],
    )
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(_text(record, preparation, kind)) + "\n"


def _hub_name(base: str) -> str | None:
    """The base's name on the hub: a sample's own, or what looks like OWNER/NAME; a folder has none."""
    looks = base.count("/") == 1 and not base.startswith((".", "/", "~")) and ":" not in base
    return SAMPLE_BASES.get(base) or (base if looks else None)


def _results(record: Record, kind: str) -> Iterator[Any]:
    from huggingface_hub import EvalResult

    for one in main_scores(record):
        if one.value is not None:
            yield EvalResult(
                task_type=kind,
                dataset_type=record.charter.data_id,
                dataset_name=record.charter.data_id,
                dataset_split="test",
                metric_type=one.metric,
                metric_name=one.metric,
                metric_value=round(one.value, 4),
            )


def _text(record: Record, preparation: Mapping[str, Any], kind: str | None) -> Iterator[str]:
    yield f"# {_plain(record.charter.name)}"
    yield ""
    if record.status != "released":
        yield "> **REFUSED.** A limit of its charter was not kept. This draft is for study and must not be used."
        yield ""
    yield from _purpose(record)
    yield from _limits(record)
    yield from _formats(record)
    yield from _scores(record)
    yield from _groups(record)
    say = Wording("en")
    yield from section_lines(privacy_sections(record, say))
    yield from section_lines(claims_sections(record, say))
    yield from section_lines(continual_sections(record, say))
    yield from _use(record, preparation, kind)
    yield from _origin(record)


def _purpose(record: Record) -> Iterator[str]:
    purpose = record.charter.purpose
    yield from ("## Intended use", "", _plain(purpose.intended_use or "Not stated."), "")
    yield f"- Who is affected: {_plain(purpose.affected or 'not stated')}"
    yield f"- Not for: {_plain(', '.join(purpose.not_for) or 'not stated')}"
    yield f"- Risk: {purpose.risk}"
    yield ""


def _limits(record: Record) -> Iterator[str]:
    yield from (
        "## Limits",
        "",
        "Judged on the worse end of each interval unless the charter says otherwise.",
        "",
    )
    rows = []
    for one in record.verdicts:
        left = f"; not judged, too little evidence: {', '.join(one.unjudged)}" if one.unjudged else ""
        limit = f"`{one.limit}` ({one.form})" if one.form else f"`{one.limit}`"
        rows.append((limit, one.outcome, one.because + left))
    yield from _table(("limit", "outcome", "because"), rows)


def _formats(record: Record) -> Iterator[str]:
    """The released formats side by side, where there are several."""
    table = forms_table(record, Wording("en"))
    if table is None:
        return
    yield from ("## Formats", "", "Each is a model of its own, calibrated and judged by its own answers.", "")
    rows = [[f"{cell.text} ({cell.note})" if cell.note else cell.text for cell in row] for row in table.rows]
    yield from _table([one.text for one in table.headings], rows)


def _scores(record: Record) -> Iterator[str]:
    yield from ("## Scores on the test split", "")
    say = Wording("en")
    rows = [
        (say.metric(one.metric), number(one.value), _ends(one), str(one.n or ""))
        for one in main_scores(record)
        if one.value is not None
    ]
    yield from _table(("metric", "value", "interval", "rows"), rows)
    found = findings_of(record)
    searched = first(found, "data", "texts_searched")
    if searched is not None:
        yield f"- {say('searched', count=say.count(searched.value or 0))}"
    for one in found:
        if one.area == "baseline" and compares(one):
            proven = "" if beats(one) == "better" else " It is not shown to be better."
            name, metric = say.name(one.slice["baseline"]), say.metric(metric_of(one, headline(record)))
            yield f"- {metric} against the baseline {name}: {gain_said(one, say)}.{proven}"
    yield ""


def _ends(one: Finding) -> str:
    return f"{interval(one)} ({one.confidence:.0%})" if interval(one) and one.confidence else ""


def _groups(record: Record) -> Iterator[str]:
    """A table for each group column: its values, the weakest first."""
    found, main, say = findings_of(record), headline(record), Wording("en")
    yield from ("## By group", "")
    if not record.charter.data.groups:
        yield from ("The charter names no group column: nothing is known of differences between groups.", "")
    for column in record.charter.data.groups:
        scored = weakest_first(select(found, "performance", main, (column,)))
        rows = []
        for one in scored[:MOST_GROUPS]:
            value = one.slice[column]
            right = first(found, "performance", "accuracy", **{column: value})
            rows.append((value, str(one.n or 0), _value(one), "" if right is None else _value(right)))
        yield from _table((column, "rows", say.metric(main), "accuracy"), rows)
        if len(scored) > MOST_GROUPS:
            yield from (
                f"The {MOST_GROUPS} weakest of {len(scored)}; all stand in `charter/report.html`.",
                "",
            )


def _value(one: Finding) -> str:
    if one.value is None:
        return Wording("en").missing(one)
    return f"{number(one.value)} ({interval(one)})" if interval(one) else number(one.value)


def _use(record: Record, preparation: Mapping[str, Any], kind: str | None) -> Iterator[str]:
    uses = [str(use["use"]) for use in preparation["prepare"]]
    skipped = ", ".join(f"`{use}`" for use in uses)
    yield from ("## How to use it", "")
    yield "```sh"
    yield f"charter predict FOLDER {_said(preparation)}"
    yield "```"
    yield ""
    if uses:
        yield f"runs the row-wise preparations of training ({skipped}) and then the model."
    else:
        yield "runs the model; its charter names no row-wise preparation."
    formats = record.charter.release.formats
    if len(formats) > 1:
        yield f"`--engine NAME` lets another format answer ({', '.join(formats)}); without it `{formats[0]}` does."
    if ROOT_FORM not in formats:
        yield "Plain transformers can't open it: its charter releases no safetensors."
    elif kind is None:
        yield f"The task `{record.charter.task.use}` comes from a plug-in, which `charter predict` needs installed."
    else:
        yield "Plain transformers opens the folder too and gives the same numbers for the same text,"
        yield (
            f"but **skips {skipped}**: what these would repair or mask reaches the model as it is."
            if uses
            else "."
        )
        yield from ("", "```python", *_asked_plainly(record, kind), "```")
        yield from _read_as(record, preparation)
    length = preparation.get("max_length")
    if length:
        how = HOW_LONG.get(record.charter.task.use, "cut at {length} tokens").format(length=length)
        yield from ("", f"It was judged on texts {how}.")
    yield ""


def _asked_plainly(record: Record, kind: str) -> Iterator[str]:
    """How plain transformers is asked, in Python."""
    snippet = SNIPPETS.get(record.charter.task.use)
    if snippet is not None:
        yield from snippet
        return
    options = _EACH if record.charter.task.use in EVERY_OUTPUT else ""
    yield from ("from transformers import pipeline", "")
    yield f'answer = pipeline("{kind}", model="FOLDER"{options})'
    yield from _asked(record)


def _said(preparation: Mapping[str, Any]) -> str:
    """The options of `charter predict` for one row."""
    inputs = list(preparation["inputs"])
    if len(inputs) == 1:
        return '--text "..."'
    return " ".join(f"--input {shlex.quote(f'{name}=...')}" for name in inputs)


def _asked(record: Record) -> Iterator[str]:
    """How plain transformers is asked for one row: a text, a pair, or several texts with the separator between them."""
    inputs = len(record.charter.data.inputs)
    if inputs > 2:
        listed = ", ".join(['"..."'] * inputs)
        yield f"print(answer(answer.tokenizer.sep_token.join([{listed}])))"
        return
    asked = '{"text": "...", "text_pair": "..."}' if inputs == 2 else '"..."'
    yield f"print(answer({asked}))"


def _read_as(record: Record, preparation: Mapping[str, Any]) -> Iterator[str]:
    said = READ_AS.get(record.charter.task.use)
    if said is None:
        return
    task = preparation["task"]
    fitted = task.get("fitted") or {}
    cuts = dict(zip(task["labels"], fitted.get("thresholds") or (), strict=False))
    fixed = f"{task['options'].get('threshold', 0.5)}"
    thresholds = ", ".join(f"{_plain(label)} {cut:.3f}" for label, cut in cuts.items()) or fixed
    shift = ""
    if fitted.get("scale", 1.0) != 1.0:
        shift = f" once it is multiplied by {fitted['scale']:.6g} and {fitted['mean']:.6g} is added"
    yield from ("", said.format(thresholds=thresholds, shift=shift))


def _origin(record: Record) -> Iterator[str]:
    charter = record.charter
    licence = charter.data.licence or "not stated"
    yield from ("## Where it comes from", "")
    yield f"- Data: {_plain(charter.data_id)}, {'public' if charter.data.public else 'not public'}, licence {_plain(licence)}."
    yield from _begun(record)
    yield from _start(record)
    yield "- Licence of this model: not stated by its charter. The licences of its base and of its data may bind you."
    if not (record.provenance.get("privacy") or {}).get("differential_privacy"):
        yield "- Trained without differential privacy: nothing limits what it may remember of its training rows."
    before = record.judged_before["this_split"]
    yield f"- Other charters judged on these test rows before: {before}."
    yield ""
    yield "The whole evidence: `charter/report.html` and `charter/findings.jsonl`; the origin: `charter/provenance.json`."


def _begun(record: Record) -> Iterator[str]:
    """The base and its pre-training, or that the model is new."""
    model, before = record.charter.model, record.charter.pretraining
    if model.base is None:
        yield f"- No base model: {model.begins_with}, random weights and a tokenizer learned from the texts."
    else:
        yield f"- Base model: `{model.base}`; its licence is its publisher's and is not recorded here."
    yield from lineage_lines(record)
    if before is None:
        return
    texts = first(record.findings, "pretraining", "rows", split="train", of="texts")
    count = f"{texts.value:.0f} texts" if texts is not None and texts.value is not None else "texts"
    yield (
        f"- Before its task it learned from {count} without labels ({before.objective.use}), "
        f"{'public' if before.public else 'not public'}; it may remember some of them."
    )


def _start(record: Record) -> Iterator[str]:
    described = descriptions_of(record)
    if described:
        yield "- The head started from the vectors of the classes' descriptions:"
        yield from (f"    - {_plain(label)}: {_plain(text)}" for label, text in described.items())
    if record.charter.training.objective is not None:
        yield f"- Objective of training: {record.charter.training.objective.use}."
    teacher = record.provenance.get("teacher")
    if teacher:
        run = f", of run {teacher['run']}" if "run" in teacher else ""
        doubt = "; it may have learned from rows that this model is judged on"
        told = doubt if teacher.get("may_have_read_test_rows") else ""
        yield f"- Its teacher: {_plain(str(teacher.get('name') or teacher['reference']))}{run}{told}."


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(_cell(one) for one in headings) + " |"
    yield "|" + "---|" * len(headings)
    for row in rows:
        yield "| " + " | ".join(_cell(one) for one in row) + " |"
    yield ""


def _cell(text: str) -> str:
    """Text that can't end its cell or its row."""
    return " ".join(text.split()).replace("|", "\\|")


def _plain(text: str) -> str:
    """The charter's words on one line, so that they make no heading, list or tag of their own."""
    return " ".join(text.split()).replace("<", "&lt;")
