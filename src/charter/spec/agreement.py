"""What can be seen only when keys are looked at together: roles of columns, the split, audits and limits."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from charter.spec.ancestors import continual_problems
from charter.spec.budget import budget_problems
from charter.spec.claims import claim_problems
from charter.spec.distillation import distillation_problems
from charter.spec.document import Path_
from charter.spec.forms import form_problems
from charter.spec.group_audits import fairness_problems
from charter.spec.limits import Limit
from charter.spec.messages import told
from charter.spec.metrics import (
    HEADLINES,
    LANGUAGE_MODELS,
    SLICES,
    WITHOUT_CLASSES,
    WITHOUT_TARGET,
    Measuring,
    is_built_in,
    why_never,
    why_pointless,
)
from charter.spec.parts import Parts, Say
from charter.spec.privacy import MIXING
from charter.spec.search import HOW, KEYS, Choices
from charter.spec.texts import check_texts
from charter.spec.training import CONTRASTED, Training, learns_from_descriptions
from charter.spec.use import Use

RESERVED = ("_row", "_place", "_split", "_unit", "_target")
FRACTIONS = ("test", "validation", "calibration")


def check_agreement(parts: Parts, say: Say) -> None:
    """Say every contradiction between keys."""
    _columns(parts, say)
    _split(parts, say)
    _validation(parts, say)
    _preparations(parts, say)
    _objective(parts, say)
    _search(parts, say)
    check_texts(parts, say)
    continual_problems(parts, say)
    budget_problems(parts, say)
    _audits(parts, say)
    _limits(parts, say)


def roles(parts: Parts) -> dict[Path_, str]:
    """Where the file names a column that is no input, and the column."""
    singles = (
        ("data", "target"),
        ("data", "subject"),
        ("data", "split", "column"),
        ("data", "split", "time"),
    )
    named = {path: parts.one(*path) for path in singles} | parts.each("data", "groups")
    named |= {("data", "target", at): column for at, column in enumerate(_targets(parts))}
    return {path: column for path, column in named.items() if isinstance(column, str)}


def _targets(parts: Parts) -> tuple[str, ...]:
    """The columns of 0 and 1 that the file names as its target; nothing where it names one column."""
    target: object = parts.one("data", "target")
    return target if isinstance(target, tuple) else ()


def all_roles(parts: Parts) -> dict[Path_, str]:
    """As `roles`, with the inputs."""
    inputs = parts.keys("data", "inputs")
    return {**{("data", "inputs", name): name for name in inputs}, **roles(parts)}


def published(parts: Parts) -> tuple[str, ...]:
    """The splits that `data.source` names as published parts; nothing where it names one place."""
    return tuple(name for name in parts.keys("data", "source") if name in ("train", *FRACTIONS))


def _columns(parts: Parts, say: Say) -> None:
    inputs = parts.keys("data", "inputs")
    target: object = parts.one("data", "target")
    _inputs_of_task(parts, len(inputs), say)
    _target_of_task(parts, say)
    for path, column in roles(parts).items():
        if column in inputs:
            say(path, f"'{column}' is an input too; a model must not read it: name another column")
        if path[1] != "target" and (column == target or column in _targets(parts)):
            say(path, f"'{column}' is the target too; name another column")
    for path, column in all_roles(parts).items():
        if column in RESERVED:
            say(path, f"'{column}' is a name that Charter uses itself; rename the column")
        elif column == "*" or (column.startswith("^") and column.endswith("$")):
            say(path, f"'{column}' is named like a pattern, not like one column; rename the column")
    seen: set[str] = set()
    for path, group in parts.each("data", "groups").items():
        if group in seen:
            say(path, f"group column '{group}' stands twice; keep one")
        if group in SLICES:
            say(
                path,
                f"'{group}' is what findings call a slice of their own, so its groups could not be told from that; "
                "rename the column",
            )
        seen.add(group)
    subject: str | None = parts.one("data", "subject")
    if subject is not None and subject in (
        parts.one("data", "split", "column"),
        parts.one("data", "split", "time"),
    ):
        say(("data", "subject"), f"'{subject}' says how rows are split too; a subject is read as a code")


def _inputs_of_task(parts: Parts, count: int, say: Say) -> None:
    """How many texts a built-in task reads at once; every other one takes as many as are named."""
    use: Use | None = parts.one("task")
    name = use.use if use is not None else ""
    if name == "token_classification" and count > 1:
        say(
            ("data", "inputs"),
            f"{count} inputs: task token_classification finds entities in one text; name one",
        )
    if name == "sentence_embedding" and count not in (2, 3):
        say(
            ("data", "inputs"),
            f"{count} input(s): task sentence_embedding reads a text and one that belongs to it, and perhaps one that does not",
        )
    if name == "sentence_similarity" and count != 2:
        say(("data", "inputs"), f"{count} input(s): task sentence_similarity reads a pair of texts")
    if name == "multiple_choice":
        stem = int(use.options.get("stem", 1)) if use is not None else 1
        if count <= stem:
            say(
                ("data", "inputs"),
                f"{count} input(s), of which the first {stem} are the text (task option stem): name the choices after it, one "
                "column each, or one column of lists",
            )
    if name == "question_answering" and count != 2:
        say(
            ("data", "inputs"),
            f"{count} input(s): task question_answering reads the question and the text that it is about, in that order",
        )
    if name == "text_pair_classification" and count != 2:
        hint = (
            "; task classification reads one" if count == 1 else "; task classification reads several, joined"
        )
        say(
            ("data", "inputs"), f"{count} input(s): task text_pair_classification reads a pair of texts{hint}"
        )


def _predicts(use: Use | None) -> bool:
    """Whether a task needs a target: a plug-in's may do without, and of one that is unknown nothing is."""
    return use is None or use.use in HEADLINES


