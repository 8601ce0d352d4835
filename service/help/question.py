"""A question as the search takes it: its words, each with what means the same."""

import re
from collections.abc import Iterator

from service.store.passages import Word

LONGEST = 300
"""The most characters of a question."""
MOST_WORDS = 24

_WORD = re.compile(r"[^\W_]+(?:[-'’_.][^\W_]+)*")

# What people write as two words, or as one, and the pages as another.
_PHRASES = (
    (r"\b(?:sign|log)(?:ing|ged|s|ged)?[ -](?:in|on)(?: again)?\b", "login"),
    (r"\bset(?:ting)?[ -]?up\b", "setup"),
    (r"\bpop(?:s|ped|ping)?[ -]?ups?\b", "popup"),
    (r"\b(?:doesn.?t|does not|don.?t|isn.?t|not|stopped) work(?:ing|s)?(?: any ?more)?\b", "broken"),
    (r"\bre[ -]?auth\w*\b", "reauthenticate"),
    (r"\bre[ -]?connect(?:ing|ion)?\b", "reconnect"),
    (r"\bdead[ -]?letters?\b", "dlq"),
    (r"\bround[ -]?trip\b", "roundtrip"),
)

_SAME = (
    "login, reauthenticate, re-authenticate, reauthorise, reauthorize, reconnect, relink, sign-in, sign, password",
    "company, realm, organisation, organization, org, realmid",
    "broken, fail, failed, failing, failure, error, stopped, stop",
    "popup, pop-up, window",
    "handoff, link, url",
    "expire, expires, expired, expiry, lapse, end, ends",
    "admin, administrator",
    "rotate, rotation, replace, renew, roll",
    "permission, scope, consent",
    "notify, notification, notice, reminder, remind, alert, email, mail",
    "delete, remove, erase, shred, destroy",
    "disconnect, revoke, revoked, withdraw, unlink",
    "topic, record, event",
    "install, setup, deploy, deployment, start",
    "kubernetes, k8s, helm, chart",
    "limit, throttle, rate, 429",
    "tenant, customer",
    "dlq, dead-letter, poison",
    "scale, grow, shard, worker",
    "encrypt, encryption, encrypted, seal, sealed, vault",
    "wrong, another, different, other",
    "subscription, billing, payment, 6190",
    "setting, settings, configure, configuration, option, variable",
    "fast, performance, speed, latency, throughput, benchmark",
    "slow, unavailable, down, outage",
    "import, migrate, bring, migration",
    "duplicate, twice, exactly, once, idempotent, idempotency",
    "bookkeeper, accountant",
    "long, last, live, lives, lifetime",
)
_MEANT = {word: line.split(", ") for line in _SAME for word in line.split(", ")}


def words_of(question: str) -> list[Word]:
    """Each word of the question, and what means the same."""
    text = question.lower()
    for pattern, word in _PHRASES:
        text = re.sub(pattern, word, text)
    asked = [word for word in dict.fromkeys(_WORD.findall(text)) if word not in _EMPTY]
    return [one for place, word in enumerate(asked[:MOST_WORDS]) for one in _meant(place, word)]


def _meant(place: int, word: str) -> Iterator[Word]:
    yield Word(place, word, 1.0)
    same = next((_MEANT[stem] for stem in _stems(word) if stem in _MEANT), ())
    for other in same:
        if other != word:
            yield Word(place, other, 0.6)


def _stems(word: str) -> Iterator[str]:
    """The word, and without its ending: PostgreSQL's own stems can't be asked here."""
    yield word
    for ending in ("s", "d", "ed", "ing"):
        if word.endswith(ending):
            yield word.removesuffix(ending)
            yield word.removesuffix(ending) + "e"


_EMPTY = frozenset(
    {
        "or",
        "mean",
        "means",
        "happen",
        "happens",
        "please",
        "want",
        "need",
        "get",
        "use",
        "tell",
        "many",
        "much",
        "quickbook",
    }
)
"""Words that say nothing about what is asked, beside those that PostgreSQL's dictionary leaves out."""


def readable(question: str) -> str:
    """The question without characters that no text has; what PostgreSQL can take."""
    return " ".join("".join(c if c.isprintable() else " " for c in question).split())
