"""One request of somebody who may be here: who it is, what they ask of the API, and the page that they get."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qs

from aiohttp import web
from yarl import URL

from schemas.routes import Scope
from service.console.pages import Pages
from service.http.api import Api
from service.http.auth import NAMED_BY, WHOLE_FLEET, Caller
from service.web.browser import Browser

Json = dict[str, Any]  # Any: what JSON can hold
_LARGEST_FORM = 8192


class Told(Exception):
    """The API answered with a problem: it becomes a page."""

    def __init__(self, problem: Json) -> None:
        super().__init__(problem.get("code"))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks, and what they may do."""

    name: str
    caller: Caller
    leaves: bool
    """Whether there is a session that can be ended."""

    @property
    def tenant(self) -> str:
        return self.caller.tenant

    @property
    def whole_fleet(self) -> bool:
        return self.caller.tenant == WHOLE_FLEET

    def may(self, scope: Literal["connectors:write", "attempts:write", "fleet:write", "fleet:read"]) -> bool:
        return Scope(scope) in self.caller.scopes


@dataclass(frozen=True, slots=True)
class Visit:
    """The request, and everything that its page needs."""

    request: web.Request
    viewer: Viewer
    api: Api
    pages: Pages
    browser: Browser
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def ask(
        self,
        operation: str,
        params: Mapping[str, str] = {},
        *,
        query: Mapping[str, str | None] = {},
        tenant: str | None = None,
        body: object = None,
    ) -> Json:
        """What the API answers. Empty parameters aren't asked. Raises `Told`."""
        told, _ = await self.ask_page(operation, params, query=query, tenant=tenant, body=body)
        return told

    async def ask_page(
        self,
        operation: str,
        params: Mapping[str, str] = {},
        *,
        query: Mapping[str, str | None] = {},
        tenant: str | None = None,
        body: object = None,
    ) -> tuple[Json, str | None]:
        """As `ask`, with the address of this page's next part, where the answer has one."""
        given = {name: value for name, value in query.items() if value}
        headers = {NAMED_BY: tenant} if tenant is not None else {}
        caller = self.viewer.caller
        answer = await self.api.ask(operation, caller, params, query=given, body=body, headers=headers)
        if not answer.is_well:
            raise Told(answer.json)
        return answer.json or {}, _next(self.request, answer.headers.get("Link"))

    async def provider_names(self) -> dict[str, str]:
        """What each provider of this deployment is called."""
        return {one["id"]: one["name"] for one in (await self.ask("list_providers"))["providers"]}

    async def fields(self) -> dict[str, str]:
        """What a form holds: its first values, without spaces around them."""
        body = (await self.request.read())[:_LARGEST_FORM].decode("utf-8", "replace")
        return {name: values[0].strip() for name, values in parse_qs(body, max_num_fields=20).items()}

    def page(self, template: str, title: str, here: str = "", **values: object) -> web.Response:
        """A page in the console's frame."""
        csrf, cookie = self.browser.form(self.request)
        frame = {"viewer": self.viewer, "here": here, "csrf": csrf, "now": self.now, "title": title}
        response = self.pages.page(template, 200, {**frame, **values})
        if cookie is not None:
            self.browser.give_form(response, cookie)
        return response

    def problem(self, problem: Json) -> web.Response:
        """The page of a problem."""
        response = self.page("problem.html", problem["title"], problem=problem)
        response.set_status(problem["status"])
        return response


def see_other(address: str) -> web.Response:
    return web.Response(status=303, headers={"Location": address})


def _next(request: web.Request, link: str | None) -> str | None:
    """This page again, with the cursor of the API's Link header (RFC 8288)."""
    if not link or 'rel="next"' not in link:
        return None
    cursor = URL(link[link.index("<") + 1 : link.index(">")]).query.get("cursor", "")
    return str(request.rel_url.update_query(cursor=cursor))
