"""Times on record, as people read them."""

from charter.runs.run import UNTOLD


def when(stamp: str, *, seconds: bool = False) -> str:
    """A time such as 2026-12-01T14:58:03Z to the minute, or to the second; of one whose time of day is not told the day alone."""
    if stamp.endswith(UNTOLD):
        return stamp.removesuffix(UNTOLD)
    told = stamp.removesuffix("Z").replace("T", " ")
    return f"{told if seconds else told[:16]} UTC"
