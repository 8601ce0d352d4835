"""The paragraph of a connector that works, or on whose new sign-in somebody works."""

from collections.abc import Sequence

from schemas.acting import WhoActs, who_acts
from schemas.lifecycle import ActorKind, Outcome, State, Step, Trigger
from schemas.reasons import Reason
from service.insight.at_rest import tell_disconnect
from service.insight.causes import (
    opened_by,
    recovery_in,
    tell_cause,
    tell_passing_failures,
    tell_past_cause,
    tell_swap,
    tell_tries,
    trouble_until,
    trusted_again,
)
from service.insight.entries import Entry
from service.insight.names import capital, moment, times
from service.insight.paragraph import Story
from service.insight.tries import Try, tries
from statemachine.connector import Connector


def tell_healthy(story: Story) -> None:
    c, log = story.connector, story.log
    place = next((i for i in reversed(range(len(log))) if _arrives(log[i], State.HEALTHY)), None)
    entry = log[place] if place is not None else None
    again = " again" if entry is not None and entry.reason is Reason.RECOVERED else ""
    story.say(f"{story.names.quoted} works{again}.")
    if place is None:
        since = f"since {moment(c.since)}" if c.since else "for some time"
        story.say(f"It has worked {since}; the events of that time are no longer at hand.")
    else:
        _tell_arrival(story, place)
    _tell_end(story, place or 0)
    tell_passing_failures(story)
    if c.warned is None:
        story.say("Nothing is awaited, and nobody has anything to do.")


def _arrives(entry: Entry, state: State) -> bool:
    return entry.to is state and entry.source is not state


def _tell_arrival(story: Story, place: int) -> None:
    """How it came to work."""
    log = story.log
    entry = log[place]
    match entry.source:
        case State.ABSENT:
            who = capital(story.names.actor(entry.actor))
            story.say(f"{who} registered it {story.on(entry.at)}, with a credential that works.", entry)
        case State.FAILED:
            tell_past_cause(story, place)
            tell_tries(story, [one for one in tries(trouble_until(log, place)) if one.end])
            alone = "a sync ended well without anybody signing in, so it recovered by itself."
            story.say(f"{capital(story.on(entry.at))} {alone}", entry)
        case State.SYNCING:
            swap = next((i for i in reversed(range(place)) if _arrives(log[i], State.SYNCING)), None)
            if swap is not None:
                tell_past_cause(story, swap)
            tell_swap(story, place)
            first = "the first sync with it" if trusted_again(log, place) is None else "that sync"
            story.say(f"{capital(story.on(entry.at))} {first} ended well.", entry)
        case _:
            _tell_untouched(story, [one for one in tries(log[: place + 1]) if one.end is entry])


def _tell_untouched(story: Story, attempt: Sequence[Try]) -> None:
    """How an attempt ended, after which the connector works with the credential that it had."""
    well = recovery_in(attempt[-1]) if attempt else None
    if well is not None:
        alone = "a sync ended well while an attempt was open, so it recovered by itself."
        story.say(f"{capital(story.on(well.at))} {alone}", well)
    else:
        story.say("It worked when an attempt was opened, and the saved sign-in was never touched.")
    tell_tries(story, attempt)


def _tell_end(story: Story, since: int) -> None:
    """What is known of the credential's end, where its owner was warned."""
    c, n = story.connector, story.names
    warnings = [e for e in story.log[since:] if e.trigger in (Trigger.EXPIRY_NEAR, Trigger.EXPIRY_MOVED)]
    last = warnings[-1] if warnings else None
    if c.warned is None:
        if last is not None and last.trigger is Trigger.EXPIRY_MOVED:
            story.say(f"An end that its owner was warned of has moved away {story.on(last.at)}.", last)
        return
    ends = story.on(c.expires_at) if c.expires_at else "soon"
    estimated = " (our estimate, since it told none)" if c.expires_estimated else ""
    warned = f" {story.on(last.at)}" if last is not None else ""
    story.say(f"But {n.provider} ends the saved sign-in {ends}{estimated}; its owner was warned{warned}.", last)
    words = f"{n.an_admin} of {n.account}"
    story.say(f"It waits for {words} to sign in before that; nothing stops meanwhile.")
    next_ = f"Let {n.an_admin} open a link and sign in to {n.provider} before that."
    story.acts(who_acts(c.state, c.reason, warned=True), words, next_)


def tell_awaiting(story: Story) -> None:
    c, n = story.connector, story.names
    story.say(f"{n.quoted} waits for a person to sign in to {n.provider}.")
    live = _tell_before_the_attempt(story)
    story.say(f"{opened_by(story, live)}.", live.opened if live else None)
    words = "the person who has the link"
    next_ = f"Open the link and sign in to {n.provider} as {n.an_admin}; the host makes a new link for who has lost it."
    who = who_acts(c.state, c.reason)
    match story.glimpse.step if story.glimpse else None:
        case None:
            pass
        case Step.PROVIDER_PAGE:
            story.say(f"The button was pressed, and the person was sent to {n.provider}.", observed=True)
        case Step.RETURNED:
            told = f"The person came back from {n.provider}, and the host still has to confirm who that is."
            story.say(told, observed=True)
            who, words, next_ = WhoActs.HOST, "the host's backend", "See why the host doesn't complete the attempt."
        case _:
            story.say("The button on the link's page has not been pressed yet.", observed=True)
    _tell_who_has_it(story)
    until = f" until {_then(story)}" if c.deadline else ""
    story.say(f"The attempt is open{until}; if nobody comes back by then, {_falls_back(c)}.")
    story.acts(who, words, next_)


