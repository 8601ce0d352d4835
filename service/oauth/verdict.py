"""The verdict: what a provider's answer means, by its description. Pure, and never by an answer's prose.

What no rule knows is taken for passing: a customer isn't sent to sign in because of an answer that nobody understands.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson

from schemas.ids import ProviderId
from schemas.reasons import Reason
from schemas.records import Evidence, ProviderError
from service.engine.submission import Judgement
from service.oauth.description import Description, Providers, Rule

Place: TypeAlias = Literal["api", "token", "network"]
Meaning: TypeAlias = Literal["transient", "dead_grant", "needs_admin", "account_problem", "our_config"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means."""

    verdict: Meaning
    reason: Reason
    code: str | None = None
    """The provider's own code, where one decided."""


def judge(description: Description, at: Place, status: int | None, body: str) -> Verdict:
    """What an answer with this status and body means, from the token endpoint or the API; no status: none came."""
    if at == "network" or status is None:
        return Verdict("transient", Reason.NETWORK_ERROR)
    if status == 429:
        return Verdict("transient", Reason.RATE_LIMITED)
    if status >= 500:
        return Verdict("transient", Reason.PROVIDER_UNAVAILABLE)
    answer = _json(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    codes = list(_codes(description, answer, body))
    for rule in description.errors:
        if rule.at == at and (hit := _fits(rule, status, error, codes)) is not None:
            return Verdict(rule.verdict, rule.reason, hit)
    return _unknown(at, status, codes)


class ReportedErrors:
    """The engine's `ProviderPort`: which providers there are, and what a sync engine's reported error means."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    def knows(self, provider: ProviderId) -> bool:
        return provider in self._providers

    def judge(self, provider: ProviderId, error: ProviderError) -> Judgement:
        config = self._providers.get(provider)
        if config is None:  # the deployment has dropped a provider that connectors still use
            return Judgement(Reason.SYNC_FAULT, Evidence(at=error.at, status=error.status))
        verdict = judge(config.description, error.at, error.status, error.body)
        evidence = Evidence(at=error.at, status=error.status, code=verdict.code, request_id=error.request_id)
        return Judgement(verdict.reason, evidence)


def at_path(answer: object, path: str) -> Iterator[Any]:  # Any: what JSON can hold
    """The values at a dotted path; `*` stands for every element of a list, `$` for the answer itself."""
    values = [answer]
    for part in path.removeprefix("$").split("."):
        if not part:
            continue
        if part == "*":
            values = [element for value in values if isinstance(value, list) for element in value]
        else:
            values = [value[part] for value in values if isinstance(value, dict) and part in value]
    yield from values


def text_of(value: object) -> str | None:
    """A text, a number or a flag of an answer as text; `None` for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else None


def plain(text: str) -> str:
    """A text without what can't be shown or stored."""
    return "".join(character for character in text if character.isprintable())


def _json(body: str) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


_CODE = re.compile(r"[\x20-\x7e]{1,100}")
"""What is kept of an answer is short and plain: a NUL couldn't be stored, and would hold up all that is beside it."""


def _codes(description: Description, answer: object, body: str) -> Iterator[str]:
    """The provider's own codes in an answer, without leading zeros."""
    for path in description.error_code_paths:
        for code in at_path(answer, path):
            if isinstance(code, str | int) and _CODE.fullmatch(text := str(code).strip()):
                yield text.lstrip("0") or "0"
    if description.error_code_pattern is not None:
        for match in re.finditer(description.error_code_pattern, body[:65_536]):
            if _CODE.fullmatch(match[1]):
                yield match[1]


def _fits(rule: Rule, status: int, error: object, codes: list[str]) -> str | None:
    """The code (or status) by which a rule fits."""
    if rule.status and status not in rule.status:
        return None
    if rule.error and not (isinstance(error, str) and error in rule.error):
        return None
    if rule.code:
        return next((code for code in codes if code in rule.code), None)
    return str(error) if rule.error else str(status)


def _unknown(at: Place, status: int, codes: list[str]) -> Verdict:
    code = codes[0] if codes else None
    if at == "api" and status == 401 and not codes:
        return Verdict("dead_grant", Reason.TOKEN_REFUSED)  # RFC 6750 3.1: the token, whatever the body says
    if at == "token":
        return Verdict("transient", Reason.PROVIDER_UNAVAILABLE, code)
    return Verdict("transient", Reason.SYNC_FAULT, code)