def _target_of_task(parts: Parts, say: Say) -> None:
    use: Use | None = parts.one("task")
    several = _targets(parts)
    if several and use is not None and use.use in HEADLINES and use.use != "multi_label_classification":
        say(
            ("data", "target"),
            f"{len(several)} columns: columns of 0 and 1, one per label, are the target of task "
            "multi_label_classification; name one column, or that task",
        )
    twice = [name for name in dict.fromkeys(several) if several.count(name) > 1]
    if twice:
        say(("data", "target"), f"column '{twice[0]}' stands twice; keep one")
    if several and use is not None and use.options.get("separator") is not None:
        say(
            ("task", "separator"),
            "data.target names a column per label, so there is nothing to part; remove it",
        )
    if use is not None and use.use in WITHOUT_TARGET:
        if parts.stands("data", "target"):
            say(
                ("data", "target"),
                f"task {use.use} learns from the texts themselves and predicts nothing; remove it"
                if use.use in LANGUAGE_MODELS
                else "task sentence_embedding learns from which texts belong together and predicts nothing; remove it, or take task "
                "sentence_similarity for a score of each pair",
            )
    elif parts.stands("data") and not parts.stands("data", "target") and _predicts(use):
        say(("data", "target"), "is missing: the task needs a column to predict. Write: target: label")
    if use is not None and use.use in WITHOUT_CLASSES:
        for path, audit in parts.each("audits").items():
            if audit.use == "calibration" and parts.stands("audits"):
                say(
                    path, f"task {use.use} states no probabilities that could be calibrated; remove the audit"
                )
        if parts.one("training", "class_weights") is not None:
            say(("training", "class_weights"), f"task {use.use} has no classes to weigh; remove the key")
    if use is not None and use.use in MIXING and parts.one("training", "micro_batch_size") is not None:
        say(
            ("training", "micro_batch_size"),
            f"it cuts batches into parts, and task {use.use} compares each example with the others of its whole batch; remove "
            "it, and lower batch_size where memory is short",
        )
    if use is not None and use.use == "question_answering":
        for path, one in parts.each("data", "prepare").items():
            if one.use == "drop_near_duplicates":
                say(
                    path,
                    "questions about one text are alike, so all but one of each text's would be dropped; remove it (the "
                    "split keeps the questions of a text together all the same)",
                )
    if use is not None and use.use == "regression" and parts.one("training", "class_weights") is not None:
        say(("training", "class_weights"), "task regression has no classes to weigh; remove the key")


def _split(parts: Parts, say: Say) -> None:
    given = published(parts)
    if not given:
        return
    if "train" not in given:
        say(
            ("data", "source"),
            f"the parts named are {', '.join(given)}; 'train' is needed: write train: PLACE",
        )
    for name in FRACTIONS:
        if name in given and parts.stands("data", "split", name):
            say(
                ("data", "split", name),
                f"data.source gives a {name} part as published, which stays as it is; remove one of the two",
            )
    for key in ("column", "time"):
        if parts.stands("data", "split", key):
            say(
                ("data", "split", key),
                f"data.source names the parts already ({', '.join(given)}), so rows are not split by '{key}'; "
                "remove one of the two",
            )
    if "test" not in given and not parts.stands("data", "split", "test"):
        say(
            ("data", "source"),
            "there is no test part to judge on: name one (test: PLACE), or take a share of the training rows with "
            "data.split: {test: 0.15}",
        )


