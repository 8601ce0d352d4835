"""The token endpoint: exchange (RFC 6749 4.1.3), refresh (6), revocation (RFC 7009). Each call is made once."""

import base64
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from urllib.parse import quote, quote_plus

import orjson

from schemas.reasons import Reason
from schemas.records import Evidence
from schemas.secret import Secret
from service.oauth.description import ProviderConfig, needs_account
from service.oauth.outbound import Answer, NoAnswer, Outbound
from service.oauth.verdict import judge
from service.telemetry import metrics

LONGEST = timedelta(days=3660)
"""No lifetime longer than ten years is believed."""
LONGEST_WAIT = timedelta(minutes=15)
UNREADABLE = "?"
"""Stands for a scope that is no text."""
_TOKEN = re.compile(r"[\x20-\x7e]{1,16384}")

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Grant:
    """What a provider issued. Lifetimes are from now, where the answer told them."""

    access_token: Secret
    refresh_token: Secret | None = None
    id_token: Secret | None = None
    access_expires_in: timedelta | None = None
    refresh_expires_in: timedelta | None = None
    hard_expires_in: timedelta | None = None
    scope: str | None = None
    """As the answer says (RFC 6749 5.1); `None`: as asked."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The provider said no."""

    reason: Reason
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No answer that means anything: try again, unless what was sent may be sent only once."""

    reason: Reason
    sent: bool
    retry_after: timedelta | None = None
    status: int | None = None
    request_id: str | None = None


async def exchange(
    outbound: Outbound,
    config: ProviderConfig,
    *,
    code: Secret,
    verifier: Secret,
    redirect_uri: str,
    account: str | None = None,
) -> Grant | Refusal | Unavailable:
    """Redeems a code. To be called at most once a code, unless the outcome says that nothing was sent.

    `account` is what the callback claimed: at some providers each account has a token endpoint of its own.
    """
    form = {
        **config.description.exchange_parameters,
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": redirect_uri,
        "code_verifier": verifier.reveal(),
    }
    result = await _token_request(outbound, config, form, account, config.description.token_answer)
    _count(config, "authorization_code", result)
    return result


async def refresh(
    outbound: Outbound, config: ProviderConfig, refresh_token: Secret, account: str | None = None
) -> Grant | Refusal | Unavailable:
    """A new access token, and the refresh token that counts from now on where the answer has one."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
    result = await _token_request(outbound, config, form, account)
    _count(config, "refresh_token", result)
    return result


async def revoke(
    outbound: Outbound, config: ProviderConfig, token: Secret, account: str | None = None
) -> Unavailable | None:
    """Revokes a token. `None`: done, or there is nothing left to be done, or nothing that could be."""
    description = config.description
    url, kind = description.revocation_endpoint, description.revocation_body
    known = {"account": account} if account else {}
    if url is None or (not known and any(map(needs_account, (url, *description.revocation_fields.values())))):
        return None
    said = {"token": token.reveal(), "client_id": config.client_id, **known}
    fields = {name: config.filled(value, **said) for name, value in description.revocation_fields.items()}
    answer = await outbound.call(
        config,
        "token",
        description.revocation_method,
        config.address(url, token=quote(token.reveal(), safe=""), **known),
        headers={"Accept": "application/json", **client_authentication(config)},
        form={**fields, **client_in_body(config)} if kind == "form" else None,
        json=fields if kind == "json" else None,
    )
    if isinstance(answer, NoAnswer) or answer.status == 429 or answer.status >= 500 or 300 <= answer.status < 400:
        result = _unavailable(config, answer)
        _count(config, "revocation", result)
        return result
    _count(config, "revocation", None)
    return None


def _count(config: ProviderConfig, grant: str, result: Grant | Refusal | Unavailable | None) -> None:
    match result:
        case Unavailable():
            outcome = "unavailable"
        case Refusal(reason=Reason.CLIENT_REJECTED):
            outcome = "rejected"
        case Refusal():
            outcome = "refused"
        case _:
            outcome = "granted"
    metrics.TOKEN_REQUESTS.labels(config.description.id, grant, outcome).inc()


