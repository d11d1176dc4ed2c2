"""A plug-in as a charter names it, with its options."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_serializer


class Use(BaseModel):
    """A plug-in and its options, written `{use: NAME, option: value}`."""

    model_config = ConfigDict(frozen=True, extra="allow")
    use: str = Field(min_length=1, description="the plug-in's name")

    @property
    def options(self) -> Mapping[str, Any]:
        """The options as written; the plug-in's signature checks them and fills in the rest."""
        return MappingProxyType(dict(self.__pydantic_extra__ or {}))

    @model_serializer
    def _written(self) -> dict[str, Any]:
        return {"use": self.use, **self.options}
