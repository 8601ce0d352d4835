"""A connector's story over HTTP: why it is in its state, and the support bundle."""

from aiohttp import web

from schemas.lifecycle import Refused, State
from service.http.context import Call
from service.http.problems import refused
from service.insight.answers import why_body
from service.insight.bundle import bundle, material
from service.insight.bundle_text import markdown
from service.insight.names import ProviderNames
from service.insight.reading import known
from service.oauth.described import described


async def get_why(call: Call) -> web.Response:
    async with call.parts.pool.acquire() as connection:
        found = await known(connection, call.connector, call.caller.tenant)
    if found is None or found.connector.state is State.DELETED:
        raise refused(Refused.UNKNOWN_CONNECTOR)
    provider = described(call.parts.providers, found.connector.provider)
    told = found.why(ProviderNames(provider.title, provider.account_word, provider.admin_word))
    return call.answer(why_body(found.connector.id, told))


async def get_bundle(call: Call) -> web.Response:
    async with call.parts.pool.acquire() as connection:
        found = await material(connection, call.connector, call.caller.tenant)
    if found is None or found.connector.state is State.DELETED:
        raise refused(Refused.UNKNOWN_CONNECTOR)
    made = bundle(found, described(call.parts.providers, found.connector.provider), call.parts.told_settings)
    if _wants_markdown(call.request.headers.get("Accept", "")):
        return call.text(markdown(made), "text/markdown")
    return call.answer(made)


def _wants_markdown(accept: str) -> bool:
    """Whether Markdown is asked for before JSON (RFC 9110 12.5.1; the order stands for the weights)."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return next((kind for kind in kinds if kind in ("text/markdown", "application/json", "*/*")), "") == "text/markdown"
