"""The sentences that several states share: what made a connector fail, what was tried since, how it was mended."""

from collections.abc import Sequence

from schemas.lifecycle import Notice, Outcome, State, Trigger
from schemas.reasons import Reason
from service.insight.entries import Entry
from service.insight.names import capital, moment, times
from service.insight.paragraph import Story
from service.insight.tries import Try, tries

# What happened first.


def cause_of(log: Sequence[Entry], reason: Reason | None, until: int) -> int | None:
    """The place of the transition that brought this reason, which has stood since, up to `until` (not included).

    `None` where the log begins too late to tell.
    """
    first = until
    while first > 0 and reason_after(log[first - 1]) is reason:
        first -= 1
    if first == until:
        return None
    return first if first > 0 or log[0].version == 1 or log[0].reason is reason else None


def reason_after(entry: Entry) -> Reason | None:
    return entry.after.reason if entry.after else None


def tell_cause(story: Story, reason: Reason, until: int) -> int:
    """Says what made it fail, and returns from where on the log tells what was done about it."""
    place = cause_of(story.log, reason, until)
    n = story.names
    if place is None:
        since = f" since {moment(story.connector.failed_since)}" if story.connector.failed_since else ""
        story.say(f"It failed before the events that are at hand{since}, because {n.because(reason)}.")
        return 0
    entry = story.log[place]
    if entry.trigger is Trigger.SYNC_EXPIRED:
        tell_swap(story, place)
    story.say(_caused(story, entry, reason), entry)
    before = reason_after(story.log[place - 1]) if place else None
    if before not in (None, reason) and entry.source is not State.HEALTHY:
        story.say(f"Before that it had failed for another reason: {n.because(before)}.")
    return place + 1


def tell_past_cause(story: Story, until: int) -> None:
    """Says what had made it fail, where it had failed just before `until`."""
    reason = reason_after(story.log[until - 1]) if until else None
    if reason is not None:
        tell_cause(story, reason, until)


def _caused(story: Story, entry: Entry, reason: Reason) -> str:
    n = story.names
    clause, said = n.because(reason), n.said(entry.evidence)
    proof = f" ({said})" if said else ""
    match entry.trigger:
        case Trigger.REGISTER:
            return f"{capital(n.actor(entry.actor))} registered it {story.on(entry.at)}, and {clause}."
        case Trigger.REFRESH_REJECTED if reason is Reason.VAULT_INTEGRITY:
            return f"{capital(story.on(entry.at))} regrant looked at its own copy: {clause}."
        case Trigger.REFRESH_REJECTED:
            return f"{capital(story.on(entry.at))} {n.provider} refused to refresh the sign-in{proof}: {clause}."
        case Trigger.VERIFIED_AGAIN:
            asked = f"{n.actor(entry.actor)} had the saved sign-in verified again{proof}"
            return f"{capital(story.on(entry.at))} {asked}: {clause}."
        case Trigger.SYNC_EXPIRED:
            return f"{capital(story.on(entry.at))} regrant gave up: {clause}."
        case _:
            judged = "" if said else " (the host named the reason itself)"
            told = f"{n.actor(entry.actor)} reported a failed sync{proof or judged}: {clause}."
            return f"{capital(story.on(entry.at))} {told}"


# What was tried since.


def tell_tries(story: Story, found: Sequence[Try], *, nobody: str = "") -> Try | None:
    """Says how the attempts ended that are over; returns the last one that ended without success."""
    done = [one for one in found if one.how not in ("open", "connected", "shared")]
    if not done:
        if nobody:
            story.say(nobody)
        return None
    last = done[-1]
    if len(done) > 1:
        story.say(f"{len(done)} attempts have ended without success since.", done[0].end)
    opened = opened_by(story, last, "the last one" if len(done) > 1 else "an attempt")
    story.say(f"{opened}; {_ended(story, last)}.", last.opened if len(done) == 1 else None, last.end)
    if (told := explanation_of(story, last)) is not None and told.reason is not None:
        n = story.names
        said = f"the person told what {n.provider} had shown: {n.because(told.reason)}."
        story.say(f"On {moment(told.at)} {said}", observed=True)
    return last


def explanation_of(story: Story, one: Try) -> Entry | None:
    """What the person told afterwards of an attempt that nobody came back from: an observation."""
    told = (note for note in story.notes if note.trigger is Trigger.EXPLAINED and note.attempt == one.attempt)
    return next((note for note in told if note.outcome is Outcome.OBSERVATION), None)


