"""What the file of a provider holds: each key with its sentence, named as RFC 8414 does where it has a name.

A key that isn't here is refused. Braces stand for what is filled in: the environment's names anywhere; `{account}` (the
account's id) and `{account_host}` (the same as one label of a host's name) where the account is known by then.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.ids import ProviderId
from schemas.reasons import Reason, Remedy
from service.texts.language import ENGLISH, LANGUAGES, Language

PROTECTED = frozenset(
    (
        *("client_id", "response_type", "redirect_uri", "state", "scope", "nonce"),
        *("code_challenge", "code_challenge_method", "request", "request_uri", "response_mode"),
    )
)
"""What no description can set in an authorization request (S13): it decides where an answer goes and whose it is.

A request object (RFC 9101) could replace all of it.
"""

_BRACES = re.compile(r"\{([a-z_]+)\}")
_ADDRESS = re.compile(r"https://(\{account_host\}\.)?[A-Za-z0-9.-]+(:[0-9]+)?(/[^\s]*)?")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class OtherWords(_Part):
    """How to speak of the provider in another language than English. Its name is the same in all."""

    account: str
    """What an account is called, without an article, as in the middle of a sentence."""
    admin: str
    """The role of an admin."""
    prerequisites: tuple[str, ...]


class Words(_Part):
    """How to speak of the provider, in English, which stands in for every language that isn't there."""

    title: str
    account: str
    """What an account is called, for example "company"."""
    admin: str
    """The role of an admin, without an article, for example "Organization Admin"."""
    prerequisites: tuple[str, ...]
    in_: Mapping[Language, OtherWords] = Field(default_factory=dict, alias="in")
    """The same in other languages, by their tags, for example `de`."""

    @field_validator("in_")
    @classmethod
    def _there_are_texts(cls, told: Mapping[Language, OtherWords]) -> Mapping[Language, OtherWords]:
        known = [language for language in LANGUAGES if language != ENGLISH]
        if strange := sorted(set(told) - set(known)):
            raise ValueError(f"there are no texts in {', '.join(strange)}; there are in {', '.join(known)}")
        return told


class Lifetimes(_Part):
    """How long things are good for, and the fields of a token answer (in seconds) that tell it."""

    access: timedelta
    refresh_idle: timedelta | None = None
    """How long an unused refresh token lives; none: no end of its own is known."""
    refresh_hard: timedelta | None = None
    """How long after the consent a grant ends however much it is used."""
    refresh_idle_field: str | None = None
    refresh_hard_field: str | None = None
    announced_end: AwareDatetime | None = None
    """When the provider ends all grants that there are, where it has announced that."""


class ClaimPlace(_Part):
    """Where a claim of the access token holds something. The token came from the token endpoint itself, over TLS."""

    claim: str
    separator: str | None = None
    """What the claim's parts are told apart by; without it, the whole claim counts."""
    part: int = Field(default=0, ge=0, le=9)
    """Which part counts, from 0."""


