"""How a run tells its caller how far it is; the command line draws bars from it, a notebook or a test may too."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of a stage are finished; `text` is a short measure such as `loss 0.53`."""

    stage: str
    done: int
    total: int
    text: str = ""


OnProgress = Callable[[Progress], None]
