"""Whose grant is it? The provider's own answer to the new token is the proof; everything else is a claim."""

import re
from dataclasses import dataclass
from typing import Any

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from schemas.lifecycle import Step
from schemas.reasons import Reason
from schemas.records import Evidence
from schemas.secret import Secret
from service.oauth.description import ProviderConfig
from service.oauth.grant import Grant, Unavailable, unavailable_of
from service.oauth.outbound import Answer, NoAnswer, Outbound
from service.oauth.verdict import at_path, judge
from statemachine.connector import Account


@dataclass(frozen=True, slots=True)
class VerifiedAccount:
    """The grant is of this account, and of somebody who may give it."""

    account: Account
    granted_by: str | None
    """Who granted, for support: the provider's id of the person."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """The grant failed a check."""

    reason: Reason
    step: Step
    """The last step that was reached."""
    seen: Account | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class _Claims:
    """What the ID token says, checked."""

    subject: str | None
    account: str | None


async def verify(
    outbound: Outbound,
    config: ProviderConfig,
    grant: Grant,
    *,
    expected: Account | None,
    claimed: str | None,
    nonce: str | None,
) -> VerifiedAccount | Rejection | Unavailable:
    """Checks scope, account and role of a new grant.

    `expected` is the account that the connector is pinned to (none the first time), `claimed` what the callback said.
    """
    missing = _missing_scope(config, grant)
    if missing:
        return Rejection(Reason.SCOPE_MISSING, Step.EXCHANGED)
    claims = await _id_token(outbound, config, grant, nonce)
    if isinstance(claims, Unavailable | Rejection):
        return claims
    told = claims.account or claimed
    wanted = expected.id if expected else told
    if wanted is None or (expected is None and claims.account and claimed and claims.account != claimed):
        return Rejection(Reason.CODE_REFUSED, Step.EXCHANGED)
    if told is not None and told != wanted and claims.account is not None:
        return await _wrong(outbound, config, grant, claims.account)
    proof = await _proof(outbound, config, grant, wanted)
    match proof:
        case Account() as account:
            role = await _role(outbound, config, grant, account.id)
            return role or VerifiedAccount(account, claims.subject)
        case Rejection(reason=Reason.ACCESS_REVOKED | Reason.TOKEN_REFUSED) if expected is not None:
            return await _wrong(outbound, config, grant, claimed if claimed != expected.id else None, proof.evidence)
        case _:
            return proof


def _missing_scope(config: ProviderConfig, grant: Grant) -> set[str]:
    """Scopes that were asked for and didn't come (RFC 6749 5.1: no `scope` in the answer means all came)."""
    if grant.scope is None:
        return set()
    description = config.description
    needed = description.required_scopes or description.scopes
    return set(needed) - set(re.split(r"[ ,]+", grant.scope))


async def _wrong(
    outbound: Outbound, config: ProviderConfig, grant: Grant, other: str | None, evidence: Evidence | None = None
) -> Rejection | Unavailable:
    """Another account than expected; its name is asked for, so that the refusal can say both."""
    if other is None:
        return Rejection(Reason.WRONG_ACCOUNT, Step.EXCHANGED, evidence=evidence)
    seen = await _proof(outbound, config, grant, other)
    if isinstance(seen, Unavailable):
        return seen
    account = seen if isinstance(seen, Account) else Account(other, "")
    return Rejection(Reason.WRONG_ACCOUNT, Step.EXCHANGED, account, evidence)


# The proof.


async def _proof(
    outbound: Outbound, config: ProviderConfig, grant: Grant, account: str
) -> Account | Rejection | Unavailable:
    """The account, as the provider answers to the new token."""
    identity = config.description.identity
    if not re.fullmatch(identity.pattern, account, re.ASCII):
        return Rejection(Reason.CODE_REFUSED, Step.EXCHANGED)
    url = config.address(identity.proof_url, account=account)
    answer = await outbound.call(config, "api", "GET", url, headers=_bearer(grant.access_token))
    if isinstance(answer, NoAnswer):
        return Unavailable(Reason.NETWORK_ERROR, answer.sent)
    told = _json(answer)
    name = _first_text(told, identity.name_paths)
    if answer.status == 200 and name is not None and _matches(config, told, account):
        return Account(account, name[:200])
    return _rejected(config, answer)


def _matches(config: ProviderConfig, told: object, account: str) -> bool:
    identity = config.description.identity
    if identity.match == "call_succeeds" or identity.id_path is None:
        return True
    return account in {str(value) for value in at_path(told, identity.id_path)}


