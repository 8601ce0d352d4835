"""What this deployment knows: its providers, and the reasons."""

from aiohttp import web

from schemas import api
from schemas.reasons import Reason
from service.http.context import Call
from service.oauth.words import provider_words
from service.texts.catalogue import texts


async def list_providers(call: Call) -> web.Response:
    infos = [
        api.ProviderInfo(
            id=config.description.id,
            name=words.name,
            account_word=words.account,
            admin_word=words.admin,
            prerequisites=list(words.prerequisites),
        )
        for config in call.parts.providers.values()
        for words in (provider_words(config.description).spoken(call.language),)
    ]
    return call.answer(api.ProviderList(providers=infos))


async def list_reasons(call: Call) -> web.Response:
    infos = [
        api.ReasonInfo(
            code=reason,
            remedy=reason.remedy,
            title=said.title,
            words=said.words,
            next=said.next,
            takes=said.takes,
            steps=list(said.steps),
        )
        for reason in Reason
        for said in (texts(call.language).reason_unfilled(reason),)
    ]
    return call.answer(api.ReasonList(reasons=infos))
