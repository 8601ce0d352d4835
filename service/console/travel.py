"""Travelling in time: the moment that a page shows, from its address. Without one it shows now."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiohttp import web

from service.console.visit import Visit, see_other

HOURS = 168
"""How far the slider reaches back: a week."""
_HOURS = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Moment:
    """When a page shows, and the links that lead elsewhere in time."""

    now: datetime
    then: datetime | None

    @property
    def as_of(self) -> str | None:
        """As the API takes it; `None` is now."""
        return _text(self.then) if self.then else None

    @property
    def query(self) -> dict[str, str]:
        """What links to other pages carry along."""
        return {"as_of": self.as_of} if self.as_of else {}

    @property
    def field(self) -> str:
        """What the field for a time holds: UTC, without saying so."""
        return f"{self.then or self.now:%Y-%m-%dT%H:%M}"

    @property
    def slider(self) -> int:
        """Where the slider stands: at its right end is now."""
        ago = (self.now - self.then).total_seconds() / 3600 if self.then else 0
        return max(0, HOURS - round(ago))

    @property
    def hours(self) -> int:
        return HOURS


def moment(visit: Visit) -> Moment:
    """The moment that the address names. A time that can't be read is now, and an offset that is missing UTC."""
    return Moment(visit.now, _then(visit.request.query.get("as_of", ""), visit.now))


def by_slider(visit: Visit) -> web.Response | None:
    """Where the slider or the field leads: the same page with the moment in its address, so that it can be shared."""
    query, given = visit.request.query, visit.request.query.get("slider", "")
    if "slider" not in query:
        return None
    place = int(given) if _HOURS.fullmatch(given) else HOURS
    then = visit.now - timedelta(hours=HOURS - place) if place < HOURS else None
    kept = {name: value for name, value in query.items() if name not in ("slider", "as_of", "cursor")}
    return see_other(str(visit.request.rel_url.with_query({**kept, **({"as_of": _text(then)} if then else {})})))


def _then(given: str, now: datetime) -> datetime | None:
    try:
        then = datetime.fromisoformat(given)
        then = then.replace(tzinfo=UTC) if then.tzinfo is None else then.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return then if then < now else None


def _text(then: datetime) -> str:
    return f"{then:%Y-%m-%dT%H:%M:%S}Z"
