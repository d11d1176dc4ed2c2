"""What can be seen of the released bundle that a charter starts from, before anything runs: from its manifest alone."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from charter.errors import CharterError
from charter.spec.continual import Continual
from charter.spec.document import Path_
from charter.spec.metrics import HEADS_CONTINUED, HEADS_KEPT, listed
from charter.spec.parts import Parts
from charter.spec.use import Use


def ancestor_problems(parts: Parts, place: Path | None) -> Iterator[tuple[Path_, str]]:
    """Problems of a base that is a bundle, and of keys that only such a base has. place: the base's folder, where there is one."""
    manifests = importlib.import_module("charter.release.manifest")  # a room above, needed here only
    is_bundle = place is not None and (place / manifests.MANIFEST).is_file()
    if not is_bundle:
        if parts.one("model", "head") == "keep" and (place is not None or _is_no_folder(parts)):
            yield (
                ("model", "head"),
                "the base is no released bundle, so it has no head of ours; remove the key",
            )
        return
    use: Use | None = parts.one("task")
    if parts.one("model", "head") == "keep" and use is not None and use.use not in HEADS_KEPT:
        yield (
            ("model", "head"),
            f"the heads of task {use.use} can't go on yet, those of {listed(HEADS_KEPT)} can; remove the key",
        )
    try:
        manifest = manifests.read_manifest(place)
    except CharterError as error:
        yield ("model", "base"), str(error)
        return
    yield from _of_manifest(parts, manifest, manifests.ROOT_FORM)


def _of_manifest(parts: Parts, manifest: Any, root: str) -> Iterator[tuple[Path_, str]]:
    if manifest.status != "released" and parts.one("model", "allow_refused") is not True:
        yield (
            ("model", "base"),
            "a draft whose limits were not kept; it was not released. To start from it all the same, write allow_refused: true",
        )
    if root not in manifest.released_forms:
        yield (
            ("model", "base"),
            f"a bundle of {', '.join(manifest.released_forms)} only, and those can't learn on; release it as {root} too",
        )


def _is_no_folder(parts: Parts) -> bool:
    base = parts.one("model", "base")
    return isinstance(base, str) and base.startswith("sample:")


def continual_problems(parts: Parts, say: Callable[[Path_, str], None]) -> None:
    """What goes on is a head, and its own loss; what is left to later models lies beside weights that can learn on."""
    asked: Continual | None = parts.one("continual")
    if asked is None:
        return
    use: Use | None = parts.one("task")
    if use is not None and use.use not in HEADS_CONTINUED:
        say(
            ("continual",),
            f"task {use.use} can't go on from an earlier model yet; {listed(HEADS_CONTINUED)} can. Without this section and without "
            "--continue, the bundle named as model.base is learned on from (transfer), and nothing holds on to what it knew",
        )
    if parts.one("model", "head") == "replace":
        say(
            ("model", "head"),
            "a new head answers nothing of the earlier task, so nothing could be kept; another task beside the earlier one "
            "(task-incremental) is not built: remove this key, or the section continual",
        )
    if parts.one("training", "objective") is not None:
        say(
            ("training", "objective"),
            "continual learning holds on to a head by the task's own loss; remove one of the two",
        )
    if asked.keep is not None and asked.keep.use == "ewc" and parts.one("training", "economies") is True:
        say(
            ("training", "economies"),
            "ewc holds on to every word's embedding, and economies update only those of a batch's words; remove one of the two",
        )
    if asked.leaves and "safetensors" not in (parts.one("release", "formats") or ()):
        say(
            ("release", "formats"),
            "what continual leaves to later models needs weights that can learn on; add safetensors",
        )
