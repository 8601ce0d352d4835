"""Whose grant is it? The provider's own answer to the new token is the proof; everything else is a claim."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

import orjson

from schemas.lifecycle import Step
from schemas.reasons import Reason
from schemas.records import Evidence
from schemas.secret import Secret
from service.oauth.description import ProviderConfig
from service.oauth.grant import Grant, Unavailable, client_authentication, client_in_body, unavailable_of
from service.oauth.outbound import Answer, NoAnswer, Outbound
from service.oauth.token_claims import BadToken, Claims, claims_of
from service.oauth.verdict import at_path, judge, plain, text_of
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
class _Proved:
    """The accounts that the provider names in its answer to the new token, and who granted."""

    accounts: tuple[Account, ...]
    person: str | None


Reached: TypeAlias = Callable[[Step], Awaitable[None]]
"""Told of a step as soon as it is reached, for whoever watches."""


async def _unwatched(step: Step) -> None:
    """Nobody watches."""


async def verify(
    outbound: Outbound,
    config: ProviderConfig,
    grant: Grant,
    *,
    expected: Account | None,
    claimed: str | None,
    nonce: str | None,
    reached: Reached = _unwatched,
) -> VerifiedAccount | Rejection | Unavailable:
    """Checks scope, account and role of a new grant.

    `expected` is the account that the connector is pinned to (none the first time), `claimed` what the callback said.
    """
    missing = _missing_scope(config, grant)
    if missing:
        return Rejection(Reason.SCOPE_MISSING, Step.EXCHANGED)
    claims = await claims_of(outbound, config, grant, nonce)
    if isinstance(claims, Unavailable):
        return claims
    if isinstance(claims, BadToken):
        return Rejection(Reason.CODE_REFUSED, Step.EXCHANGED, evidence=Evidence(at="token", code=claims.why))
    if expected is None and claims.account and claimed and claims.account != claimed:
        return Rejection(Reason.CODE_REFUSED, Step.EXCHANGED)
    proof = await _proof(outbound, config, grant, _asked_for(config, claims, expected, claimed), claims.values)
    match proof:
        case _Proved() as proved:
            account = _the_one(proved, expected, claims.account, claimed)
            if isinstance(account, Rejection):
                return account
            await reached(Step.ACCOUNT_CHECKED)
            role = await _role(outbound, config, grant, account.id, proved.person, claims.values)
            if role is not None:
                return _of_who_signs_in(role)
            await reached(Step.PERMISSION_CHECKED)
            return VerifiedAccount(account, claims.subject or proved.person)
        case Rejection(reason=Reason.ACCESS_REVOKED | Reason.TOKEN_REFUSED) if expected and _by_call(config):
            other = claims.account or claimed
            return await _wrong(outbound, config, grant, other if other != expected.id else None, proof.evidence)
        case _:
            return _of_who_signs_in(proof)


async def verify_saved(
    outbound: Outbound, config: ProviderConfig, grant: Grant, account: Account
) -> Rejection | Unavailable | None:
    """Asks whether a grant that is in use still opens its account; `None`: it does.

    Nobody signs in, so scope and role stay as they were found; what the provider says counts as if a sync had met it.
    """
    claims = await claims_of(outbound, config, grant, None)
    if isinstance(claims, Unavailable):
        return claims
    if isinstance(claims, BadToken):  # the provider changed what its tokens look like: no fault of the customer's
        return Unavailable(Reason.SYNC_FAULT, sent=False)
    proof = await _proof(outbound, config, grant, account.id, claims.values)
    if isinstance(proof, _Proved):
        there = any(one.id == account.id for one in proof.accounts) and claims.account in (None, account.id)
        return None if there else Rejection(Reason.ACCESS_REVOKED, Step.EXCHANGED)
    if isinstance(proof, Rejection) and proof.reason is Reason.CODE_REFUSED:  # the address can't be made
        return Unavailable(Reason.SYNC_FAULT, sent=False)
    return proof


def _of_who_signs_in(found: Rejection | Unavailable) -> Rejection | Unavailable:
    """A person who may sign in, and whose access ended: who signs in for this connector has to be another one."""
    if isinstance(found, Rejection) and found.reason is Reason.USER_DEACTIVATED:
        return Rejection(Reason.NEEDS_ADMIN, Step.ACCOUNT_CHECKED, evidence=found.evidence)
    return found


def _by_call(config: ProviderConfig) -> bool:
    return config.description.identity.match == "call_succeeds"


def _asked_for(config: ProviderConfig, claims: Claims, expected: Account | None, claimed: str | None) -> str | None:
    """The account that the proof is asked for: where the call itself is the proof, the one that is expected."""
    pinned = expected.id if expected else None
    if _by_call(config):
        return claims.account or pinned or claimed
    return claims.account or claimed or pinned


def _the_one(proved: _Proved, expected: Account | None, own: str | None, claimed: str | None) -> Account | Rejection:
    """The account of this connector among the proved ones. `own` is what the tokens say, `claimed` the redirect."""
    by_id = {account.id: account for account in proved.accounts}
    told = own or claimed
    if expected is not None:
        if expected.id in by_id and own in (None, expected.id):
            return by_id[expected.id]
        seen = by_id.get(told or "") or (proved.accounts[0] if len(by_id) == 1 else None)
        return Rejection(Reason.WRONG_ACCOUNT, Step.EXCHANGED, seen)
    if told is not None:
        return by_id.get(told) or Rejection(Reason.CODE_REFUSED, Step.EXCHANGED)
    if len(by_id) == 1:
        return proved.accounts[0]
    # Several organisations were ticked: which one this connector is for, nobody but the person knows.
    return Rejection(Reason.SEVERAL_ACCOUNTS if by_id else Reason.CODE_REFUSED, Step.EXCHANGED)


def _missing_scope(config: ProviderConfig, grant: Grant) -> set[str]:
    """Scopes that were asked for and didn't come (RFC 6749 5.1: no `scope` in the answer means all came)."""
    if grant.scope is None:
        return set()
    description = config.description
    needed = description.scopes if description.required_scopes is None else description.required_scopes
    return set(needed) - set(re.split(r"[ ,]+", grant.scope))


