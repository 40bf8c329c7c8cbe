"""What every part of `tideover.yaml` is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

from tideover_discovery.durations import seconds

Duration = Annotated[float, BeforeValidator(seconds), WithJsonSchema({"type": "string", "examples": ["10s"]})]


class Strict(BaseModel):
    """Keys are camelCase; unknown ones and other types than the one that is meant are errors."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, validate_default=False
    )
