"""A whole run, straight down: prepare, train, export, answer, audit, judge, release."""

from charter.pipeline.result import Result
from charter.pipeline.run import run

__all__ = ["Result", "run"]