class Identity(_Part):
    """How it is known whose grant it is."""

    callback_parameter: str | None = None
    """The query parameter of the callback that claims an account."""
    callback_hmac: str | None = None
    """The parameter with the HMAC-SHA256 of all others under the client's secret: a callback without is refused."""
    pattern: str = r"[A-Za-z0-9._:-]{1,200}"
    """What an account's id looks like, whole."""
    examples: tuple[str, ...] = Field(min_length=2)
    """Two ids or more as the provider makes them: the simulator's accounts have them."""
    id_token_claims: tuple[str, ...] = ()
    """The claims of the ID token that name the account; the first that is there counts."""
    access_token_claims: Mapping[str, ClaimPlace] = Field(default_factory=dict)
    """Claims of the access token by the name under which they are filled in; `account` names the account itself."""
    proof_url: str
    """Asked with the new token; `{account}`, and the names of `access_token_claims`, are filled in."""
    proof_method: Literal["GET", "POST"] = "GET"
    proof_form: Mapping[str, str] | None = None
    """Sent with the client's own credentials; `{access_token}` is filled in."""
    proof_json: dict[str, Any] | None = None  # Any: what JSON can hold
    list_path: str | None = None
    """Where the answer holds the accounts (`member_of`), one element each; `$` where the answer is the list."""
    id_path: str | None = None
    """Where the answer, or the element of its list, holds the account's id; for `call_succeeds`, what must be there."""
    name_paths: tuple[str, ...] = ()
    """Where the account's name is: the first that is there. None known: the id stands for it."""
    person_path: str | None = None
    """Where the answer holds the provider's id of the person who granted: filled in as `{person}`."""
    match: Literal["equals", "member_of", "call_succeeds"]
    """What proves it: the answer's id, being in the answer's list, or that the call for this account succeeds."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.match == "equals" and self.id_path is None:
            raise ValueError("`equals` needs id_path")
        if self.match == "member_of" and (self.id_path is None or self.list_path is None):
            raise ValueError("`member_of` needs list_path and id_path")
        if self.match == "call_succeeds" and not (self.name_paths or self.id_path):
            raise ValueError("`call_succeeds` needs name_paths or id_path: an answer that says nothing proves nothing")
        if self.match == "call_succeeds" and not {"{account}", "{account_host}"} & set(_placeholders(self.proof_url)):
            raise ValueError("`call_succeeds` needs {account} or {account_host} in proof_url")
        for example in self.examples:
            if not re.fullmatch(self.pattern, example, re.ASCII):
                raise ValueError(f"the example {example} doesn't fit the pattern")
        return self


class Probe(_Part):
    """Which role does the person have? Asked of the provider, or read from the access token."""

    scope: str | None = None
    """Asked only where the grant has this scope."""
    url: str | None = None
    """Asked with the new token; `{account}` and `{person}` are filled in."""
    json_: dict[str, Any] | None = Field(default=None, alias="json")  # Any: what JSON can hold
    path: str | None = None
    """Where the answer holds the role, or several."""
    claim: str | None = None
    """One of the identity's `access_token_claims`, instead of a call."""
    admins: tuple[str, ...]
    """The roles that may do it; `true` for a flag."""
    no_admin_status: tuple[int, ...] = ()
    """Where only an admin may ask at all: the statuses of the answer to somebody else, if no rule knows better."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.claim is None) == (self.url is None) or (self.url is None) != (self.path is None):
            raise ValueError("either claim, or url and path")
        return self


class Admin(_Part):
    """Who makes sure that the person may do this."""

    enforced_by_provider: bool
    probe: Probe | None = None


class Rule(_Part):
    """What an error means: the first rule that fits counts. All that it names must fit."""

    at: Literal["api", "token"]
    status: tuple[int, ...] = ()
    error: tuple[str, ...] = ()
    """The token endpoint's `error` (RFC 6749 5.2)."""
    code: tuple[str, ...] = ()
    """The provider's own codes, as `error_code_paths` finds them."""
    verdict: Literal["transient", "dead_grant", "needs_admin", "account_problem", "our_config"]
    reason: Reason

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not (self.status or self.error or self.code):
            raise ValueError("a rule names a status, an error or a code")
        remedies = _REMEDIES[self.verdict]
        if self.reason.remedy not in remedies:
            fits = ", ".join(reason for reason in Reason if reason.remedy in remedies)
            raise ValueError(f"{self.reason} doesn't go with {self.verdict}: these do: {fits}")
        return self


