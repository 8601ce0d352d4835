"""What this deployment knows: its providers, and the reasons."""

from aiohttp import web

from schemas import api
from schemas.reasons import CATALOGUE
from service.http.context import Call


async def list_providers(call: Call) -> web.Response:
    infos = [
        api.ProviderInfo(
            id=config.description.id,
            name=config.description.words.title,
            account_word=config.description.words.account,
            admin_word=config.description.words.admin,
            prerequisites=list(config.description.words.prerequisites),
        )
        for config in call.parts.providers.values()
    ]
    return call.answer(api.ProviderList(providers=infos))


async def list_reasons(call: Call) -> web.Response:
    infos = [
        api.ReasonInfo(code=code, remedy=entry.remedy, title=entry.title, words=entry.words, next=entry.next)
        for code, entry in CATALOGUE.items()
    ]
    return call.answer(api.ReasonList(reasons=infos))
