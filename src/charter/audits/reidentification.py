"""How easily people could be told in a table by what others may know of them: k-anonymity, l-diversity, t-closeness.

Rows that agree in all quasi-identifiers form a class. k-anonymity (Samarati 2001; Sweeney 2002) is the size of the smallest one;
l-diversity (Machanavajjhala et al., TKDD 2007, sections 4.1 and 4.2) is how many values of the sensitive column a class has at least,
counted or as the exponential of their entropy; t-closeness (Li et al., ICDE 2007, section 4) is how far the sensitive values of a
class lie from those of the whole table at most, by the earth mover's distance. No value of any column stands in a finding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.audits.case import Audit, Case
from charter.data.columns import ROW
from charter.errors import DataError
from charter.runs.digest import frame_digest
from charter.runs.findings import Finding

AREA = "reidentification"
Column = Annotated[str, Field(min_length=1)]
Distance = Literal["categorical", "ordered"]
Missing = Literal["value", "left_out"]
_CLASS, _COUNT, _PERSON = "_class", "_count", "_person"


def reidentification(
    *,
    quasi_identifiers: Annotated[
        tuple[Column, ...],
        Field(min_length=1, description="columns that others may know of a person; of data.groups"),
    ],
    sensitive: Annotated[
        Column | None, Field(description="the column that nobody should learn: of data.groups, or the target")
    ] = None,
    k: Annotated[int, Field(ge=2, description="classes of fewer people are counted")] = 5,
    distance: Annotated[
        Distance,
        Field(
            description="of sensitive values: all as far apart (categorical), or numbers by their ranks (ordered)"
        ),
    ] = "categorical",
    missing: Annotated[
        Missing,
        Field(description="a missing quasi-identifier is a value like others, or its row is left out"),
    ] = "value",
) -> Audit:
    """Smallest class of equal quasi-identifiers, rows in small ones, l-diversity and t-closeness, of the training rows.

    It counts a table as it is: no interval, and no promise about what others know beside these columns. With `data.subject` a class
    counts people, else rows; repeated rows count once.
    """

    def measure(case: Case) -> list[Finding]:
        subject = case.columns.subject
        wanted = [
            *quasi_identifiers,
            *([sensitive] if sensitive is not None else []),
            *([subject] if subject else []),
        ]
        if absent := [name for name in wanted if name not in case.train.columns]:
            raise DataError(
                f"audit 'reidentification': column '{absent[0]}' has no role, so it was not kept; name it in data.groups"
            )
        rows = case.train.unique(ROW, maintain_order=True)
        rows = rows.with_columns(pl.col(subject) if subject else pl.col(ROW)).rename(
            {subject or ROW: _PERSON}
        )
        held = rows.drop_nulls(list(quasi_identifiers)) if missing == "left_out" else rows
        said = _said(
            rows.height - held.height,
            held.select(quasi_identifiers).null_count().sum_horizontal()[0],
            missing,
        )
        common: dict[str, Any] = {
            "of": case.of,
            "on": frame_digest(case.train.select(list(dict.fromkeys(wanted)))),
            "split": "train",
        }
        if not held.height:
            because = "insufficient evidence: no row has every quasi-identifier"
            return [
                Finding(AREA, name, None, because=because, **common)
                for name in ("k_anonymity", "rows_in_small_classes")
            ]
        classes = held.group_by(list(quasi_identifiers)).agg(
            pl.col(_PERSON).n_unique().alias(_COUNT), pl.len().alias("rows")
        )
        of_classes = _classes(classes, k, "people" if subject else "rows", said)
        found = [Finding(AREA, **one, n=held.height, **common) for one in of_classes]
        if sensitive is None:
            return found
        known = held.drop_nulls(sensitive)
        told = _said(held.height - known.height, 0, "left_out", "sensitive value")
        if not known.height:
            because = "insufficient evidence: no row has a sensitive value"
            return [*found, Finding(AREA, "t_closeness", None, because=because, **common)]
        shares = sensitive_shares(known, quasi_identifiers, sensitive, distance)
        return [
            *found,
            *(Finding(AREA, **one, n=known.height, **common) for one in _sensitive(shares, distance, told)),
        ]

    return measure


def _said(left_out: int, missing: int, how: Missing, what: str = "quasi-identifier") -> str:
    if how == "left_out":
        return f"; {left_out} rows without a {what} left out" if left_out else ""
    return f"; {missing} missing values count as a value of their own" if missing else ""


def _exact(metric: str, value: float, method: str, **more: Any) -> dict[str, Any]:
    """A count of the table itself: both ends of its interval are the value, so that it can be limited."""
    return {"metric": metric, "value": value, "low": value, "high": value, "method": method, **more}


def _classes(classes: pl.DataFrame, k: int, unit: str, said: str) -> list[dict[str, Any]]:
    """What the sizes of the classes say."""
    sizes, rows = classes[_COUNT].to_numpy(), classes["rows"].to_numpy()
    small, alone = sizes < k, sizes == 1
    total = int(rows.sum())
    counted = "counted over the training rows"
    picture = {"kind": "table", "name": "classes", "rows": _by_size(sizes, rows)}
    return [
        _exact(
            "k_anonymity",
            float(sizes.min()),
            f"{unit} in the smallest class, {counted}{said}",
            unit=unit,
            attachment=picture,
        ),
        _exact(
            "rows_in_small_classes",
            float(rows[small].sum() / total),
            f"share of rows in classes of fewer than {k} {unit}{said}",
        ),
        _exact("rows_alone", float(rows[alone].sum() / total), f"share of rows in classes of one{said}"),
        _exact(
            "class_size",
            float(np.median(np.repeat(sizes, rows))),
            f"{unit} in the class of the median row{said}",
            unit=unit,
        ),
        _exact("classes", float(len(sizes)), f"{counted}{said}", unit="classes"),
    ]


BOUNDS = (1, 2, 5, 10, 20, 50, 100, 1000)
"""The sizes at which classes are counted apart: from each to below the next."""


def _by_size(sizes: NDArray[Any], rows: NDArray[Any]) -> list[dict[str, int]]:
    """How many classes and rows there are, by size of class; `to` 0: and more."""
    found = []
    for start, stop in zip(BOUNDS, (*BOUNDS[1:], 0), strict=True):
        inside = (sizes >= start) & ((sizes < stop) | (stop == 0))
        if inside.any():
            found.append(
                {
                    "from": start,
                    "to": stop - 1 if stop else 0,
                    "classes": int(inside.sum()),
                    "rows": int(rows[inside].sum()),
                }
            )
    return found


@dataclass(frozen=True)
class SensitiveShares:
    """By class (rows) and sensitive value (columns, in their order): the share of the class; and of the whole table.

    shares: (classes, values), each row sums to 1. whole: (values,).
    """

    shares: NDArray[np.float64]
    whole: NDArray[np.float64]


def sensitive_shares(
    rows: pl.DataFrame, quasi_identifiers: Sequence[str], sensitive: str, distance: Distance = "categorical"
) -> SensitiveShares:
    """The distribution of sensitive values in every class.

    Raises:
        DataError: ordered values that are no numbers, or values that are lists.
    """
    if rows.schema[sensitive].is_nested():
        raise DataError(
            f"audit 'reidentification': column '{sensitive}' holds lists; one value a row is needed"
        )
    values = rows[sensitive]
    if distance == "ordered" and not values.dtype.is_numeric():
        numbers = values.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
        if bad := int(numbers.null_count()):
            raise DataError(
                f"audit 'reidentification': distance: ordered needs numbers, and {bad} of {len(values)} values of column "
                f"'{sensitive}' are none; write distance: categorical, or codes that sort"
            )
        values = numbers
    order = values.rank("dense").to_numpy().astype(np.int64) - 1
    group = _numbered(rows, quasi_identifiers)
    counts = np.zeros((int(group.max()) + 1, int(order.max()) + 1))
    np.add.at(counts, (group, order), 1.0)
    return SensitiveShares(counts / counts.sum(axis=1, keepdims=True), counts.sum(axis=0) / counts.sum())


def _numbered(rows: pl.DataFrame, quasi_identifiers: Sequence[str]) -> NDArray[np.int64]:
    """(rows,) the number of each row's class, from 0."""
    names = list(quasi_identifiers)
    numbered = rows.select(names).unique(maintain_order=True).with_row_index(_CLASS)
    joined = rows.select(names).join(numbered, on=names, how="left", nulls_equal=True, maintain_order="left")
    return joined[_CLASS].to_numpy().astype(np.int64)


