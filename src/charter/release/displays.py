"""Results as a notebook or an interactive session wants them: sequences that show themselves as tables, plots as drawings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from charter.release.judge import Verdict
from charter.release.record import Record
from charter.runs.findings import Finding

if TYPE_CHECKING:
    import polars as pl

    from charter.release.report.parts import Figure
    from charter.release.report.words import Language


@dataclass(frozen=True, repr=False)
class Findings(Sequence[Finding]):
    """Findings in the order they were measured."""

    items: tuple[Finding, ...]
    language: "Language" = "en"

    @overload
    def __getitem__(self, at: int) -> Finding: ...
    @overload
    def __getitem__(self, at: slice) -> "Findings": ...
    def __getitem__(self, at: int | slice) -> "Finding | Findings":
        return Findings(self.items[at], self.language) if isinstance(at, slice) else self.items[at]

    def __len__(self) -> int:
        return len(self.items)

    def where(
        self, *, area: str | None = None, metric: str | None = None, split: str | None = None, **slices: str
    ) -> "Findings":
        """Those of an area, a metric, a split; and with slices (`topic="airlines"`, `topic="*"`) those of such parts only."""
        kept = [
            one
            for one in self.items
            if area in (None, one.area)
            and metric in (None, one.metric)
            and split in (None, one.split)
            and all(name in one.slice and value in ("*", one.slice[name]) for name, value in slices.items())
        ]
        return Findings(tuple(kept), self.language)

    def frame(self) -> "pl.DataFrame":
        """A table {area, metric, slice, value, low, high, confidence, n, unit, split, method, because}, a row each."""
        import polars as pl

        schema: dict[str, Any] = {
            "area": pl.String, "metric": pl.String, "slice": pl.String, "value": pl.Float64, "low": pl.Float64,
            "high": pl.Float64, "confidence": pl.Float64, "n": pl.Int64, "unit": pl.String, "split": pl.String,
            "method": pl.String, "because": pl.String,
        }  # fmt: skip
        rows = [{**{name: getattr(one, name) for name in schema}, "slice": _slice(one)} for one in self.items]
        return pl.DataFrame(rows, schema=schema)

    def __repr__(self) -> str:
        return f"<{len(self)} findings>"

    def _repr_html_(self) -> str:
        from charter.release.report.notebook import findings_html

        return findings_html(self.items, self.language)


@dataclass(frozen=True, repr=False)
class Verdicts(Sequence[Verdict]):
    """Verdicts in the order of the charter's limits."""

    items: tuple[Verdict, ...]
    language: "Language" = "en"

    @overload
    def __getitem__(self, at: int) -> Verdict: ...
    @overload
    def __getitem__(self, at: slice) -> "Verdicts": ...
    def __getitem__(self, at: int | slice) -> "Verdict | Verdicts":
        return Verdicts(self.items[at], self.language) if isinstance(at, slice) else self.items[at]

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return "\n".join(f"{one.outcome}: {one.limit} ({one.because})" for one in self.items)

    def _repr_html_(self) -> str:
        from charter.release.report.notebook import verdicts_html

        return verdicts_html(self.items, self.language)


@dataclass(frozen=True, repr=False)
class Plots(Mapping[str, "Plots"]):
    """Plots by the section of the report they stand in (`scores`, `groups`, `learning`, `learning_2`); one is a Plots of one."""

    figures: "Mapping[str, Figure]"
    language: "Language" = "en"

    def __getitem__(self, name: str) -> "Plots":
        if name not in self.figures:
            raise KeyError(f"no plot '{name}'; there are {', '.join(self.figures)}")
        return Plots({name: self.figures[name]}, self.language)

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def __repr__(self) -> str:
        return f"<plots: {', '.join(self.figures)}>"

    def _repr_html_(self) -> str:
        from charter.release.report.notebook import output
        from charter.release.report.wording import Wording

        return output(Wording(self.language), parts=list(self.figures.values()))


def plots_of(record: Record) -> Plots:
    """Every plot of a run's report, in the charter's language."""
    from charter.release.report.notebook import figures
    from charter.release.report.wording import Wording

    language = record.charter.report.language
    return Plots(figures(record, Wording(language)), language)


def _slice(finding: Finding) -> str:
    return ", ".join(f"{name}={value}" for name, value in finding.slice.items())
