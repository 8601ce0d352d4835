"""The provider's pages: templates filled with what a visit knows. Everything is escaped; no script, nothing foreign."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.demo.simulator.visits import Step, Visit
from service.demo.simulator.world import ACCOUNTING, PAYMENT, ROLES_READ, World

HERE = Path(__file__).parent

# No `form-action`: browsers apply it to the redirect after a form, too, and that one leads to the client.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}

_SCOPE_WORDS = {
    ACCOUNTING: "Read and update your company's accounting data",
    PAYMENT: "Process payments for your company",
    ROLES_READ: "See your role in this company",
    "openid": "Know who you are",
    "profile": "See your name",
    "email": "See your email address",
    "phone": "See your phone number",
    "address": "See your postal address",
}

_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page_of(world: World, visit: Visit, status: int = 200) -> web.Response:
    """The page of the visit's present step."""
    user = world.user_by_email(visit.email)
    company = world.companies.get(visit.realm)
    html = _templates.get_template(f"{visit.step}.html").render(
        **_brand(world),
        step=visit.step.value,
        action=f"/sign-in/{visit.id}",
        app_name=world.client.name,
        email=visit.email,
        error=visit.error,
        user_name=user.name if user else "",
        company_name=company.name if company else "",
        companies=world.companies_for(user, visit.request.scopes) if user and visit.step is Step.COMPANY else [],
        permissions=[
            *(words for scope, words in _SCOPE_WORDS.items() if scope in visit.request.scopes),
            *sorted(visit.request.scopes - _SCOPE_WORDS.keys()),
        ],
        hints=[person for person in world.users.values() if person.hint] if world.settings.show_hints else [],
    )
    return web.Response(text=html, status=status, content_type="text/html", headers=HEADERS)


def _brand(world: World) -> dict[str, str]:
    return {"brand": world.settings.brand, "product": world.settings.product}


def problem_page(world: World, heading: str, text: str, status: int) -> web.Response:
    """A page that leads nowhere: the authorization request itself was wrong, or the visit is over."""
    html = _templates.get_template("problem.html").render(
        **_brand(world), step="problem", app_name=world.client.name, heading=heading, text=text
    )
    return web.Response(text=html, status=status, content_type="text/html", headers=HEADERS)


async def stylesheet(_request: web.Request) -> web.Response:
    return web.Response(text=_STYLE, content_type="text/css", headers={"Cache-Control": "max-age=300"})


_STYLE = (HERE / "assets" / "pages.css").read_text()
