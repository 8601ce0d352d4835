"""The pushed authorization request (RFC 9126): what is asked for goes to the provider itself, not by the browser.

The browser gets the client's id and a reference: nothing in its address says who is asked for what, and nothing of it
can be changed on the way. The reference's own lifetime isn't kept: the browser goes there at once, and our state ends
after ten minutes whatever the provider says (S3).
"""

import re
from urllib.parse import urlencode

import orjson
import structlog

from schemas.reasons import Reason
from service.oauth.authorization import AuthorizationRequest
from service.oauth.description import ProviderConfig
from service.oauth.grant import client_authentication, client_in_body, unavailable_of
from service.oauth.outbound import Answer, NoAnswer, Outbound
from service.oauth.verdict import judge

log = structlog.get_logger()

RETRY_S = 5
_REFERENCE = re.compile(r"[\x21-\x7e]{1,2000}")


class ProviderAway(Exception):
    """The provider couldn't be asked: nothing was changed, and the same request may succeed soon."""

    def __init__(self, retry_after_s: int = RETRY_S) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


async def address_for(outbound: Outbound, config: ProviderConfig, made: AuthorizationRequest) -> str | Reason:
    """Where the browser goes with the request, which is pushed before where the provider takes that.

    A reason where the provider won't have the request: our configuration's fault. Raises `ProviderAway`. To be called
    while no connection of the pool is held.
    """
    endpoint = config.description.pushed_authorization_request_endpoint
    if endpoint is None:
        return made.url
    answer = await outbound.call(
        config,
        "token",
        "POST",
        config.address(endpoint),
        headers={"Accept": "application/json", **client_authentication(config)},
        form={**made.parameters, **client_in_body(config)},
    )
    if isinstance(answer, NoAnswer):
        raise ProviderAway
    if answer.status == 429 or answer.status >= 500 or 300 <= answer.status < 400:
        wait = unavailable_of(config, answer).retry_after
        raise ProviderAway(int(wait.total_seconds()) if wait else RETRY_S)
    reference = _reference(answer)
    if reference is None:
        return _refused(config, answer)
    return f"{made.endpoint}?{urlencode({'client_id': config.client_id, 'request_uri': reference})}"


def _reference(answer: Answer) -> str | None:
    """The `request_uri` of an answer that has one."""
    if answer.status not in (200, 201):
        return None
    try:
        told = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    value = told.get("request_uri") if isinstance(told, dict) else None
    return value if isinstance(value, str) and _REFERENCE.fullmatch(value) else None


def _refused(config: ProviderConfig, answer: Answer) -> Reason:
    """Why the provider doesn't take the request: the client's fault where it says so, else its own affair."""
    verdict = judge(config.description, "token", answer.status, answer.text)
    log.error(
        "pushed_request_refused",
        provider=config.description.id,
        status=answer.status,
        code=verdict.code,
        request_id=answer.request_id,
    )
    return verdict.reason if verdict.verdict == "our_config" else Reason.PROVIDER_REFUSED
