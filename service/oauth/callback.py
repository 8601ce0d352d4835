"""The callback (RFC 6749 4.1.2): strict about what comes back, since anybody can send it."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from schemas.reasons import Reason
from schemas.secret import Secret
from service.oauth.description import Description, ProviderConfig

MAX_QUERY = 8192
MAX_VALUE = 4096

_ESCAPED_WRONGLY = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TEXT = re.compile(r"[\x21-\x7e]+")  # RFC 6749 appendix A: VSCHAR; none of ours needs a space


class BadCallback(Exception):
    """The query isn't an answer to an authorization request."""


@dataclass(frozen=True, slots=True)
class Callback:
    """A code, or a refusal, for the request that `state` names."""

    state: Secret
    code: Secret | None
    refusal: Reason | None
    claimed_account: str | None
    """Which account the provider's redirect says; anybody can edit it."""


def parse_callback(description: Description, issuer: str | None, raw_query: str) -> Callback:
    """Reads the raw query; `issuer` is the provider's own, where its description knows it.

    Raises `BadCallback` when a value is missing, empty, doubled, too long or no plain text, and for another issuer.
    """
    values = _values(raw_query)
    state, code, error = values.get("state"), values.get("code"), values.get("error")
    if state is None:
        raise BadCallback("no state")
    if (code is None) == (error is None):
        raise BadCallback("either a code or an error")
    if not _OF_OTHER_FLOWS.isdisjoint(values):
        raise BadCallback("an answer that wasn't asked for")
    _check_issuer(values.get("iss"), issuer, advertised=description.authorization_response_iss_parameter_supported)
    claimed = None
    if description.identity.callback_parameter is not None:
        claimed = values.get(description.identity.callback_parameter)
        if claimed is not None and not re.fullmatch(description.identity.pattern, claimed, re.ASCII):
            raise BadCallback("no account id")
    return Callback(Secret(state), Secret(code) if code else None, _refusal(error) if error else None, claimed)


def issuer_of(config: ProviderConfig) -> str | None:
    """The `iss` that a provider's callbacks have; `None` where it isn't known before the token is there."""
    issuer = config.address(config.description.issuer) if config.description.issuer else ""
    return issuer if issuer and "{" not in issuer else None


def _check_issuer(came: str | None, expected: str | None, *, advertised: bool) -> None:
    """The mix-up defence (RFC 9207 2.4), for codes and errors alike: another server's answer isn't this request's.

    Stricter than the RFC where a provider doesn't advertise it: what comes is compared all the same.
    """
    if came is None:
        if advertised:
            raise BadCallback("no issuer, though the provider always sends it")
    elif expected is not None and came != expected:
        raise BadCallback("another issuer")


_OUR_FAULT = ("invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "invalid_client")


def _refusal(error: str) -> Reason:
    """What an authorization error means (RFC 6749 4.1.2.1)."""
    if error == "access_denied":
        return Reason.ACCESS_DENIED
    return Reason.CLIENT_REJECTED if error in _OUR_FAULT else Reason.PROVIDER_REFUSED


_OF_OTHER_FLOWS = frozenset({"response", "id_token", "token", "access_token"})
"""What a signed response (JARM) and the implicit and hybrid flows answer with. `response_type=code` was asked for."""

_READ = ("state", "code", "error", "iss")
_FREE_TEXT = ("error_description", "error_uri", "scope", "session_state")


def _values(raw_query: str) -> dict[str, str]:
    if len(raw_query) > MAX_QUERY:
        raise BadCallback("too long")
    values: dict[str, str] = {}
    for pair in filter(None, raw_query.split("&")):
        name, _, raw = pair.partition("=")
        name = _decoded(name)
        if name in values:
            raise BadCallback("a parameter twice")
        value = _decoded(raw)
        if name not in _FREE_TEXT and (len(value) > MAX_VALUE or not _TEXT.fullmatch(value)):
            if name in _READ or value == "":
                raise BadCallback("a value that can't be")
            value = ""
        values[name] = value
    return values


def _decoded(raw: str) -> str:
    if _ESCAPED_WRONGLY.search(raw):
        raise BadCallback("an escape that is none")  # RFC 3986 2.1; what others make of it is guessed
    try:
        return unquote_to_bytes(raw.replace("+", " ")).decode("utf-8")
    except UnicodeError as error:
        raise BadCallback("not UTF-8") from error