def tell_verifying(story: Story) -> None:
    c, n = story.connector, story.names
    story.say(f"{n.quoted} has a new sign-in, which is being checked.")
    live = _tell_before_the_attempt(story)
    back = next((e for e in reversed(live.entries if live else []) if e.trigger is Trigger.GRANT_RECEIVED), None)
    opened = opened_by(story, live)
    on = f" {story.on(back.at)}" if back else ""
    story.say(f"{opened}, and the person came back from {n.provider}{on}.", back)
    if c.unavailable:
        away = [e for e in story.notes if e.trigger is Trigger.PROVIDER_UNAVAILABLE and e.attempt == c.attempt]
        said = n.said(away[-1].evidence) if away else ""
        told = f", last on {moment(away[-1].at)}" + (f" ({said})" if said else "") if away else ""
        story.say(
            f"{n.provider} couldn't be asked {times(c.unavailable)} so far{told}; it is asked again.", observed=True
        )
    until = f" until {_then(story)}" if c.deadline else ""
    story.say(f"The checks have time{until}; if they haven't ended by then, {_falls_back(c)}.")
    if c.unavailable:
        next_ = f"Wait until {n.provider} answers, or let the person start again later."
        story.acts(who_acts(c.state, c.reason, unavailable=True), n.provider, next_)
    else:
        story.acts(who_acts(c.state, c.reason), "regrant, by itself", "Nothing to do: it takes seconds.")


def _tell_before_the_attempt(story: Story) -> Try | None:
    """Says what led to the live attempt, and returns it."""
    c, log = story.connector, story.log
    found = tries(log)
    live = found[-1] if found and found[-1].how == "open" else None
    well = recovery_in(live) if live is not None else None
    if c.fallback is State.FAILED and c.reason is not None:
        since = tell_cause(story, c.reason, len(log))
        tell_tries(story, [one for one in tries(log[since:]) if one.end])
    elif c.fallback is State.DISCONNECTED:
        tell_disconnect(story, len(log))
    elif well is not None:
        alone = "a sync ended well while the attempt was open: it works again without the sign-in."
        story.say(f"{capital(story.on(well.at))} {alone}", well)
    else:
        story.say("The saved sign-in works, and stays in use until a new one is proved.")
    return live


def _tell_who_has_it(story: Story) -> None:
    """Says that the person handed the attempt on: an observation."""
    handed = [
        note
        for note in story.notes
        if note.trigger is Trigger.HANDED_ON
        and note.attempt == story.connector.attempt
        and note.outcome is Outcome.OBSERVATION
        and note.actor.kind is ActorKind.PERSON
    ]
    if handed:
        story.say(f"On {moment(handed[-1].at)} the person handed the attempt on to somebody else.", observed=True)


def _then(story: Story) -> str:
    assert story.connector.deadline is not None
    return story.on(story.connector.deadline).removeprefix("at ").removeprefix("on ")


def _falls_back(c: Connector) -> str:
    match c.fallback:
        case State.HEALTHY:
            return "everything stays as it is, and it goes on working"
        case State.DISCONNECTED:
            return "it is disconnected again"
        case _:
            return "it is failed again, as before"


def tell_syncing(story: Story) -> None:
    c, n, log = story.connector, story.names, story.log
    if trusted_again(log, len(log)) is None:
        story.say(f"{n.quoted} has a new sign-in, and waits for its first data.")
    else:
        story.say(f"{n.quoted} has its old sign-in, which was found to be right, and waits for data.")
    place = next((i for i in reversed(range(len(log))) if _arrives(log[i], State.SYNCING)), None)
    asked = 1
    if place is None:
        story.say(f"Credential number {c.generation} came into use.")
    else:
        tell_past_cause(story, place)
        tell_swap(story, place + 1)
        asked += sum(entry.trigger is Trigger.SYNC_EXPIRED for entry in log[place:])
    again = f" {times(asked)} so far" if asked > 1 else ""
    story.say(f"The sync engine was asked for a sync with it{again}.", log[-1] if log and asked > 1 else None)
    tell_passing_failures(story)
    known = log[-1].after if log else None
    if known is not None and known.deadline != c.deadline and c.deadline is not None:
        # A run that was seen moved it, or a pause after a failure that passes: observations, which aren't in the log.
        told = f"A run was seen, or a pause began: what comes of it is awaited until {moment(c.deadline)}."
        story.say(told, observed=True)
    else:
        until = f" until {_then(story)}" if c.deadline else ""
        story.say(f"Its outcome is awaited{until}; then it is asked for again, and in the end given up.")
    next_ = "See that the sync engine runs the sync that it was asked for."
    story.acts(who_acts(c.state, c.reason), "the host's sync engine", next_)
