"""The Kafka topics and what is on them: every CloudEvents type with the model of its data."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import BaseModel

from schemas import records

Model: TypeAlias = type[BaseModel]


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of record: its CloudEvents `type`, and the model of its data."""

    type: str
    data: Model
    summary: str

    @property
    def name(self) -> str:
        """The type without the domain, for example `sync.failed.v1`."""
        return self.type.removeprefix("io.regrant.")

    @property
    def schema_file(self) -> str:
        """The data's JSON Schema in `schemas/documents/`; every deployment serves it below `/schemas/`."""
        return f"{self.name}.schema.json"

    def dataschema(self, public_url: str) -> str:
        """Where the deployment at `public_url` (without a slash at its end) serves the data's JSON Schema."""
        return f"{public_url}/schemas/{self.schema_file}"


@dataclass(frozen=True, slots=True)
class Channel:
    """One topic, keyed by connector id. `direction` is as regrant sees it."""

    topic: str
    direction: Literal["in", "out"]
    summary: str
    messages: tuple[Message, ...]
    tombstones: bool = False
    """Whether a record without a value says that the connector is gone."""

    @property
    def dead_letters(self) -> str:
        """The topic of this one's dead letters."""
        return f"{self.topic}.dlq"


SYNC_STARTED = Message("io.regrant.sync.started.v1", records.SyncStarted, "A sync run began.")
SYNC_SUCCEEDED = Message("io.regrant.sync.succeeded.v1", records.SyncSucceeded, "A sync run ended well.")
SYNC_FAILED = Message("io.regrant.sync.failed.v1", records.SyncFailed, "A sync run ended with an error.")

REGISTER = Message("io.regrant.connector.register.v1", records.Register, "A new connector.")
UPDATE = Message("io.regrant.connector.update.v1", records.Update, "A connector's new name.")
START_REAUTH = Message("io.regrant.connector.start_reauth.v1", records.StartReauth, "Open an attempt.")
DISCONNECT = Message("io.regrant.connector.disconnect.v1", records.Disconnect, "Take the connector off.")
DELETE = Message("io.regrant.connector.delete.v1", records.Delete, "Delete the connector for good.")

TRANSITION = Message("io.regrant.connector.transition.v1", records.Transition, "A transition of a connector.")
STATE = Message("io.regrant.connector.state.v1", records.ConnectorState, "A connector as it stands.")
SYNC_REQUEST = Message("io.regrant.sync.requested.v1", records.SyncRequest, "Please sync this connector now.")

SYNC_EVENTS = Channel(
    "connectors.sync.events.v1",
    "in",
    "What the sync engine sees.",
    (SYNC_STARTED, SYNC_SUCCEEDED, SYNC_FAILED),
)
COMMANDS = Channel(
    "connectors.commands.v1",
    "in",
    "What the host wants done.",
    (REGISTER, UPDATE, START_REAUTH, DISCONNECT, DELETE),
)
TRANSITIONS = Channel(
    "connectors.auth.transitions.v1", "out", "The history: every transition of every connector.", (TRANSITION,)
)
STATES = Channel(
    "connectors.auth.state.v1",
    "out",
    "The newest snapshot of each connector, compacted; a tombstone when it is deleted.",
    (STATE,),
    tombstones=True,
)
SYNC_REQUESTS = Channel(
    "connectors.sync.requests.v1", "out", "Syncs that the sync engine should start.", (SYNC_REQUEST,)
)

CHANNELS = (SYNC_EVENTS, COMMANDS, TRANSITIONS, STATES, SYNC_REQUESTS)
INPUTS = tuple(channel for channel in CHANNELS if channel.direction == "in")
