"""The HTTP bodies about webhooks: how each endpoint stands, and what it never accepted."""

from datetime import datetime

from pydantic import Field

from schemas.api import Response
from schemas.lifecycle import Described
from schemas.records import ConnectorIdField, TenantIdField

GIVEN_UP_ID = "^[0-9]{1,18}-[A-Za-z0-9._~-]{1,128}$"
"""Its version and its connector."""


class WebhookStatus(Described):
    """How an endpoint stands."""

    WELL = "well", "It accepts what it is sent."
    BEHIND = "behind", "It accepts events, but not those of some connectors, which are tried again."
    FAILING = "failing", "Of at least one shard it has accepted nothing since its last failure."
    NOT_STARTED = "not_started", "No worker has begun with it yet."


class WebhookEndpoint(Response):
    """An endpoint of the settings."""

    name: str = Field(description="Its name in the settings; `@mail` is the server that takes e-mail.")
    host: str = Field(description="The host of its address.")
    status: WebhookStatus
    to_read: int = Field(ge=0, description="Entries of the log that it has still to come to.")
    waiting: int = Field(ge=0, description="Connectors whose events wait, since an earlier one wasn't accepted.")
    waiting_since: datetime | None = Field(description="The oldest event that waits so, since when it does.")
    accepted_at: datetime | None = Field(description="When it last accepted something.")
    failing_since: datetime | None
    failure: str | None = Field(description="What goes wrong, while something does.")
    given_up: int = Field(ge=0, description="Events that it never accepted, in all.")


class GivenUp(Response):
    """An event that an endpoint didn't accept in all tries, while it accepted others."""

    given_up_id: str = Field(pattern=GIVEN_UP_ID, description="Of this endpoint's; by it the event is sent again.")
    endpoint: str
    tenant_id: TenantIdField
    connector_id: ConnectorIdField
    version: int = Field(ge=1, description="The transition, as in the connector's history.")
    at: datetime
    since: datetime
    tries: int
    failure: str
    asked_at: datetime | None = Field(description="Somebody wants it sent once more since then; it is tried at once.")


class Webhooks(Response):
    """The endpoints, and the newest events that each never accepted, 50 at most."""

    endpoints: list[WebhookEndpoint]
    given_up: list[GivenUp]