async def _token_request(
    outbound: Outbound,
    config: ProviderConfig,
    form: Mapping[str, str],
    account: str | None,
    must_say: Mapping[str, str] = _NOTHING,
) -> Grant | Refusal | Unavailable:
    description = config.description
    if account is None and needs_account(description.token_endpoint):
        # Which endpoint it is, the callback should have said: nothing was sent, and no other try will know more.
        return Refusal(Reason.PROVIDER_REFUSED, Evidence(at="token"))
    answer = await outbound.call(
        config,
        "token",
        "POST",
        config.address(description.token_endpoint, **({"account": account} if account else {})),
        headers={"Accept": "application/json", **description.token_headers, **client_authentication(config)},
        form={**form, **client_in_body(config)},
    )
    if isinstance(answer, NoAnswer):
        return _unavailable(config, answer)
    if answer.status == 200 and (grant := _grant(config, answer)) is not None:
        if other := _of_another_environment(config, answer, must_say):
            evidence = Evidence(at="token", status=200, code=other, request_id=answer.request_id)
            return Refusal(Reason.CLIENT_REJECTED, evidence)
        return grant
    verdict = judge(description, "token", answer.status, answer.text)
    if verdict.verdict == "transient":
        return _unavailable(config, answer)
    evidence = Evidence(at="token", status=answer.status, code=verdict.code, request_id=answer.request_id)
    return Refusal(verdict.reason, evidence)


def _grant(config: ProviderConfig, answer: Answer) -> Grant | None:
    """The grant in an answer; `None` when there is none: an answer without an access token replaces nothing."""
    try:
        told = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(told, dict) or (access := _token(told, "access_token")) is None:
        return None
    lifetimes = config.description.lifetimes
    return Grant(
        access_token=access,
        refresh_token=_token(told, "refresh_token"),
        id_token=_token(told, "id_token"),
        access_expires_in=_seconds(told, "expires_in"),
        refresh_expires_in=_seconds(told, lifetimes.refresh_idle_field),
        hard_expires_in=_seconds(told, lifetimes.refresh_hard_field),
        scope=_scope(told),
    )


def _of_another_environment(config: ProviderConfig, answer: Answer, must_say: Mapping[str, str]) -> str | None:
    """The field that says another thing than this environment's answers do (S18)."""
    told = orjson.loads(answer.body)
    for name, value in must_say.items():
        said = told.get(name)
        if (str(said).lower() if isinstance(said, bool) else said) != config.filled(value):
            return name
    return None


def _token(told: Mapping[str, object], name: str) -> Secret | None:
    """A token as RFC 6749 (appendix A.12) has them: anything else couldn't stand in a header."""
    value = told.get(name)
    return Secret(value) if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def _scope(told: Mapping[str, object]) -> str | None:
    """The scope that came; `None`: none was told. One that can't be read holds nothing of what was asked for."""
    value = told.get("scope")
    if value is None or value == "":
        return None
    text = " ".join(str(one) for one in value) if isinstance(value, list) else value
    return text if isinstance(text, str) and _TOKEN.fullmatch(text) else UNREADABLE


def _seconds(told: Mapping[str, object], name: str | None) -> timedelta | None:
    """A lifetime in seconds, also as text; `None` for anything that is none."""
    value = told.get(name) if name else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    return min(timedelta(seconds=min(seconds, LONGEST.total_seconds())), LONGEST)


def _unavailable(config: ProviderConfig, answer: Answer | NoAnswer) -> Unavailable:
    if isinstance(answer, NoAnswer):
        return Unavailable(Reason.NETWORK_ERROR, answer.sent)
    return unavailable_of(config, answer)


def unavailable_of(config: ProviderConfig, answer: Answer) -> Unavailable:
    """What to tell of an answer that only asks for patience."""
    reason = judge(config.description, "token", answer.status, answer.text).reason
    wait = answer.headers.get("Retry-After", "")
    # Not longer: thousands of digits are no number to Python, and mean the same.
    told = int(wait[:10]) if wait.isascii() and wait.isdecimal() else None
    retry_after = min(timedelta(seconds=min(told, 86_400)), LONGEST_WAIT) if told is not None else None
    return Unavailable(reason, True, retry_after, answer.status, answer.request_id)


def client_authentication(config: ProviderConfig) -> dict[str, str]:
    """The client's credentials as a header (RFC 6749 2.3.1): both parts form-encoded, then Basic."""
    if config.description.token_endpoint_auth_method != "client_secret_basic":  # noqa: S105 - a method
        return {}
    pair = f"{quote_plus(config.client_id)}:{quote_plus(config.client_secret.reveal())}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def client_in_body(config: ProviderConfig) -> dict[str, str]:
    """The client's credentials as fields of a form, where the description says so (RFC 6749 2.3.1)."""
    if config.description.token_endpoint_auth_method != "client_secret_post":  # noqa: S105 - a method
        return {}
    return {"client_id": config.client_id, "client_secret": config.client_secret.reveal()}
