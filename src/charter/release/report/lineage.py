"""The bundles that a model descends from: for the page, the card and `charter verify`. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from charter.release.record import Record
from charter.release.report.parts import Cell, Heading, Table
from charter.release.report.wording import Wording

DIGEST = 16
"""Characters of a digest that are shown."""


def ancestors_of(provenance: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The ancestors, the nearest first; none where the base is no bundle."""
    found: Sequence[Mapping[str, Any]] = provenance.get("ancestors", ())
    return found


def lineage_tables(record: Record, say: Wording) -> Iterator[Table]:
    """A table of the ancestors, where there are some."""
    ancestors = ancestors_of(record.provenance)
    if not ancestors:
        return
    headings = [Heading(say(f"lineage_{key}")) for key in ("name", "digest", "data", "status")]
    rows = [
        [
            Cell(str(one["name"]), kind="own"),
            Cell(str(one["digest"])[:DIGEST], kind="code"),
            Cell(
                str(one["data"]["id"]),
                say("digest", digest=str(one["data"]["source_digest"])[:DIGEST]),
                "own",
            ),
            Cell(say(f"status_{'released' if one['status'] == 'released' else 'refused'}")),
        ]
        for one in ancestors
    ]
    yield Table(say("lineage"), headings, rows, title=say("lineage"))


def lineage_lines(record: Record) -> Iterator[str]:
    """The ancestors as lines of the card."""
    for place, one in enumerate(ancestors_of(record.provenance)):
        first = "It goes on from the bundle" if not place else "    which goes on from"
        refused = "" if one["status"] == "released" else ", **refused**"
        yield (
            f"- {first} `{_plain(one['name'])}` ({str(one['digest'])[:DIGEST]}{refused}), which learned from "
            f"{_plain(one['data']['id'])}: what is said of that data holds for this model too."
        )


def lineage_told(provenance: Mapping[str, Any]) -> Iterator[str]:
    """The ancestors in a line of `charter verify`: what the bundle says, and that their own bundles were not looked at."""
    names = [f"'{_plain(one['name'])}' ({str(one['digest'])[:DIGEST]})" for one in ancestors_of(provenance)]
    if names:
        yield f"it says that it descends from {', which descends from '.join(names)}; those bundles were not looked at"


def _plain(text: object) -> str:
    return " ".join(str(text).split()).replace("<", "&lt;").replace("`", "'")[:80]
