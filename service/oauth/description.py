"""A provider's description: one YAML file with all that is particular about it, named as RFC 8414 does where it can.

`ProviderConfig` is a description with what a deployment adds: its client, its environment, other addresses for hosts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from schemas.ids import ProviderId
from schemas.reasons import Reason
from schemas.secret import Secret


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Words(_Part):
    """How to speak of the provider."""

    title: str
    account: str
    """What an account is called, for example "company"."""
    admin: str
    """What an admin is called."""
    prerequisites: tuple[str, ...]


class Lifetimes(_Part):
    """How long things are good for, and the fields of a token answer (in seconds) that tell it."""

    access: timedelta
    refresh_idle: timedelta | None = None
    refresh_hard: timedelta | None = None
    refresh_idle_field: str | None = None
    refresh_hard_field: str | None = None
    announced_end: AwareDatetime | None = None
    """When the provider ends all grants that there are, where it has announced that."""


class Identity(_Part):
    """How it is known whose grant it is."""

    callback_parameter: str | None = None
    """The query parameter of the callback that claims an account."""
    pattern: str = r"[A-Za-z0-9._:-]{1,200}"
    """What an account's id looks like, whole."""
    id_token_claims: tuple[str, ...] = ()
    """The claims of the ID token that name the account; the first that is there counts."""
    proof_url: str
    """Asked with the new token; `{account}` and the environment's names are filled in."""
    id_path: str | None = None
    """Where the answer holds the account's id (`equals`), or the ids (`member_of`)."""
    name_paths: tuple[str, ...]
    match: Literal["equals", "member_of", "call_succeeds"]


class Probe(_Part):
    """A question to the provider: which role does the person have?"""

    scope: str
    """Asked only where the grant has this scope."""
    url: str
    json_: dict[str, Any] | None = Field(default=None, alias="json")  # Any: what JSON can hold
    path: str
    admins: tuple[str, ...]


class Admin(_Part):
    """Who makes sure that the person may do this."""

    enforced_by_provider: bool
    probe: Probe | None = None


class Rule(_Part):
    """What an error means: the first rule that fits counts."""

    at: Literal["api", "token"]
    status: tuple[int, ...] = ()
    error: tuple[str, ...] = ()
    """The token endpoint's `error` (RFC 6749 5.2)."""
    code: tuple[str, ...] = ()
    """The API's own codes."""
    verdict: Literal["transient", "dead_grant", "needs_admin", "account_problem", "our_config"]
    reason: Reason


class Support(_Part):
    """What the provider's own support asks for."""

    request_id_header: str | None = None
    status_page: str | None = None


class Description(_Part):
    """All that is particular about a provider."""

    id: ProviderId
    words: Words
    environments: Mapping[str, Mapping[str, str]]
    """By name, what its addresses are made of, for example `api`."""
    issuer: str | None = None
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str | None = None
    revocation_endpoint: str | None = None
    revocation_body: Literal["form", "json"] = "form"
    token_endpoint_auth_method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"  # noqa: S105 - a method
    scopes: tuple[str, ...]
    required_scopes: tuple[str, ...] = ()
    """Those without which a sync can't run; all, where none are named."""
    scope_separator: str = " "
    authorization_parameters: Mapping[str, str] = Field(default_factory=dict)
    token_headers: Mapping[str, str] = Field(default_factory=dict)
    lifetimes: Lifetimes
    rotation: Literal["none", "interval", "single_use"]
    replay_grace: timedelta = timedelta(0)
    max_live_grants: int | None = None
    grant_belongs_to: Literal["account", "user"] = "account"
    revoke_scope: Literal["token", "account"]
    identity: Identity
    admin: Admin
    error_code_paths: tuple[str, ...] = ()
    error_code_pattern: str | None = None
    errors: tuple[Rule, ...]
    support: Support = Support()


class BadDescription(Exception):
    """A description can't be used: the file, the field, and what is wrong with it."""


def load_descriptions(*folders: Path) -> dict[ProviderId, Description]:
    """The descriptions that come with regrant, and those of further folders, by id. Raises `BadDescription`."""
    own = [entry for entry in (files("service.oauth") / "providers").iterdir() if entry.name.endswith(".yaml")]
    others = [path for folder in folders for path in sorted(folder.glob("*.yaml"))]
    found: dict[ProviderId, Description] = {}
    for entry in (*own, *others):
        description = _read(entry.name, entry.read_text())
        if description.id in found:
            raise BadDescription(f"{entry.name}: the id {description.id} is taken by another file")
        found[description.id] = description
    return found


def _read(name: str, text: str) -> Description:
    try:
        return Description.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise BadDescription(f"{name}: not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadDescription(f"{name}: {where}: {first['msg']}") from error


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """A provider as this deployment uses it."""

    description: Description
    client_id: str
    client_secret: Secret = field(repr=False)
    environment: str = "production"
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Other origins in place of the provider's, by host, or by host and the beginning of a path."""
    allow_loopback_http: bool = False
    extra_scopes: tuple[str, ...] = ()
    """Asked for beside the description's."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """Everything that is asked for."""
        return (*self.description.scopes, *self.extra_scopes)

    def address(self, url: str, **values: str) -> str:
        """An address of the description, with the environment's names filled in and the deployment's hosts in place."""
        filled = url
        for name, value in {**self.description.environments[self.environment], **values}.items():
            filled = filled.replace("{" + name + "}", value)
        parts = urlsplit(filled)
        place = f"{parts.netloc}{parts.path}"
        for beginning in sorted(self.hosts, key=len, reverse=True):
            if place == beginning or place.startswith(beginning.rstrip("/") + "/"):
                return filled.replace(f"{parts.scheme}://{parts.netloc}", self.hosts[beginning].rstrip("/"), 1)
        return filled


class Providers(Mapping[str, ProviderConfig]):
    """The providers of this deployment, by id."""

    def __init__(self, configs: Mapping[ProviderId, ProviderConfig]) -> None:
        self._configs = dict(configs)

    def __getitem__(self, id_: str) -> ProviderConfig:
        return self._configs[ProviderId(id_)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._configs)

    def __len__(self) -> int:
        return len(self._configs)