def distinct_l(of: SensitiveShares) -> int:
    """The fewest different sensitive values in a class (Machanavajjhala et al. 2007, section 4.1)."""
    return int((of.shares > 0).sum(axis=1).min())


def entropy_l(of: SensitiveShares) -> float:
    """The least exponential of the entropy of a class's sensitive values (section 4.2, definition 4.1); 1: all alike."""
    logs = np.where(of.shares > 0, np.log(np.where(of.shares > 0, of.shares, 1.0)), 0.0)
    return float(np.exp(-(of.shares * logs).sum(axis=1)).min())


def t_distance(of: SensitiveShares, distance: Distance) -> float:
    """The greatest distance of a class's sensitive values from the whole table's (Li et al. 2007), 0 to 1.

    categorical: every value is as far from every other (section 4.3, equal distance), so half the summed differences. ordered: the
    distance of two values is that of their ranks over the number of ranks less one (ordered distance), so the mean absolute
    cumulative difference.
    """
    differences = of.shares - of.whole
    if distance == "categorical":
        return float(np.abs(differences).sum(axis=1).max() / 2)
    ranks = max(of.shares.shape[1] - 1, 1)
    return float(np.abs(np.cumsum(differences, axis=1)).sum(axis=1).max() / ranks)


def _sensitive(of: SensitiveShares, distance: Distance, said: str) -> list[dict[str, Any]]:
    far = "equal distances" if distance == "categorical" else "distances of ranks"
    return [
        _exact(
            "distinct_l_diversity",
            float(distinct_l(of)),
            f"fewest sensitive values in a class{said}",
            unit="values",
        ),
        _exact(
            "entropy_l_diversity",
            entropy_l(of),
            f"least exponential of the entropy in a class{said}",
            unit="values",
        ),
        _exact(
            "t_closeness",
            t_distance(of, distance),
            f"greatest earth mover's distance of a class, {far}{said}",
        ),
    ]
