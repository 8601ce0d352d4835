"""What words and bodies have in common: readers that a newer regrant doesn't break, writers that are checked."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict


class Word(StrEnum):
    """One of a list of words. A word that isn't on the list (regrant is newer) is kept as it is."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        word = str.__new__(cls, value)
        word._name_, word._value_ = value.upper(), value
        return word


class Received(BaseModel):
    """What regrant sends. Fields that are added later are ignored; an error never shows what came."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, hide_input_in_errors=True)


class Sent(BaseModel):
    """What regrant gets. A field that it doesn't know is an error here already."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)