async def _wrong(
    outbound: Outbound, config: ProviderConfig, grant: Grant, other: str | None, evidence: Evidence | None = None
) -> Rejection | Unavailable:
    """Another account than expected; its name is asked for, so that the refusal can say both."""
    if other is None:
        return Rejection(Reason.WRONG_ACCOUNT, Step.EXCHANGED, evidence=evidence)
    seen = await _proof(outbound, config, grant, other, {})
    if isinstance(seen, Unavailable):
        return seen
    account = seen.accounts[0] if isinstance(seen, _Proved) and seen.accounts else Account(other, "")
    return Rejection(Reason.WRONG_ACCOUNT, Step.EXCHANGED, account, evidence)


# The proof.


async def _proof(
    outbound: Outbound, config: ProviderConfig, grant: Grant, account: str | None, values: Mapping[str, str]
) -> _Proved | Rejection | Unavailable:
    """The accounts, as the provider answers to the new token."""
    identity = config.description.identity
    filled = dict(values)
    if account is not None:
        if not re.fullmatch(identity.pattern, account, re.ASCII):
            return Rejection(Reason.CODE_REFUSED, Step.EXCHANGED)
        filled["account"] = account
    url = config.address(identity.proof_url, **filled)
    if "{" in url:  # neither the callback nor a token said what the address is made of
        return Rejection(Reason.CODE_REFUSED, Step.EXCHANGED)
    headers, form = _bearer(config, grant.access_token), None
    if identity.proof_form is not None:
        headers = {"Accept": "application/json", **client_authentication(config)}
        said = {
            name: value.replace("{access_token}", grant.access_token.reveal())
            for name, value in identity.proof_form.items()
        }
        form = {**said, **client_in_body(config)}
    answer = await outbound.call(
        config, "api", identity.proof_method, url, headers=headers, form=form, json=identity.proof_json
    )
    if isinstance(answer, NoAnswer):
        return Unavailable(Reason.NETWORK_ERROR, answer.sent)
    proved = _proved(config, _json(answer), account) if answer.status == 200 else None
    return proved or _rejected(config, answer)


