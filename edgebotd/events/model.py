"""What every event and value of the JSON formats is built from."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from edgebotd.protocol.fields import LAST_MILLISECOND, without_controls

ALL: Final = "*"
"""The bot id of events that belong to no one bot."""

BOT_ID_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,31}$"
CONVERSATION_ID_PATTERN: Final = r"^c_[a-z0-9]{20}$"

BotId = Annotated[str, Field(pattern=BOT_ID_PATTERN)]
UserId = Annotated[str, Field(pattern=BOT_ID_PATTERN)]
ConversationId = Annotated[str, Field(pattern=CONVERSATION_ID_PATTERN)]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(without_controls)]
"""What a person calls something: one line."""
RunId = Annotated[str, Field(min_length=1, max_length=128)]
# What is beyond neither an export nor a client can show as a date.
AtMs = Annotated[int, Field(ge=0, le=LAST_MILLISECOND, description="Unix time in milliseconds")]


class Model(BaseModel):
    """A value of the JSON formats: camelCase outside, snake_case inside, immutable, closed."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", ser_json_inf_nan="null"
    )


class Event(Model):
    """Base of all bus events. Subclasses fix `type`."""

    type: str


class BotEvent(Event):
    """An event of one bot."""

    bot_id: BotId