_REMEDIES = {
    "transient": (Remedy.WAIT,),
    "dead_grant": (Remedy.REAUTHORISE,),
    "needs_admin": (Remedy.REAUTHORISE,),
    "account_problem": (Remedy.FIX_ACCOUNT,),
    "our_config": (Remedy.FIX_CONFIGURATION,),
}


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
    """`iss` of the ID token; a name in braces is the token's own claim, for a provider with an issuer a customer."""
    authorization_response_iss_parameter_supported: bool = False
    """Whether every callback holds `iss` (RFC 9207): then one without it is refused."""
    authorization_endpoint: str
    account_authorization_endpoint: str | None = None
    """Where a person goes instead once the account is known."""
    pushed_authorization_request_endpoint: str | None = None
    """Where requests are pushed to first (RFC 9126): the browser gets a reference only. None: it gets them whole."""
    token_endpoint: str
    response_mode: Literal["query", "form_post"] = "query"
    """How answers come back: in the callback's address, or as a form that the browser posts. The other is refused."""
    jwks_uri: str | None = None
    revocation_endpoint: str | None = None
    """None: the provider has none for a client; `{token}` may be in it."""
    revocation_method: Literal["POST", "DELETE"] = "POST"
    revocation_body: Literal["form", "json", "none"] = "form"
    revocation_fields: Mapping[str, str] = Field(default_factory=lambda: {"token": "{token}"})
    """What the body says: `{token}`, `{account}` and `{client_id}` are filled in."""
    token_endpoint_auth_method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"  # noqa: S105 - a method
    scopes: tuple[str, ...]
    required_scopes: tuple[str, ...] | None = None
    """Those without which a sync can't run; all, where this isn't said."""
    scope_separator: str = " "
    authorization_parameters: Mapping[str, str] = Field(default_factory=dict)
    exchange_parameters: Mapping[str, str] = Field(default_factory=dict)
    """Sent beside the code."""
    token_headers: Mapping[str, str] = Field(default_factory=dict)
    token_answer: Mapping[str, str] = Field(default_factory=dict)
    """What the answer to a code must say, else it isn't of this environment: for example `livemode: "true"`."""
    api_token_header: str | None = None
    """The header that carries the access token to the API; else `Authorization: Bearer` (RFC 6750)."""
    lifetimes: Lifetimes
    rotation: Literal["none", "interval", "single_use"]
    """Whether a refresh gives a new refresh token: never, now and then, always."""
    replay_grace: timedelta = timedelta(0)
    """How long a refresh token that was replaced is still taken, so that a lost answer can be had again."""
    max_live_grants: int | None = None
    """How many grants one person can give one client: one more ends the oldest."""
    grant_belongs_to: Literal["account", "user"] = "account"
    revoke_scope: Literal["token", "account"]
    """What a revocation takes along; `account` wherever it isn't known to be less."""
    identity: Identity
    admin: Admin
    error_code_paths: tuple[str, ...] = ()
    """Where an error's own codes are."""
    error_code_pattern: str | None = None
    """A pattern with one group that finds further codes anywhere in an answer."""
    errors: tuple[Rule, ...]
    support: Support = Support()

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if taken := PROTECTED & self.authorization_parameters.keys():
            raise ValueError(f"authorization_parameters can't set {', '.join(sorted(taken))}")
        if not self.environments or len({frozenset(names) for names in self.environments.values()}) > 1:
            raise ValueError("environments: at least one, and each with the same names")
        if self.error_code_pattern is not None and re.compile(self.error_code_pattern).groups != 1:
            raise ValueError("error_code_pattern: exactly one group")
        shared = self.identity.match == "member_of" and self.grant_belongs_to == "user"
        if shared and self.revocation_endpoint is not None and self.revoke_scope == "account":
            raise ValueError("revocation_endpoint: it would end what the same person granted for other connectors")
        probe = self.admin.probe
        if probe is not None and probe.claim is not None and probe.claim not in self.identity.access_token_claims:
            raise ValueError(f"admin.probe.claim: identity.access_token_claims has no {probe.claim}")
        for field, address, known in self._addresses():
            for environment, names in self.environments.items():
                _check_address(field, address, environment, names, known)
        return self

    def _addresses(self) -> Iterator[tuple[str, str, frozenset[str]]]:
        """Every address with its field's name and what may be in braces there, beside the environment's names."""
        account = frozenset({"account", "account_host"})
        identity, probe = self.identity, self.admin.probe
        claims = frozenset(identity.access_token_claims)
        yield "authorization_endpoint", self.authorization_endpoint, frozenset()
        yield "token_endpoint", self.token_endpoint, account
        yield "identity.proof_url", identity.proof_url, account | claims
        for field, address, known in (
            ("account_authorization_endpoint", self.account_authorization_endpoint, account),
            ("pushed_authorization_request_endpoint", self.pushed_authorization_request_endpoint, frozenset[str]()),
            ("jwks_uri", self.jwks_uri, frozenset[str]()),
            ("revocation_endpoint", self.revocation_endpoint, account | {"token"}),
            ("admin.probe.url", probe.url if probe else None, account | claims | {"person"}),
        ):
            if address is not None:
                yield field, address, known


def _check_address(field: str, address: str, environment: str, names: Mapping[str, str], known: frozenset[str]) -> None:
    for name in _BRACES.findall(address):
        if name not in known and name not in names:
            raise ValueError(f"{field}: nothing is known by the name {{{name}}} in {environment}")
    filled = _BRACES.sub(lambda hole: names.get(hole[1], hole[0]), address)
    if not _ADDRESS.fullmatch(filled):
        raise ValueError(f"{field}: {filled} must be https, with no braces in its host but a leading {{account_host}}.")


def _placeholders(text: str) -> list[str]:
    return [f"{{{name}}}" for name in _BRACES.findall(text)]