def lacks_validation(parts: Parts) -> bool:
    """Whether it is certain that no row will be in the validation split."""
    given = published(parts)
    return bool(given) and "validation" not in given and not parts.stands("data", "split", "validation")


def _validation(parts: Parts, say: Say) -> None:
    if parts.one("training", "early_stopping") is not None and lacks_validation(parts):
        say(
            ("training", "early_stopping"),
            "there are no validation rows to stop by: name data.source.validation, set data.split.validation, such as "
            "0.1, or remove this key",
        )


BY_CLASS = ("cap_per_class", "label_noise")
"""Preparations that work by the one class of each row."""


def _preparations(parts: Parts, say: Say) -> None:
    """What works by class needs one class per row; what changes words can't keep tags; columns named must have a role."""
    task: Use | None = parts.one("task")
    tags = task is not None and task.use == "token_classification"
    columns = set(roles(parts).values())
    for path, use in parts.each("data", "prepare").items():
        named = {key: use.options.get(key) or () for key in ("by", "keep_shares")}
        if tags and (use.use in BY_CLASS or (use.use == "balance" and not named["by"])):
            by = "; name group columns in by, or leave it out" if use.use == "balance" else "; leave it out"
            say(path, f"{use.use} works by the class of each row, and task {task.use} has a tag per word{by}")  # type: ignore[union-attr]
        if tags and use.use == "augment":
            say(
                path,
                "augment changes words, and the tags of task token_classification would not fit them; leave it out",
            )
        if use.use not in ("balance", "cap_per_class"):
            continue
        for key, wanted in named.items():
            for column in wanted if isinstance(wanted, list | tuple) else ():
                if column not in columns:
                    say(
                        (*path, key),
                        f"'{column}' has no role, so it is not read: name it in data.groups, or name one of "
                        f"{', '.join(sorted(columns))}",
                    )


def _objective(parts: Parts, say: Say) -> None:
    """What the contrastive objective needs, and what can do without any update."""
    task: Use | None = parts.one("task")
    objective: Use | None = parts.one("training", "objective")
    adapt: Use | None = parts.one("model", "adapt")
    where = ("training", "objective")
    contrasts = objective is not None and objective.use == "contrastive"
    if contrasts and task is not None and task.use in HEADLINES and task.use not in CONTRASTED:
        say(
            where, f"objective contrastive draws classes apart, for task {' or '.join(CONTRASTED)}; remove it"
        )
    if contrasts and parts.one("training", "class_weights") is not None:
        say(("training", "class_weights"), "objective contrastive weighs no classes; remove the key")
    described = task.options.get("descriptions") if task is not None and task.use == CONTRASTED[0] else None
    if isinstance(described, dict) and len(described) < 2:
        say(
            ("task", "descriptions"),
            f"found {len(described)} class; describe every class of the data, at least two",
        )
    updates = parts.one("training", "epochs")
    if contrasts and adapt is not None and adapt.use == "head" and updates:
        say(
            where,
            "objective contrastive teaches the encoder, and model.adapt head keeps that as it is: write training.epochs: 0 "
            "for a head fitted to its vectors as they are, or name another adapter",
        )
    if (
        contrasts
        and adapt is not None
        and adapt.use == "gradual"
        and adapt.options.get("over", 0.5)
        and updates
    ):
        say(
            where,
            "objective contrastive teaches the encoder, and model.adapt gradual begins with the head alone: add over: 0 to it, for "
            "rates decayed by layer without waiting",
        )
    for path, because in distillation_problems(parts):
        say(path, because)
    if updates == 0 and objective is None and not described:
        say(
            ("training", "epochs"),
            "without any update the head stays random: write at least 1, or describe the classes (task classification, "
            "option descriptions), or name the objective contrastive",
        )


