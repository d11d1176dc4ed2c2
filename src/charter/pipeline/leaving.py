"""What a bundle leaves to the models after it: a memory of training rows, and the Fisher information of its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from charter import plugins
from charter.data.columns import ROW, SPLIT
from charter.data.reservoir import Reservoir
from charter.models.base import load_model, load_tokenizer
from charter.pipeline.ancestry import Ancestor
from charter.pipeline.exporting import Exported
from charter.pipeline.learning import LIBRARIES
from charter.pipeline.preparing import PreparedData, prepared_anew, row_wise_uses
from charter.pipeline.replaying import REPLAYED, read_memory, renamed_memory
from charter.release.manifest import FISHER, MEMORY
from charter.runs.digest import file_digest
from charter.runs.files import read_json, write_json, write_table
from charter.runs.run import Run
from charter.runs.store import Stage
from charter.spec.continual import Continual
from charter.spec.model import Charter
from charter.training.retention import Elastic, diagonal_fisher

LEAVE = "leave"
VERSION = 3


@dataclass(frozen=True)
class Left:
    """The files that go into the bundle, by their names there, and what the provenance says of them."""

    files: Mapping[str, Path]
    facts: Mapping[str, Any]


NOTHING = Left({}, {})


def leave(
    run: Run, charter: Charter, data: PreparedData, exported: Exported, ancestor: Ancestor | None
) -> Left:
    """What `continual` asks for: nothing, where the charter has no such section. exported: the form with weights."""
    asked = charter.continual
    if asked is None or not asked.leaves:
        return NOTHING
    before = {
        name: ancestor.bundle.folder / name
        for name in (MEMORY, FISHER)
        if ancestor is not None and (ancestor.bundle.folder / name).is_file()
    }
    stage = Stage(
        LEAVE,
        VERSION,
        options={
            "remember": asked.remember,
            "fisher": asked.fisher,
            "decay": _decay(asked),
            "max_length": charter.model.max_length,
            "earlier_memory": _told(ancestor),
            "prepare": row_wise_uses(charter) if MEMORY in before and asked.remember is not None else [],
            "roles": data.columns.as_json(),
        },
        inputs={
            "model": exported.digest,
            "rows": data.artifact.digest,
            **{name: file_digest(path) for name, path in before.items()},
        },
        libraries=(*LIBRARIES, "safetensors"),
        seed=charter.training.seed,
    )

    def make(files: Path, work: Path) -> None:
        del work
        facts: dict[str, Any] = {}
        if asked.remember is not None:
            facts["memory"] = _remember(
                charter, data, before.get(MEMORY), _told(ancestor), files / Path(MEMORY).name
            )
        if asked.fisher is not None:
            facts["fisher"] = _weigh(charter, data, exported, before.get(FISHER), files / Path(FISHER).name)
        write_json(files / "facts.json", facts)

    artifact = run.step(stage, make)
    there = {name: artifact.path / Path(name).name for name in (MEMORY, FISHER)}
    facts = read_json(artifact.path / "facts.json")
    held, asked_for = facts.get("memory", {}).get("rows", 0), asked.remember or 0
    if held < min(asked_for, facts.get("memory", {}).get("seen", 0)):
        run.note(
            LEAVE,
            f"the memory holds {held} rows, as many as the earlier one: a larger one would not be a fair sample of all tasks",
        )
    return Left({name: path for name, path in there.items() if path.is_file()}, facts)


def _told(ancestor: Ancestor | None) -> Mapping[str, Any]:
    """What the earlier bundle says of its memory: of how many rows it is a sample, whether they are masked, and public."""
    told: Mapping[str, Any] = {} if ancestor is None else ancestor.record.provenance.get("left", {})
    return {key: one for key, one in told.get("memory", {}).items() if key in ("seen", "masked", "public")}


def _decay(asked: Continual) -> float:
    if asked.keep is None or asked.keep.use != "ewc":
        return 1.0
    kept: Elastic = plugins.make("retention", "ewc", asked.keep.options)
    return kept.decay


def _remember(
    charter: Charter, data: PreparedData, earlier: Path | None, before: Mapping[str, Any], place: Path
) -> dict[str, Any]:
    """Write a reservoir sample of all training rows so far, inputs and target alone, prepared as ours are; what is said of it."""
    assert charter.continual is not None and charter.continual.remember is not None
    columns, capacity, seed = data.columns, charter.continual.remember, charter.training.seed
    named = [*columns.inputs, str(columns.target)]
    own = data.scan("train").filter(pl.col(ROW) > REPLAYED).select(named).collect()
    held = own.clear()
    if earlier is not None:  # where the charter masks, so are they: nothing unmasked becomes an artefact
        held = prepared_anew(renamed_memory(read_memory(earlier), columns), charter, columns, data.folder)
    if held.height > capacity:
        held = held[np.sort(np.random.default_rng(seed).permutation(held.height)[:capacity]).tolist()]
    seen = int(before.get("seen", 0)) if earlier is not None else 0
    sample = Reservoir(np.arange(held.height), seen, capacity).after(own.height, seed)
    old = [int(place) for place in sample.places if place < seen]
    new = [int(place) - seen for place in sample.places if place >= seen]
    write_table(place, pl.concat([held[old], own[new]]))
    masked = any(use.use == "mask_pii" for use in charter.data.prepare)
    theirs = before if old else {}  # a memory is public as the least of its rows
    return {
        "rows": len(sample.places),
        "seen": sample.seen,
        "earlier_rows": len(old),
        "masked": masked,
        "public": charter.data.public and bool(theirs.get("public", True)),
    }


def _weigh(
    charter: Charter, data: PreparedData, exported: Exported, earlier: Path | None, place: Path
) -> dict[str, Any]:
    """Write the diagonal of the Fisher information at the released weights, with the earlier tasks' added; what is said of it."""
    import torch
    from safetensors.torch import load_file, save_file

    assert charter.continual is not None and charter.continual.fisher is not None
    rows = data.scan("train").filter((pl.col(ROW) > REPLAYED) & (pl.col(SPLIT) == "train")).collect()
    some = rows.sample(min(charter.continual.fisher, rows.height), seed=charter.training.seed, shuffle=True)
    model, tokenizer = load_model(exported.folder, exported.task), load_tokenizer(exported.folder)
    examples = exported.task.examples(
        some, data.columns, tokenizer, charter.model.max_length, with_targets=False
    )
    found = diagonal_fisher(model, examples, charter.training.seed, exported.task.kept)
    if earlier is not None:
        for name, one in load_file(earlier).items():
            if name in found:  # new classes have rows that the earlier tasks say nothing of
                part = tuple(slice(size) for size in one.shape)
                found[name][part] += _decay(charter.continual) * one.to(found[name].dtype)
    # Half the bytes of float32 with its range; three digits are more than the estimate has.
    save_file({name: one.to(torch.bfloat16).contiguous() for name, one in found.items()}, place)
    return {"rows": some.height, "earlier": earlier is not None}