def opened_by(story: Story, one: Try | None, what: str = "an attempt") -> str:
    """The beginning of a sentence: who opened an attempt, and when."""
    if one is None or one.opened is None:
        return f"Somebody opened {what}"
    return f"{capital(story.names.actor(one.opened.actor))} opened {what} {story.on(one.opened.at)}"


def _ended(story: Story, one: Try) -> str:
    assert one.end is not None
    n, on = story.names, story.on(one.end.at)
    match one.how:
        case "replaced":
            return f"{on} a newer one took its place"
        case "removed":
            return f"{on} it ended, because the connector was taken off"
        case _:
            said = n.said(one.end.evidence)
            proof = f" ({said})" if said else ""
            reason = one.end.reason
            because = f", because {n.because(reason, one.end.expected, one.end.seen)}{proof}" if reason else ""
            return f"it ended {on}{because}"


def tell_swap(story: Story, until: int) -> None:
    """Says how the credential came that counted before `until`, or that it was found right when somebody asked."""
    if (again := trusted_again(story.log, until)) is not None:
        who = f"{story.names.actor(again.actor)} had the saved sign-in verified again"
        told = f"{who}: it is right, and a sync was asked for."
        story.say(f"{capital(story.on(again.at))} {told}", again)
        return
    found = [one for one in tries(story.log[:until]) if one.how in ("connected", "shared")]
    if not found:
        return
    one = found[-1]
    assert one.end is not None
    number = f"credential number {one.end.after.generation}" if one.end.after else "a new credential"
    if one.how == "shared":
        other = f"a sign-in on another connector of the tenant brought {number} for it, too."
        story.say(f"{capital(story.on(one.end.at))} {other}", one.end)
        return
    opened = opened_by(story, one)
    story.say(f"{opened}; {story.on(one.end.at)} the sign-in was checked and {number} came into use.", one.end)


def trusted_again(log: Sequence[Entry], until: int) -> Entry | None:
    """Where the sync before `until` is awaited because the saved credential was verified again: that transition."""
    newest = next((e for e in reversed(log[:until]) if e.to is State.SYNCING and e.source is not State.SYNCING), None)
    return newest if newest is not None and newest.trigger is Trigger.VERIFIED_AGAIN else None


def tell_reminders(story: Story, since: int) -> int:
    """Says how often its owner was reminded; returns it."""
    reminders = [entry for entry in story.log[since:] if entry.trigger is Trigger.REMINDER_DUE]
    if reminders:
        last = ", last" if len(reminders) > 1 else ","
        story.say(f"Its owner was reminded {times(len(reminders))}{last} {story.on(reminders[-1].at)}.")
    return len(reminders)


def tell_help(story: Story, since: int) -> None:
    """Says that the person asked the host for help."""
    asked = [entry for entry in story.log[since:] if entry.trigger is Trigger.HELP_ASKED]
    if asked:
        story.say(f"{capital(story.on(asked[-1].at))} the person asked for help from the window.", asked[-1])


def tell_passing_failures(story: Story) -> None:
    """Failures that pass by themselves, since the last success: observations, which the log doesn't hold."""
    c, n = story.connector, story.names
    if not c.transient_failures:
        return
    passing = [e for e in story.notes if e.outcome is Outcome.OBSERVATION and e.trigger is Trigger.SYNC_FAILED]
    last = passing[-1] if passing else None
    told = f", last on {moment(last.at)}, because {n.because(last.reason)}" if last and last.reason else ""
    number = times(c.transient_failures)
    story.say(f"Since the last success a sync has failed {number} in a way that passes by itself{told}.", observed=True)


def trouble_until(log: Sequence[Entry], until: int) -> Sequence[Entry]:
    """The log since the failure that ended at `until`, without it."""
    reason = reason_after(log[until - 1]) if until else None
    cause = cause_of(log, reason, until) if reason else None
    return log[cause + 1 : until] if cause is not None else log[:until]


def recovery_in(one: Try) -> Entry | None:
    """The transition of an attempt by which its connector recovered without it."""
    return next((e for e in one.entries if e.notice is Notice.RECOVERED and e.trigger is Trigger.SYNC_SUCCEEDED), None)
