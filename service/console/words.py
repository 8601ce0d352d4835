"""Numbers, times and names as people read them. Pure. Times are UTC, and say so where they stand alone."""

from datetime import UTC, datetime, timedelta

from schemas.lifecycle import ActorKind
from schemas.reasons import Reason

_GENERAL = {
    "account": "the account",
    "admin": "administrator",
    "expected": "the expected account",
    "seen": "the account that was seen",
}
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))

WHO: dict[str, str] = {
    "owner": "The owner",
    "person": "Whoever has the link",
    "host": "The host",
    "operator": "You",
    "provider": "The provider",
    "regrant": "By itself",
    "time": "Under way",
    "nobody": "Nobody",
}
"""Who has to act, by the API's word."""

ACTORS: dict[str, str] = {
    ActorKind.HOST.value: "the host",
    ActorKind.SYNC_ENGINE.value: "the sync engine",
    ActorKind.PERSON.value: "a person",
    ActorKind.PROVIDER.value: "the provider",
    ActorKind.REGRANT.value: "regrant",
    ActorKind.OPERATOR.value: "an operator",
}


def instant(given: object) -> datetime | None:
    """A time of the API's, RFC 3339; `None` stays `None`."""
    if not isinstance(given, str) or not given:
        return None
    return datetime.fromisoformat(given).astimezone(UTC)


def number(value: float) -> str:
    """With thousands apart; small fractions keep one digit."""
    if value != int(value) and abs(value) < 100:
        return f"{value:,.1f}"
    return f"{round(value):,}"


def share(part: float, whole: float) -> str:
    """In percent, with as many digits as tell something: 99.98 % isn't 100 %."""
    if whole <= 0:
        return "–"
    percent = 100 * part / whole
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if percent > 99:
        return f"{min(percent, 99.99):.2f} %"
    return f"{percent:.1f} %" if percent >= 0.1 else "< 0.1 %"


def span(time: float | timedelta | None) -> str:
    """How long, in its two largest units."""
    if time is None:
        return "–"
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    seconds = abs(seconds)
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole, told = float(round(seconds)), list[str]()
    for size, unit in _UNITS:
        if whole >= size or told:
            told.append(f"{int(whole // size)} {unit}")
            whole %= size
        if len(told) == 2 or (told and not whole):
            break
    return " ".join(told)


def ago(given: object, now: datetime) -> str:
    """How long before now, or after it."""
    when = instant(given)
    if when is None:
        return "never"
    seconds = (now - when).total_seconds()
    if abs(seconds) < 1:
        return "now"
    largest = span(float(round(abs(seconds)))).split(" ")
    told = " ".join(largest[:2])
    return f"{told} ago" if seconds > 0 else f"in {told}"


def clock(given: object) -> str:
    """The instant itself: what stands in a title, or alone."""
    when = instant(given)
    return f"{when:%Y-%m-%d %H:%M:%S} UTC" if when else "never"


def hour(given: object) -> str:
    """The instant to the minute."""
    when = instant(given)
    return f"{when:%d %b %H:%M}" if when else "never"


def plain(code: object) -> str:
    """A code as words: `wrong_account` is *wrong account*."""
    return str(code).replace("_", " ")


def named(code: object) -> str:
    """A code as the beginning of a line."""
    words = plain(code)
    return words[:1].upper() + words[1:]


def actor(given: object) -> str:
    """Who did something: the kind, and the id where there is one."""
    if not isinstance(given, dict):
        return "regrant"
    kind = ACTORS.get(str(given.get("kind")), plain(given.get("kind")))
    return f"{kind} ({given['id']})" if given.get("id") else kind


def reason(code: object, provider: str = "The provider") -> str:
    """A reason's title in general words: whoever reads it has no single connector before them."""
    if code not in set(Reason):
        return named(code)
    said = Reason(str(code)).entry.title.format(**{**_GENERAL, "provider": provider})
    return said[:1].upper() + said[1:]


def acts(word: object) -> str:
    """Who has to act."""
    return WHO.get(str(word), named(word))


def plural(count: float, one: str, many: str | None = None) -> str:
    """The number with its word."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"
