"""The bodies of the control API, checked strictly: an unknown field is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from service.demo.simulator.faults import FaultKind, Host
from service.demo.simulator.grants import RevokeScope
from service.demo.simulator.world import ACCOUNTING, CompanyStatus, Role


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewCompany(Body):
    realm: str = Field(pattern=r"^[0-9]{1,20}$")
    name: str
    legal_name: str = ""
    status: CompanyStatus = CompanyStatus.ACTIVE
    payments: bool = True


class CompanyChange(Body):
    name: str | None = None
    legal_name: str | None = None
    status: CompanyStatus | None = None
    payments: bool | None = None


class Place(Body):
    realm: str
    role: Role
    active: bool = True


class NewUser(Body):
    email: str
    password: str
    name: str
    companies: list[Place] = []
    hint: str = ""


class NewGrant(Body):
    """A grant without a walk through the pages. The answer holds real tokens of the simulated world."""

    realm: str
    email: str
    scopes: list[str] = [ACCOUNTING]


class NewInvoice(Body):
    customer: str
    total: Decimal


class SettingsChange(Body):
    standard_users_pass: bool | None = None
    faults_with_http_200: bool | None = None
    realm_claim_name: Literal["realmid", "realmId"] | None = None
    show_hints: bool | None = None


class LifetimesChange(Body):
    """Seconds, but the scope of a revocation."""

    code_life: NonNegativeFloat | None = None
    access_token_life: NonNegativeFloat | None = None
    refresh_token_life: NonNegativeFloat | None = None
    hard_life: NonNegativeFloat | None = None
    rotation_interval: NonNegativeFloat | None = None
    previous_token_life: NonNegativeFloat | None = None
    revoke_scope: RevokeScope | None = None


class NewFault(Body):
    kind: FaultKind
    host: Host
    endpoint: str | None = None
    realm: str | None = None
    remaining: int | None = Field(default=None, ge=1)
    status: int | None = Field(default=None, ge=200, le=599)
    retry_after: str | None = None
    seconds: NonNegativeFloat = 0.0
    body: str = ""
    content_type: str = "application/json"
    fields: dict[str, Any] = {}  # Any: free JSON


class Outage(Body):
    seconds: float | None = Field(default=None, gt=0)


class Skip(Body):
    seconds: NonNegativeFloat


class RedirectUri(Body):
    uri: str