def _search(parts: Parts, say: Say) -> None:
    """What can't be searched: without validation rows, nothing at all, or a value that the key itself does not accept."""
    where, stated = ("training", "search"), parts.at("training", "search")
    if stated is None:
        return
    if lacks_validation(parts):
        say(
            where,
            "there are no validation rows to choose by: name data.source.validation, set data.split.validation, such as "
            "0.1, or remove this key",
        )
    if isinstance(stated, dict) and set(stated) <= set(HOW):
        say(
            where,
            f"nothing is searched: name a setting, such as learning_rate: [1.0e-5, 1.0e-4]. Known: {', '.join(KEYS)}",
        )
    if parts.stands(*where, "distribution") and not parts.stands("privacy"):
        say(
            (*where, "distribution"),
            "the number of trials is drawn at random only under a privacy budget; without one it is `trials`: remove this key",
        )
    rest = {key: one for key, one in parts.at("training").items() if key != "search"}
    for key in KEYS:
        said = parts.one(*where, key) if parts.stands(*where, key) else None
        if said is None:
            continue
        listed, inside = (said.choices, ("choices",)) if isinstance(said, Choices) else (said, ())
        for at, value in enumerate(listed):
            for because in _why_not_so_set(rest, key, value):
                say((*where, key, *inside, at), because)


def _why_not_so_set(rest: Mapping[str, Any], key: str, value: Any) -> Iterator[str]:
    """Why a key of `training` can't hold a value beside the other keys; what is wrong with those is not said here."""
    wrong = {error["loc"][0] for error in _errors(rest) if error["loc"]}
    beside = {name: one for name, one in rest.items() if name not in wrong}
    known = [error["msg"] for error in _errors(beside)]
    for error in _errors({**beside, key: value}):
        if error["loc"][:1] == (key,):
            yield told(error, f"training.{key}", Training.model_fields[key], ())
        elif not error["loc"] and error["msg"] not in known:
            yield str(error["ctx"]["error"])


def _errors(training: Mapping[str, Any]) -> list[Any]:
    try:
        Training.model_validate(training)
    except ValidationError as error:
        return list(error.errors(include_url=False))
    return []


def _audits(parts: Parts, say: Say) -> None:
    seen: set[str] = set()
    for path, audit in parts.each("audits").items():
        if audit.use in seen:
            say(path, f"audit '{audit.use}' stands twice; keep one")
        seen.add(audit.use)
        if audit.use == "reidentification":
            _reidentification(parts, path, audit, say)
    for path, because in (*claim_problems(parts), *fairness_problems(parts)):
        say(path, because)
    trackers: list[Use] = []
    for path, tracker in parts.each("tracking").items():
        if tracker in trackers:
            say(path, f"tracker '{tracker.use}' stands twice with the same options; keep one")
        trackers.append(tracker)
    formats: set[str] = set()
    for path, name in parts.each("release", "formats").items():
        if name in formats:
            say(path, f"format '{name}' stands twice; keep one")
        formats.add(name)
    for path, because in form_problems(parts):
        say(path, because)


def _reidentification(parts: Parts, path: Path_, audit: Use, say: Say) -> None:
    """The columns that it reads must be kept as they are: groups, or the target."""
    quasi, sensitive = audit.options.get("quasi_identifiers"), audit.options.get("sensitive")
    groups, target = tuple(parts.each("data", "groups").values()), parts.one("data", "target")
    named = [("quasi_identifiers", one) for one in quasi] if isinstance(quasi, list | tuple) else []
    named += [("sensitive", sensitive)] if isinstance(sensitive, str) else []
    for key, column in named:
        if isinstance(column, str) and column not in groups and (key, column) != ("sensitive", target):
            say((*path, key), f"'{column}' is not kept: name it in data.groups, which is no model input")
    if isinstance(quasi, list | tuple) and sensitive in quasi:
        say((*path, "sensitive"), f"'{sensitive}' is a quasi-identifier too; what others know is no secret")


def _limits(parts: Parts, say: Say) -> None:
    measuring = _measuring(parts)
    seen: set[Limit] = set()
    limits: Mapping[Path_, Limit] = parts.each("limits")
    for path, limit in limits.items():
        if limit in seen:
            say(path, f"'{limit}' stands twice; keep one")
        seen.add(limit)
        for because in (why_pointless(limit), why_never(limit, measuring) if measuring is not None else ""):
            if because:
                say(path, because)


def _measuring(parts: Parts) -> Measuring | None:
    """What the charter's audits measure; None where a plug-in measures too, or an audit or the task is not understood."""
    task: Use | None = parts.one("task")
    audits = tuple(use.use for use in parts.each("audits").values())
    groups = tuple(parts.each("data", "groups").values())
    if task is None or not parts.whole("audits") or not is_built_in(audits, task.use):
        return None
    training: Training | None = parts.one("training")
    described = training is not None and learns_from_descriptions(task, training)
    return Measuring(audits, task.use, groups, described, parts.stands("continual"))
