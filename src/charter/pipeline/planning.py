"""The step plan of a fit: plain, or private within the charter's budget."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from charter import plugins
from charter.data.batch import Examples
from charter.data.columns import ROW
from charter.errors import DataError, MissingExtraError
from charter.pipeline.preparing import PreparedData
from charter.privacy.accounting import noise_for
from charter.privacy.best_of import Numbers
from charter.privacy.clipping import Clipping
from charter.privacy.correlated import Correlated
from charter.privacy.entries import Unit
from charter.privacy.factorisation import factorisation
from charter.privacy.plan import Spend, StepPlan, plain
from charter.privacy.private import Private, Units
from charter.privacy.stream import KEY_BYTES, SecretStream
from charter.runs.files import sync_folder
from charter.spec.model import Charter
from charter.spec.privacy import Privacy
from charter.spec.training import Training
from charter.tasks.objective import Objective

FEW_UPDATES = 20
"""Fewer private updates teach little."""
KEY = "stream.key"
LIBRARIES = ("cryptography", "dp-accounting")
SMALL_BATCH, SMALL_RATE = 256, 2e-4
"""Below these settings private training is advised about."""
ADAM_MOMENTUM = 0.9
"""The decay of AdamW's first moment, here as everywhere."""


def check_private(charter: Charter) -> None:
    """Find before any work what private training needs.

    Raises:
        MissingExtraError: a library is not installed.
    """
    from importlib.util import find_spec

    if charter.privacy is not None and not (find_spec("dp_accounting") and find_spec("cryptography")):
        raise MissingExtraError("the section privacy", "privacy").about("privacy")


def settled(charter: Charter, settings: Training) -> Training:
    """The settings that hold: under privacy the last update is kept, since a choice would read rows outside the budget."""
    if charter.privacy is None:
        return settings
    return settings.model_copy(update={"keep": "last", "precision": "float32", "max_grad_norm": None})


def told_alone(charter: Charter, examples: Examples) -> Examples:
    """The examples, under privacy each with a loss that no other one changes."""
    return examples if charter.privacy is None else replace(examples, counts=None, beside=None)


def plan_of(
    charter: Charter,
    settings: Training,
    examples: Examples,
    learned: Objective,
    work: Path,
    *,
    batch_size: int,
    subjects: Mapping[int, str | None],
    stream: SecretStream | None = None,
) -> StepPlan:
    """How updates are made. work: where a private plan keeps its key. subjects: the person of each row, where they are protected.

    stream: what a private plan draws from, where it is no stream of its own in `work`.

    Raises:
        DataError: a batch can't be computed in parts, as the settings ask; its examples meet in the loss, under privacy; or no noise
            keeps the budget.
    """
    if charter.privacy is not None and learned.mixes:
        raise DataError(
            f"{learned.name} compares each example with the others of its batch, so no example's influence can be bounded alone; "
            "take one of the two out"
        ).about("privacy")
    if charter.privacy is not None:
        units = _units(charter, examples, subjects)
        return _private(charter, settings, units, len(examples), stream or stream_of(charter, settings, work))
    if learned.mixes and settings.micro_batch_size is not None:
        raise DataError(
            f"{learned.name} compares each example with the others of its whole batch; remove it, and lower batch_size where memory is "
            "short"
        ).about("training", "micro_batch_size")
    return plain(
        batch_size=batch_size,
        micro_batch_size=settings.micro_batch_size,
        max_grad_norm=settings.max_grad_norm,
        seed=settings.seed,
        tokens_per_batch=settings.tokens_per_batch,
        lengths=examples.tokens,
        whole=learned.mixes,
    )


def stream_of(charter: Charter, settings: Training, work: Path) -> SecretStream:
    """What a private training draws from: the stream of the unfinished one in `work`, or a new one; or one that the seed repeats."""
    asked = charter.privacy
    reproducible = asked is not None and asked.reproducible_noise
    return SecretStream.reproducible(settings.seed) if reproducible else _kept(work)


def trials_of(charter: Charter) -> Numbers | None:
    """How many trials a private search makes; None where a charter asks for none."""
    search = charter.training.search
    if charter.privacy is None or search is None:
        return None
    return Numbers(search.distribution or "poisson", float(search.trials))


def _private(
    charter: Charter, settings: Training, units: Units | None, n: int, stream: SecretStream
) -> Private:
    asked, trials = charter.privacy, trials_of(charter)
    assert asked is not None
    clipping: Clipping = plugins.make("clipping", asked.clipping.use, asked.clipping.options)
    unlimited = Private(
        settings.batch_size,
        settings.micro_batch_size,
        clipping,
        0.0,
        asked.delta,
        stream,
        units,
        asked.noise_bias_correction,
        asked.neighbouring,
        trials,
    )
    steps = settings.epochs * unlimited.steps_per_epoch(n)
    if not steps:
        return unlimited
    correlated = asked.mechanism == "matrix_factorisation"
    key = "bands"
    try:
        if correlated:
            unlimited = _correlated(unlimited, asked, settings, n)
        key = "epsilon"
        noise = noise_for(
            asked.epsilon,
            asked.delta,
            rate=1.0 if correlated else unlimited.rate(n),
            steps=1 if correlated else steps,
            neighbouring=asked.neighbouring,
            distribution=None if trials is None else trials.distribution,
            mean=1.0 if trials is None else trials.mean,
        )
        key = "clipping"
        clipping.noise(noise)
    except ValueError as error:
        raise DataError(
            f"{error} (batch_size {settings.batch_size}, {unlimited.count(n):,} units, {settings.epochs} epochs)"
        ).about("privacy", key) from None
    return replace(unlimited, noise=noise)


