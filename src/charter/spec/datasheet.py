"""The questions of a datasheet (Gebru et al. 2021), and a person's answers to them: a YAML file beside the charter.

    collection:
      consent: Writers agree to the terms of use, which name research.
      ethics: |
        Reviewed by our board in May 2026 (protocol 17).

Headings and questions are checked as the charter is. A question that is left out, null, empty or begins with `TO SAY:` is open.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.errors import CharterFileError, Problem
from charter.spec.document import Document, parse_document
from charter.spec.messages import found, near

MOST_CHARACTERS = 20_000
TO_SAY = "TO SAY:"
"""How `charter init` marks what only its user knows."""
QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "motivation": ("purpose", "creators", "funding"),
    "composition": (
        "instances",
        "count",
        "sampling",
        "features",
        "labels",
        "missing",
        "relationships",
        "splits",
        "errors",
        "external",
        "confidential",
        "offensive",
        "subpopulations",
        "identifiable",
        "sensitive",
    ),
    "collection": (
        "acquisition",
        "mechanisms",
        "sampling_strategy",
        "collectors",
        "timeframe",
        "ethics",
        "directness",
        "notice",
        "consent",
        "revocation",
        "impact",
    ),
    "preprocessing": ("done", "raw", "software"),
    "uses": ("used_for", "repository", "other_uses", "risks", "not_for"),
    "distribution": ("third_parties", "how", "when", "licence", "ip_restrictions", "export_controls"),
    "maintenance": ("maintainer", "contact", "erratum", "updates", "retention", "versions", "contributions"),
}
"""Section -> the names of its questions, in the order of the paper (Communications of the ACM 64(12), section 3)."""
COMMENTS = "comments"
"""Every section takes further comments, which are no question."""

Answers = dict[str, dict[str, str]]


def read_answers(path: Path) -> Answers:
    """A person's answers, by section and question; open ones are left out.

    Raises:
        CharterFileError: the file can't be read, or holds what is no answer to a question; every problem with its line.
    """
    document = _document(path)
    problems: list[Problem] = []
    answers: Answers = {}
    for section, said in document.value.items():
        if section not in QUESTIONS:
            known = ", ".join(QUESTIONS)
            problems.append(
                document.problem(
                    (section,), f"no section of a datasheet.{near(section, QUESTIONS)} There are {known}"
                )
            )
        elif said is not None and not isinstance(said, dict):
            message = f"{found(said)}; a section is a mapping of questions to answers, such as {QUESTIONS[section][0]}: TEXT"
            problems.append(document.problem((section,), message))
        elif said:
            told = {key: _answer(document, section, key, one, problems) for key, one in said.items()}
            answers[section] = {key: text for key, text in told.items() if text}
    if problems:
        raise CharterFileError(problems)
    return {section: told for section, told in answers.items() if told}


def _document(path: Path) -> Document:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise _refused(path, "is not UTF-8 text; save it as UTF-8") from None
    except (OSError, ValueError) as error:
        raise _refused(path, f"can't be read ({getattr(error, 'strerror', None) or 'not a path'})") from None
    only_comments = all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines())
    if only_comments:
        return Document(str(path), path.parent, {}, {})
    return parse_document(text, path, what="a datasheet", form="SECTION: {QUESTION: ANSWER}")


def _refused(path: Path, message: str) -> CharterFileError:
    return CharterFileError([Problem(str(path), 1, "", message)])


def _answer(document: Document, section: str, key: str, value: Any, problems: list[Problem]) -> str:
    known = (*QUESTIONS[section], COMMENTS)
    if key not in known:
        message = f"no question of this section.{near(key, known)} There are {', '.join(known)}"
    elif value is None:
        return ""
    elif not isinstance(value, str):
        message = f"{found(value)}; an answer is a text (put it in quotation marks)"
    elif len(value) > MOST_CHARACTERS:
        message = f"found {len(value):,} characters; an answer has at most {MOST_CHARACTERS:,}"
    else:
        text = value.strip()
        return "" if text.startswith(TO_SAY) else text
    problems.append(document.problem((section, key), message))
    return ""
