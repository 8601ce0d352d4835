"""Contacts over HTTP: whom e-mail asks when a connector needs its owner."""

from aiohttp import web

from schemas import contacts as bodies
from schemas.lifecycle import Refused
from service.http.context import Call
from service.http.problems import refused
from service.store import contacts as store
from service.store.contacts import Contact


async def get_contacts(call: Call) -> web.Response:
    pk, _ = await call.found()
    async with call.parts.pool.acquire() as connection:
        return _shown(call, await store.contacts_of(connection, pk))


async def set_contacts(call: Call) -> web.Response:
    body = call.body(bodies.SetContacts)
    by_address = {one.address.reveal().lower(): Contact(one.address, one.language) for one in body.contacts}
    async with call.parts.pool.acquire() as connection, connection.transaction():
        wanted = list(by_address.values())
        pk = await store.set_contacts(connection, call.connector, call.caller.tenant, wanted, call.caller.subject)
        if pk is None:
            raise refused(Refused.UNKNOWN_CONNECTOR)
        return _shown(call, await store.contacts_of(connection, pk))


def _shown(call: Call, contacts: list[Contact]) -> web.Response:
    shown = [
        bodies.Contact(address=one.address.reveal(), language=one.language, refused_at=one.refused_at)
        for one in contacts
    ]
    return call.answer(bodies.Contacts(contacts=shown))