def _correlated(plan: Private, asked: Privacy, settings: Training, n: int) -> Private:
    """The plan with noise that hangs together over updates. AdamW weighs gradients by its first moment as SGD does by momentum."""
    per_epoch = plan.steps_per_epoch(n)
    factorised = factorisation(
        settings.epochs * per_epoch,
        apart=per_epoch,
        momentum=settings.momentum if settings.optimizer == "sgd" else ADAM_MOMENTUM,
        bands=asked.bands,
    )
    given = {one.name: getattr(plan, one.name) for one in fields(plan)}
    return Correlated(**given, factorised=factorised, planned=settings.epochs * per_epoch)


def private_advice(charter: Charter, plan: StepPlan, n: int, steps: int) -> Iterator[str]:
    """What is to be said of a private plan before it learns: a delta that promises nothing, and settings that the noise drowns."""
    if not isinstance(plan, Private):
        return
    count, unit = plan.count(n), "persons" if charter_unit(charter) == "subject" else "rows"
    if plan.delta * count >= 1:
        yield (
            f"privacy.delta {plan.delta:g} is no less than one over the {count:,} {unit}: a training that gives somebody's data away whole "
            f"could keep it; set it well below {1 / count:.1g}"
        )
    if 0 < steps < FEW_UPDATES:
        yield (
            f"only {steps} updates: batch_size counts {unit} here, {plan.batch_size:,} of {count:,}; lower training.batch_size or raise "
            "training.epochs"
        )
    training = charter.training
    if steps and plan.batch_size < SMALL_BATCH and count >= 4 * SMALL_BATCH:
        yield (
            f"batch_size {plan.batch_size} is small for private training: an update gets the same noise whatever its size, so fewer "
            f"and larger ones say more; try batch_size {SMALL_BATCH} to {16 * SMALL_BATCH} (memory does not grow with it)"
        )
    searched = None if training.search is None else training.search.space.get("learning_rate")
    slow = searched is None and training.learning_rate < SMALL_RATE
    if steps and training.optimizer == "adamw" and slow:
        yield (
            f"learning_rate {training.learning_rate:g} is small for private training: with few large updates 5e-4 to 2e-3 are usual for "
            "adamw"
        )


def promised(charter: Charter, count: int) -> Spend:
    """What a training of a charter on so many units will be charged, known before it begins.

    Raises:
        DataError: no noise keeps the budget.
    """
    assert charter.privacy is not None
    settings = settled(charter, charter.training)
    plan = _private(charter, settings, None, count, SecretStream.fresh())
    return plan.cost(count, settings.epochs * plan.steps_per_epoch(count))


def unit_count(charter: Charter, data: PreparedData) -> int:
    """How many units a charter's privacy budget protects: training rows, or the persons that they are about."""
    if charter_unit(charter) == "row":
        return int(data.scan("train").select(pl.len()).collect().item())
    persons = list(subjects_of(charter, data).values())
    return len({one for one in persons if one is not None}) + persons.count(None)


def kept_key(work: Path) -> bytes | None:
    """The key of an unfinished training; None where there is none, or where one was overwritten and then not removed any more."""
    try:
        key = (work / KEY).read_bytes()
    except FileNotFoundError:
        return None
    return key if len(key) == KEY_BYTES and any(key) else None


def subjects_of(charter: Charter, data: PreparedData) -> Mapping[int, str | None]:
    """The person of each training row by the row's number, where persons are what a privacy budget protects; else nothing."""
    if charter.privacy is None or charter_unit(charter) == "row":
        return {}
    subject = charter.data.subject
    assert subject is not None
    rows = data.scan("train").select(ROW, subject).collect()
    return dict(zip(rows[ROW].to_list(), rows[subject].to_list(), strict=True))


def _units(charter: Charter, examples: Examples, subjects: Mapping[int, str | None]) -> Units | None:
    """What is drawn and bounded together: a row's examples (a document's pieces), or all of a person's; None: each alone."""
    asked = charter.privacy
    assert asked is not None
    if charter_unit(charter) == "row":
        found, of = np.unique(examples.rows, return_inverse=True)
        return None if len(found) == len(of) else Units(of.astype(np.int64))
    numbers: dict[Any, int] = {}
    # a row without a subject is a person of its own
    names = (
        (subjects[int(row)], None) if subjects[int(row)] is not None else (None, int(row))
        for row in examples.rows
    )
    of = np.asarray([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
    return Units(of, asked.rows_per_subject)


def _kept(work: Path) -> SecretStream:
    """The stream of an unfinished training, or a new one whose key is kept until it is finished."""
    place = work / KEY
    key = kept_key(work)
    if key is not None:
        return SecretStream(key)
    stream = SecretStream.fresh()
    work.mkdir(parents=True, exist_ok=True)
    aside = place.with_suffix(f".{os.getpid()}.tmp")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(stream.key)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(place)
    sync_folder(work)
    return stream


def destroy_key(work: Path) -> None:
    """Overwrite and remove the key of a training that is finished; whoever had it could take the noise out again."""
    place = work / KEY
    if not place.exists():
        return
    with place.open("r+b") as file:
        file.write(bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    place.unlink()
    sync_folder(work)


def charter_unit(charter: Charter) -> Unit:
    """What a charter's privacy budget protects: `row` or `subject`."""
    asked = charter.privacy
    if asked is None:
        return "row"
    return asked.unit or ("subject" if charter.data.subject is not None else "row")
