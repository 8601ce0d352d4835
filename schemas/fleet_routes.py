"""The routes about many connectors at once: a part of the table in `schemas/routes.py`."""

from schemas import fleet
from schemas.route import Filter, Reach, Route, Scope, Tag

FLEET_ROUTES: tuple[Route, ...] = (
    Route(
        "get_fleet",
        "GET",
        "/v1/fleet",
        "See how all connectors stand, who must act, and what moves",
        Tag.FLEET,
        Scope.FLEET_READ,
        fleet.Fleet,
        filters=(Filter.AS_OF,),
        reach=Reach.SPANNING,
    ),
    Route(
        "get_funnel",
        "GET",
        "/v1/fleet/funnel",
        "See how far attempts came, and why they stopped",
        Tag.FLEET,
        Scope.FLEET_READ,
        fleet.Funnel,
        filters=(Filter.SINCE, Filter.UNTIL, Filter.PROVIDER),
        reach=Reach.SPANNING,
    ),
)
