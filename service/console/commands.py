"""What can be done to a connector: a page that asks first, then the command, through the same door as a host's."""

from aiohttp import web

from service.console.connector import base, names
from service.console.visit import Told, Visit, see_other


async def ask_for_link(visit: Visit) -> web.StreamResponse:
    return await _form(visit, "link.html", "Send a sign-in link")


async def send_link(visit: Visit) -> web.StreamResponse:
    """Opens an attempt for the named person. The link is in this answer alone: nobody can fetch it again."""
    one, tenant = names(visit)
    given = await visit.fields()
    person = {"id": given.get("id", ""), "name": given.get("name", "")}
    if not person["id"] or not person["name"]:
        return await _form(visit, "link.html", "Send a sign-in link", given=given, wrong="Both fields are needed.")
    try:
        attempt = await visit.ask("open_attempt", one, tenant=tenant, body={"person": person})
    except Told as told:
        wrong = f"{told.problem['detail']} {told.problem['action']}"
        return await _form(visit, "link.html", "Send a sign-in link", given=given, wrong=wrong)
    return await _form(visit, "linked.html", "The link is made", attempt=attempt, person=person)


async def verify_again(visit: Visit) -> web.StreamResponse:
    """Has the provider asked about the saved credential, and says what it said."""
    one, tenant = names(visit)
    facts = await visit.ask("verify_connector", one, tenant=tenant)
    return visit.page("verified.html", "Verified again", "connectors", c=facts, base=base(tenant, one["connector_id"]))


async def ask_to_disconnect(visit: Visit) -> web.StreamResponse:
    return await _form(visit, "disconnect.html", "Disconnect")


async def disconnect(visit: Visit) -> web.StreamResponse:
    one, tenant = names(visit)
    await visit.ask("disconnect_connector", one, tenant=tenant)
    return see_other(base(tenant, one["connector_id"]))


async def _form(visit: Visit, template: str, title: str, **values: object) -> web.Response:
    one, tenant = names(visit)
    facts = await visit.ask("get_connector", one, tenant=tenant)
    shown = {"given": {}, "wrong": "", **values}
    return visit.page(template, title, "connectors", c=facts, base=base(tenant, one["connector_id"]), **shown)
