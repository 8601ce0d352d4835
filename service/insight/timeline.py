"""A connector's timeline: what happened in reading order, in words, with what belongs to one attempt together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.ids import AttemptId
from schemas.lifecycle import Ignored, Outcome, State, Trigger
from schemas.reasons import Reason
from service.insight.entries import Entry
from service.insight.names import Names, capital, cut, moment


@dataclass(frozen=True, slots=True)
class Happening:
    """An entry in words."""

    entry: Entry
    text: str


@dataclass(slots=True)
class Chapter:
    """What happened one after the other, in one attempt or in none."""

    attempt: AttemptId | None
    happenings: list[Happening] = field(default_factory=list)


def timeline(entries: Sequence[Entry], names: Names) -> list[Chapter]:
    """The chapters, the oldest first. `entries` is in order; notes may be among them."""
    chapters: list[Chapter] = []
    live: AttemptId | None = None
    for entry in entries:
        opens = entry.after.attempt if entry.after is not None else live
        of = opens or live  # what ends an attempt is still of it
        if not chapters or chapters[-1].attempt != of:
            chapters.append(Chapter(of))
        chapters[-1].happenings.append(Happening(entry, in_words(entry, names)))
        live = opens
    return chapters


def in_words(entry: Entry, names: Names) -> str:
    """What happened, as one sentence."""
    if entry.outcome is Outcome.IGNORED:
        why = (entry.why or Ignored.ALREADY_SO).sentence.rstrip(".")
        return f"Ignored, from {names.actor(entry.actor)}: {entry.trigger.sentence.rstrip('.').lower()}. {why}."
    text = _words(entry, names)
    if entry.outcome is Outcome.OBSERVATION and entry.trigger is Trigger.SYNC_FAILED:
        text += " It passes by itself."
    return text


def _words(entry: Entry, n: Names) -> str:
    who, said = capital(n.actor(entry.actor)), n.said(entry.evidence)
    proof = f" ({said})" if said else ""
    because = f": {n.because(entry.reason, entry.expected, entry.seen)}" if entry.reason else ""
    generation = entry.after.generation if entry.after else 0
    match entry.trigger:
        case Trigger.REGISTER:
            credential = "with a credential of the host's" if entry.to is State.HEALTHY else "without a credential"
            return f"{who} registered it, {credential}."
        case Trigger.UPDATE:
            return f"{who} named it “{cut(entry.after.name) if entry.after else ''}”."
        case Trigger.SYNC_STARTED:
            return "A sync began."
        case Trigger.SYNC_SUCCEEDED:
            alone = " without anybody signing in" if entry.reason is Reason.RECOVERED else ""
            return f"A sync ended well{alone}."
        case Trigger.SYNC_FAILED:
            return f"{who} reported a failed sync{proof}{because}."
        case Trigger.REFRESH_REJECTED:
            return f"{who} refused the saved sign-in{proof}{because}."
        case Trigger.START_REAUTH:
            again = ", in place of the one that was open" if entry.source in _ATTEMPTING else ""
            return f"{who} opened an attempt{again}."
        case Trigger.RESTORED:
            lost = ", and its credential was lost" if entry.reason is not None else ""
            return f"The database was restored from a backup{lost}."
        case Trigger.HANDED_ON:
            return f"{who} handed the attempt on by a new link."
        case Trigger.EXPLAINED:
            return f"{who} told what {n.provider} had shown{because}."
        case Trigger.HELP_ASKED:
            return f"{who} asked the host for help."
        case Trigger.GRANT_RECEIVED:
            return f"The person came back from {n.provider}; the checks began."
        case Trigger.GRANT_REFUSED:
            return f"The person came back from {n.provider} without a sign-in{proof}{because}."
        case Trigger.CANCELLED:
            return f"{who} gave the attempt up{because}."
        case Trigger.AUTH_EXPIRED:
            return f"The attempt's time ran out{because}."
        case Trigger.VERIFIED:
            return (
                f"The sign-in passed every check, credential number {generation} came into use, a sync was asked for."
            )
        case Trigger.REJECTED:
            return f"The sign-in was refused{proof}{because}."
        case Trigger.PROVIDER_UNAVAILABLE:
            return f"{n.provider} couldn't be asked about the sign-in{proof}{because}."
        case Trigger.VERIFY_EXPIRED:
            return f"The checks ran out of time{because}."
        case Trigger.GRANT_SHARED:
            return f"A sign-in on another connector of the tenant brought credential number {generation}, too."
        case Trigger.VERIFIED_AGAIN:
            return f"{who} had the saved sign-in verified again: {_found(entry, n)}{proof}."
        case Trigger.SYNC_EXPIRED:
            end = "regrant gave up" if entry.to is State.FAILED else "it was asked for again"
            return f"The sync gave no result in time; {end}."
        case Trigger.REMINDER_DUE:
            return "Its owner was reminded."
        case Trigger.EXPIRY_NEAR:
            ends = entry.after.expires_at if entry.after else None
            return f"Its owner was warned: the sign-in ends {f'on {moment(ends)}' if ends else 'soon'}."
        case Trigger.EXPIRY_MOVED:
            return "The end that its owner was warned of moved away."
        case Trigger.DISCONNECT:
            return f"{who} took it off; its credential was shredded."
        case Trigger.DELETE:
            return f"{who} deleted it; what it held was shredded."


def _found(entry: Entry, n: Names) -> str:
    """What the provider said of the saved sign-in."""
    if entry.reason is Reason.CONNECTED:
        asked = ", and a sync was asked for" if entry.to is State.SYNCING else ""
        return f"it is right{asked}"
    return n.because(entry.reason) if entry.reason else "nothing came of it"


_ATTEMPTING = (State.AWAITING_AUTH, State.VERIFYING)
