"""The charter's section `continual`: how a model goes on from a released bundle, and what it leaves to the models after it."""

from typing import Literal

from pydantic import Field

from charter.spec.fields import Count, Section
from charter.spec.use import Use


class Continual(Section):
    """How a model goes on from a released bundle without forgetting, and what it leaves to the models after it."""

    keep: Use | None = Field(
        Use(use="lwf"),
        description="what holds on to the earlier model while the new data is learned: lwf or ewc",
    )
    replay: Count | None = Field(
        None,
        description="so many earlier training rows are learned from beside the new ones: from the memory in the earlier bundle, "
        "or from this run store",
    )
    remember: Count | None = Field(
        None,
        description="so many training rows, as prepared, go into the bundle, for the models after it: whoever has the bundle can "
        "read them",
    )
    fisher: Count | None = Field(
        None,
        description="the Fisher information, estimated on so many training rows, goes into the bundle: what ewc after it needs",
    )
    judge_on: Literal["store", "source"] = Field(
        "store",
        description="where the earlier models' test rows come from: this run store; source: the data of each is read and prepared anew, "
        "by its own charter, from the bundles of the chain",
    )

    @property
    def leaves(self) -> bool:
        """Whether the bundle carries something for the models after it."""
        return self.remember is not None or self.fisher is not None
