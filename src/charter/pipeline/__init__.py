"""A whole run, straight down: prepare, train, export, answer, audit, judge, release."""

from charter.pipeline.run import Result, run

__all__ = ["Result", "run"]
