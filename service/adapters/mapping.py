"""What a sender's JSON means: a table of rows and a few JSON pointers (RFC 6901), from a file. No language of our own.

The first row whose values all stand where it says tells the outcome. Where none fits, the webhook is about something
else.
"""

from collections.abc import Mapping as Object
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

import orjson
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas import channels
from schemas.channels import Message
from schemas.reasons import Reason
from service.kafka.decode import REASONS_OF_A_SYNC

Outcome: TypeAlias = Literal["started", "succeeded", "failed", "ignored"]
Scalar: TypeAlias = str | bool | int | None

_MESSAGES: dict[Outcome, Message] = {
    "started": channels.SYNC_STARTED,
    "succeeded": channels.SYNC_SUCCEEDED,
    "failed": channels.SYNC_FAILED,
}


class BadMapping(Exception):
    """A mapping file isn't one. The text names the file and where in it."""


def _reason(reason: Reason) -> Reason:
    if reason not in REASONS_OF_A_SYNC:
        raise ValueError("isn't a reason that a sync may give")
    return reason


Pointer = Annotated[str, Field(pattern=r"^(/([^/~]|~[01])*)+$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Signed(_Part):
    """How the sender proves who it is."""

    by: Literal["hmac-sha256", "bearer", "address"]
    """A signature of the body, `Authorization: Bearer`, or the last part of the address."""
    header: str | None = Field(None, pattern=r"^[A-Za-z0-9-]{1,64}$")
    """Where the signature stands."""
    written: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    """What stands before the signature, like `sha256=`."""

    @model_validator(mode="after")
    def _a_signature_has_its_header(self) -> Self:
        if (self.by == "hmac-sha256") != (self.header is not None):
            raise ValueError("hmac-sha256 needs a header, and nothing else does")
        return self


class Row(_Part):
    """One line of the table."""

    when: dict[Pointer, Scalar | tuple[Scalar, ...]]
    """What must stand where; several values: one of them. Empty: always."""
    outcome: Outcome
    reason: Annotated[Reason, AfterValidator(_reason)] | None = None
    started_at: Pointer | None = None
    """Where this row's webhooks say when the run began, if not where all do."""

    @model_validator(mode="after")
    def _a_failure_has_its_reason(self) -> Self:
        if (self.outcome == "failed") != (self.reason is not None):
            raise ValueError("an outcome `failed` needs a reason, and no other has one")
        return self

    def fits(self, body: object) -> bool:
        return all(_is_one_of(at(body, pointer), wanted) for pointer, wanted in self.when.items())


class Mapping(_Part):
    """A mapping file."""

    signed: Signed
    connector_id: Pointer
    occurred_at: Pointer | None = None
    """When it happened, RFC 3339; without it, when it came."""
    started_at: Pointer | None = None
    """When the run began: by it a run is told apart that began before the last sign-in."""
    generation: Pointer | None = None
    position: Pointer | None = None
    rows: tuple[Row, ...] = Field(min_length=1)

    def read(self, body: bytes, prefix: str) -> "Said | Ignored | Unmapped":
        """What a webhook says, where connector ids are the sender's behind that prefix."""
        try:
            told = orjson.loads(body)
        except orjson.JSONDecodeError:
            return Unmapped("the body isn't JSON")
        row = next((row for row in self.rows if row.fits(told)), None)
        if row is None or row.outcome == "ignored":
            return Ignored("not_about_a_sync")
        id_ = at(told, self.connector_id)
        if isinstance(id_, bool) or not isinstance(id_, str | int) or id_ == "":
            return Unmapped(f"connector_id: nothing at {self.connector_id}")
        occurred = self._optional(told, self.occurred_at)
        data = {
            "started_at": self._optional(told, row.started_at or self.started_at),
            "generation": self._optional(told, self.generation),
            "position": self._optional(told, self.position),
            "reason": row.reason,
        }
        return Said(
            _MESSAGES[row.outcome],
            f"{prefix}{id_}",
            occurred if isinstance(occurred, str) else datetime.now(UTC).isoformat(),
            {name: value for name, value in data.items() if value is not None},
        )

    @staticmethod
    def _optional(told: object, pointer: str | None) -> object:
        return None if pointer is None else at(told, pointer)


@dataclass(frozen=True, slots=True)
class Said:
    """A sync event, as its producer would have written it. What is wrong with a field is its reader's to tell."""

    message: Message
    connector: str
    occurred: str
    data: Object[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing that regrant has to know."""

    why: Literal["not_about_a_sync", "unknown_connector"]


@dataclass(frozen=True, slots=True)
class Unmapped:
    """It can't be told what it says."""

    why: str


def at(told: object, pointer: str) -> Any:  # Any: whatever stands there
    """The value at a JSON pointer; `None` where there is nothing."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(told, dict):
            told = told.get(key)
        elif isinstance(told, list) and key.isdecimal() and int(key[:9]) < len(told):
            told = told[int(key[:9])]
        else:
            return None
    return told


def _is_one_of(value: object, wanted: Scalar | tuple[Scalar, ...]) -> bool:
    several = wanted if isinstance(wanted, tuple) else (wanted,)
    return any(type(value) is type(one) and value == one for one in several)  # `true` isn't 1


def shipped(kind: str) -> Mapping:
    """The mapping of a sender that comes along."""
    return _read(files("service.adapters") / "mappings" / f"{kind}.yaml")


def mapping_of(path: Path) -> Mapping:
    """The mapping in a file. Raises `BadMapping`."""
    return _read(path)


def _read(file: Traversable) -> Mapping:
    try:
        return Mapping.model_validate(yaml.safe_load(file.read_text()))
    except (OSError, UnicodeDecodeError) as error:
        raise BadMapping(f"{file} can't be read ({type(error).__name__})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BadMapping(f"{file} isn't YAML" + (f" (at line {mark.line + 1})" if mark else "")) from None
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BadMapping(f"{file}: {'.'.join(map(str, found['loc'])) or 'it'}: {found['msg']}") from None
