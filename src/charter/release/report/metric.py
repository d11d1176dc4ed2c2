"""What a metric is called, and what it means."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric's name and its meaning for a reader without training in statistics.

    share: whether its values are shares from 0 to 1, so that plots may use that scale.
    """

    en: str
    zh: str
    meaning_en: str
    meaning_zh: str
    share: bool = True
