"""What many connectors tell together: the funnel, times, errors, and the ends that come near."""

from datetime import timedelta

from aiohttp import web

from service.console.visit import Visit

DAYS = (1, 7, 30, 90)
AHEAD = (7, 30, 90, 365)


async def funnel(visit: Visit) -> web.StreamResponse:
    days, provider = _chosen(visit, 30), visit.request.query.get("provider")
    told = await visit.ask("get_funnel", query={"since": _since(visit, days), "provider": provider})
    return await _page(visit, "funnel.html", "Funnel", "funnel", days, funnel=told, provider=provider)


async def times(visit: Visit) -> web.StreamResponse:
    days = _chosen(visit, 30)
    told = await visit.ask("get_times", query={"since": _since(visit, days)})
    return await _page(visit, "times.html", "Times", "times", days, times=told)


async def errors(visit: Visit) -> web.StreamResponse:
    days, provider = _chosen(visit, 1), visit.request.query.get("provider")
    told = await visit.ask("get_errors", query={"since": _since(visit, days), "provider": provider})
    return await _page(visit, "errors.html", "Errors", "errors", days, errors=told, provider=provider)


async def expiring(visit: Visit) -> web.StreamResponse:
    given = visit.request.query.get("within", "")
    within = int(given) if given in {str(days) for days in AHEAD} else 30
    told = await visit.ask("list_expiring", query={"within": str(within)})
    names = await visit.provider_names()
    shown = {"expiring": told, "within": within, "ahead": AHEAD, "providers": names}
    return visit.page("expiring.html", "Expiring", "expiring", **shown)


async def _page(visit: Visit, template: str, title: str, here: str, days: int, **values: object) -> web.Response:
    names = await visit.provider_names()
    return visit.page(template, title, here, days=days, choices=DAYS, providers=names, **values)


def _chosen(visit: Visit, otherwise: int) -> int:
    """How many days back the page looks: one of those that it offers."""
    given = visit.request.query.get("days", "")
    return int(given) if given in {str(days) for days in DAYS} else otherwise


def _since(visit: Visit, days: int) -> str:
    return f"{visit.now - timedelta(days=days):%Y-%m-%dT%H:%M:%S}Z"