def _proved(config: ProviderConfig, told: object, account: str | None) -> _Proved | None:
    """What an answer proves; `None` for one that isn't what the description says."""
    identity = config.description.identity
    person = _first_text(told, (identity.person_path,)) if identity.person_path else None
    if _by_call(config):
        name = _first_text(told, identity.name_paths)
        says_it = name is not None if identity.name_paths else any(True for _ in at_path(told, identity.id_path or ""))
        return _Proved((Account(account, (name or account)[:200]),), person) if account and says_it else None
    if identity.list_path is not None:
        lists = [value for value in at_path(told, identity.list_path) if isinstance(value, list)]
        if not lists:
            return None
        return _Proved(tuple(found for each in lists[0] if (found := _account(config, each)) is not None), person)
    found = _account(config, told)
    return _Proved((found,), person) if found is not None else None


def _account(config: ProviderConfig, told: object) -> Account | None:
    identity = config.description.identity
    id_ = next((text_of(value) for value in at_path(told, identity.id_path or "")), None)
    if id_ is None or not re.fullmatch(identity.pattern, id_, re.ASCII):
        return None
    return Account(id_, (_first_text(told, identity.name_paths) or id_)[:200])


def _rejected(config: ProviderConfig, answer: Answer) -> Rejection | Unavailable:
    verdict = judge(config.description, "api", answer.status, answer.text)
    evidence = Evidence(at="api", status=answer.status, code=verdict.code, request_id=answer.request_id)
    if verdict.verdict == "transient":
        return unavailable_of(config, answer)
    return Rejection(verdict.reason, Step.EXCHANGED, evidence=evidence)


async def _role(
    outbound: Outbound,
    config: ProviderConfig,
    grant: Grant,
    account: str,
    person: str | None,
    values: Mapping[str, str],
) -> Rejection | Unavailable | None:
    """Nothing, when the person is an admin or it can't be asked: then the provider itself enforces it."""
    probe = config.description.admin.probe
    scopes = config.scopes if grant.scope is None else re.split(r"[ ,]+", grant.scope)
    if probe is None or (probe.scope is not None and probe.scope not in scopes):
        return None
    if probe.claim is not None:
        role = values.get(probe.claim)
        return None if role in probe.admins else _no_admin(Evidence(at="token", code=role))
    assert probe.url is not None and probe.path is not None, "a description says either claim, or url and path"
    url = config.address(probe.url, **values, account=account, **({"person": quote(person, safe="")} if person else {}))
    if "{" in url:
        return None
    body = _filled(probe.json_, account) if probe.json_ is not None else None
    method = "POST" if body is not None else "GET"
    answer = await outbound.call(config, "api", method, url, headers=_bearer(config, grant.access_token), json=body)
    if isinstance(answer, NoAnswer):
        return Unavailable(Reason.NETWORK_ERROR, answer.sent)
    if answer.status != 200:
        verdict = judge(config.description, "api", answer.status, answer.text)
        if answer.status in probe.no_admin_status and verdict.reason is Reason.SYNC_FAULT:
            return _no_admin(Evidence(at="api", status=answer.status, code=verdict.code, request_id=answer.request_id))
        return _rejected(config, answer)
    roles = [text for role in at_path(_json(answer), probe.path) if (text := text_of(role)) is not None]
    if any(role in probe.admins for role in roles):
        return None
    code = plain(roles[0])[:100] if roles else None
    return _no_admin(Evidence(at="api", status=answer.status, code=code, request_id=answer.request_id))


def _no_admin(evidence: Evidence) -> Rejection:
    return Rejection(Reason.NEEDS_ADMIN, Step.ACCOUNT_CHECKED, evidence=evidence)


def _filled(template: Any, account: str) -> Any:  # Any: what JSON can hold
    if isinstance(template, str):
        return template.replace("{account}", account)
    if isinstance(template, dict):
        return {name: _filled(value, account) for name, value in template.items()}
    return template


def _bearer(config: ProviderConfig, token: Secret) -> dict[str, str]:
    header = config.description.api_token_header
    said = {"Authorization": f"Bearer {token.reveal()}"} if header is None else {header: token.reveal()}
    return {**said, "Accept": "application/json"}


def _json(answer: Answer) -> object:
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None


def _first_text(told: object, paths: tuple[str, ...]) -> str | None:
    found = (value for path in paths for value in at_path(told, path))
    texts = (plain(text) for value in found if (text := text_of(value)) is not None)
    return next((text for text in texts if text), None)
