"""Fits that one process or several make; run by torchrun as a script, by tests as a module.

torchrun ... shared_fits.py BASE FOLDER NAME...     each fit's weights go to FOLDER/NAME.safetensors
"""

import copy
import dataclasses
import random
import sys
from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors.torch import save_file

from charter import plugins
from charter.data.columns import ROW, Columns
from charter.models.adapters import adapted, full, gradual, head, lora
from charter.models.base import find_base, load_tokenizer
from charter.models.world import ALONE, joined
from charter.privacy.clipping import Adaptive, Flat, PerLayer
from charter.privacy.correlated import Correlated
from charter.privacy.factorisation import factorisation
from charter.privacy.plan import plain
from charter.privacy.private import Private, Units
from charter.privacy.stream import SecretStream
from charter.spec.model import Training
from charter.training.fitting import fit
from charter.training.sharing import follow

WORDS = ["great", "rude", "room", "crew", "the", "was", "very", "clean", "cold", "kind"]
LABELS = ("classification", {"text": "text"}, "label")
PAIRS = ("sentence_similarity", {"text": "text", "other": "text"}, "likeness")
NEAR = ("sentence_embedding", {"text": "text", "other": "text"}, None)
TEXTS = ("masked_language_modelling", {"text": "text"}, None)
FITS = {
    "plain": (LABELS, {}),
    "economies": (LABELS, {"economies": True}),
    "a part that is never used": (PAIRS, {"weight_decay": 0.9}),
    "a loss in which examples meet": (NEAR, {}),
    "gradual unfreezing": (LABELS, {}),
    "only the head learns": (LABELS, {}),
    "long": (LABELS, {"epochs": 15}),
    "private": (LABELS, {}),
    "private, by document": (TEXTS, {}),
    "private, noise taken back": (LABELS, {"optimizer": "sgd"}),
    "private, only the head learns": (LABELS, {}),
    "private, checkpointed and corrected": (LABELS, {"gradient_checkpointing": True}),
    "split": (LABELS, {"sharding": "full"}),
    "split, checkpointed": (LABELS, {"sharding": "full", "gradient_checkpointing": True}),
    "split, with a part that is never used": (PAIRS, {"sharding": "full", "weight_decay": 0.9}),
    "split, a loss in which examples meet": (NEAR, {"sharding": "full"}),
    "split language model": (TEXTS, {"sharding": "full"}),
    "split, layers at rates of their own": (LABELS, {"sharding": "full"}),
    "split beside what doesn't learn": (LABELS, {"sharding": "full"}),
    "split and long": (LABELS, {"sharding": "full", "epochs": 15}),
    "split where only the head learns": (LABELS, {"sharding": "full"}),
    "split where layers rest": (LABELS, {"sharding": "full"}),
}
ADAPTERS = {
    "gradual unfreezing": gradual(decay=0.8),
    "only the head learns": head(),
    "private, only the head learns": head(),
    "split, layers at rates of their own": gradual(decay=0.8, over=0.0),
    "split where layers rest": gradual(decay=0.8),
    "split beside what doesn't learn": lora(),
    "split where only the head learns": head(),
}
PRIVATE = {
    "private": {"clipping": Adaptive(0.5, 0.5, 0.2, 3.0)},
    "private, by document": {"clipping": PerLayer(0.5)},
    "private, noise taken back": {"clipping": Flat(0.5), "bands": 3},
    "private, only the head learns": {"clipping": Flat(0.5)},
    "private, checkpointed and corrected": {"clipping": Flat(0.5), "corrected": True},
}
REFUSED = ("split where only the head learns", "split where layers rest")


def rows():
    """90 rows: the last batch of an epoch is smaller, and a process may have no part in it."""
    rng = random.Random(5)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(2, 12))) for _ in range(90)]
    return pl.DataFrame(
        {
            ROW: range(90),
            "text": texts,
            "other": texts[::-1],
            "label": ["good" if "great" in one else "bad" for one in texts],
            "likeness": [rng.random() for _ in texts],
        }
    )


def fitted(name, base, work, world=ALONE, *, checkpoint_seconds=60.0, on_note=None):
    """The weights of a fit; half a batch at a time, as two processes share it."""
    (use, inputs, target), options = FITS[name]
    task = plugins.make("task", use, {})
    frame, columns = rows(), Columns(inputs=inputs, target=target, form=task.form)
    task = task.fit(frame, columns)
    found = find_base(str(base), None, Path())
    settings = Training(**{"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, **options})
    tokenizer = load_tokenizer(found.folder)
    if task.streams:
        examples = task.encoded([frame], columns, tokenizer, 32, work / "pieces")
    else:
        examples = task.examples(frame, columns, tokenizer, 32)
    parts = None if task.mixes else 8
    plan = plain(
        batch_size=16, micro_batch_size=parts, max_grad_norm=1.0, seed=settings.seed, whole=task.mixes
    )
    if name in PRIVATE:
        plan, examples = private(PRIVATE[name], examples)
    adapter = ADAPTERS.get(name, full())
    model = adapted(found, task, adapter, seed=settings.seed, max_length=32)
    done = fit(
        model, task, examples, None, settings, plan, work=work, logs=work / "logs", world=world,
        layerwise=adapter.layerwise,
        checkpoint_seconds=checkpoint_seconds, on_note=on_note,
    )  # fmt: skip
    return done.model.state_dict()


def private(options, examples):
    """A plan of a unit for each row, and examples whose losses no other one changes."""
    examples = dataclasses.replace(examples, counts=None)
    rows, of = np.unique(examples.rows, return_inverse=True)
    units = None if len(rows) == len(of) else Units(of)
    options = {"corrected": False, **options, "clipping": copy.deepcopy(options["clipping"])}
    kind, bands = Private, options.pop("bands", None)
    if bands is not None:
        per_epoch = round(len(rows) / 16)
        factorised = factorisation(2 * per_epoch, apart=per_epoch, momentum=0.9, bands=bands)
        kind, options = Correlated, {**options, "factorised": factorised, "planned": 2 * per_epoch}
    stream = SecretStream.reproducible(3)
    return kind(16, 8, noise=1.0, delta=1e-5, stream=stream, units=units, **options), examples


def main(base, folder, names):
    torch.set_num_threads(1)
    with joined() as world:
        if world.rank:
            follow(world)
            return
        for name in names:
            weights = fitted(name, base, folder / f"work {name}", world, checkpoint_seconds=0.3)
            save_file({key: one.clone() for key, one in weights.items()}, folder / f"{name}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