def _rejected(config: ProviderConfig, answer: Answer) -> Rejection | Unavailable:
    verdict = judge(config.description, "api", answer.status, answer.text)
    evidence = Evidence(at="api", status=answer.status, code=verdict.code, request_id=answer.request_id)
    if verdict.verdict == "transient":
        return unavailable_of(config, answer)
    if verdict.reason is Reason.USER_DEACTIVATED:
        return Rejection(Reason.NEEDS_ADMIN, Step.ACCOUNT_CHECKED, evidence=evidence)
    return Rejection(verdict.reason, Step.EXCHANGED, evidence=evidence)


async def _role(
    outbound: Outbound, config: ProviderConfig, grant: Grant, account: str
) -> Rejection | Unavailable | None:
    """Nothing, when the person is an admin or it can't be asked: then the provider itself enforces it."""
    probe = config.description.admin.probe
    scopes = config.scopes if grant.scope is None else re.split(r"[ ,]+", grant.scope)
    if probe is None or probe.scope not in scopes:
        return None
    url = config.address(probe.url, account=account)
    body = _filled(probe.json_, account) if probe.json_ is not None else None
    method = "POST" if body is not None else "GET"
    answer = await outbound.call(config, "api", method, url, headers=_bearer(grant.access_token), json=body)
    if isinstance(answer, NoAnswer):
        return Unavailable(Reason.NETWORK_ERROR, answer.sent)
    if answer.status != 200:
        return _rejected(config, answer)
    roles = [role for role in at_path(_json(answer), probe.path) if isinstance(role, str)]
    if any(role in probe.admins for role in roles):
        return None
    code = _plain(roles[0])[:100] if roles else None
    evidence = Evidence(at="api", status=answer.status, code=code, request_id=answer.request_id)
    return Rejection(Reason.NEEDS_ADMIN, Step.ACCOUNT_CHECKED, evidence=evidence)


def _filled(template: Any, account: str) -> Any:  # Any: what JSON can hold
    if isinstance(template, str):
        return template.replace("{account}", account)
    if isinstance(template, dict):
        return {name: _filled(value, account) for name, value in template.items()}
    return template


# The ID token (OpenID Connect Core 3.1.3.7).


async def _id_token(
    outbound: Outbound, config: ProviderConfig, grant: Grant, nonce: str | None
) -> _Claims | Rejection | Unavailable:
    description = config.description
    if grant.id_token is None or description.jwks_uri is None or description.issuer is None:
        return _Claims(None, None)
    answer = await outbound.call(
        config, "api", "GET", config.address(description.jwks_uri), headers={"Accept": "application/json"}
    )
    if isinstance(answer, NoAnswer):
        return Unavailable(Reason.NETWORK_ERROR, answer.sent)
    if answer.status != 200:
        return unavailable_of(config, answer)
    try:
        keys = KeySet.import_key_set(orjson.loads(answer.body))
        token = jwt.decode(grant.id_token.reveal(), keys, algorithms=["RS256", "ES256"])
        jwt.JWTClaimsRegistry(
            leeway=60,
            iss={"essential": True, "value": config.address(description.issuer)},
            aud={"essential": True, "value": config.client_id},
            exp={"essential": True},
        ).validate(token.claims)
    # What a key set or a token may look like is up to who sent it: wrong types, and nested deeper than Python reads.
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Rejection(Reason.CODE_REFUSED, Step.EXCHANGED, evidence=Evidence(at="token", code=type(error).__name__))
    # Intuit may leave the nonce out; the token came over the very connection that redeemed our code with PKCE.
    if nonce is not None and token.claims.get("nonce") not in (None, nonce):
        return Rejection(Reason.CODE_REFUSED, Step.EXCHANGED, evidence=Evidence(at="token", code="nonce"))
    account = next((token.claims[c] for c in description.identity.id_token_claims if c in token.claims), None)
    if account is not None and not re.fullmatch(description.identity.pattern, account := str(account), re.ASCII):
        return Rejection(Reason.CODE_REFUSED, Step.EXCHANGED, evidence=Evidence(at="token", code="account"))
    subject = token.claims.get("sub")
    return _Claims(_plain(str(subject))[:200] if subject else None, account)


def _bearer(token: Secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}", "Accept": "application/json"}


def _json(answer: Answer) -> object:
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None


def _first_text(told: object, paths: tuple[str, ...]) -> str | None:
    found = (value for path in paths for value in at_path(told, path))
    return next((_plain(value) for value in found if isinstance(value, str) and _plain(value)), None)


def _plain(text: str) -> str:
    """A text without what can't be shown or stored."""
    return "".join(character for character in text if character.isprintable())
