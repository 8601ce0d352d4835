"""The paragraph of a connector that stands still: failed, taken off, deleted, or never there."""

from schemas.acting import who_acts
from schemas.lifecycle import State, Trigger
from schemas.reasons import Reason, Remedy
from service.insight.causes import (
    explanation_of,
    tell_cause,
    tell_help,
    tell_passing_failures,
    tell_reminders,
    tell_tries,
)
from service.insight.clauses import NEXT_TIME
from service.insight.names import Names, capital
from service.insight.paragraph import Story
from service.insight.tries import Try, tries


def tell_absent(story: Story) -> None:
    story.say("No connector with this id was ever registered.")
    story.next = "Check the id, and that the tenant is the right one."


def tell_disconnected(story: Story) -> None:
    n, log = story.names, story.log
    story.say(f"{n.quoted} is disconnected.")
    place = tell_disconnect(story, len(log))
    tell_tries(story, [one for one in tries(log[place:]) if one.end])
    story.say("It rests: what syncs say of it is ignored, and nothing is awaited.")
    story.next = f"If it is wanted again, let {n.an_admin} open a link and sign in to {n.provider}."


def tell_disconnect(story: Story, until: int) -> int:
    """Says who took it off; returns from where on the log tells what came after."""
    log = story.log
    place = next((i for i in reversed(range(until)) if log[i].trigger is Trigger.DISCONNECT), None)
    if place is None:
        story.say("Somebody took it off, and its credential was shredded.")
        return 0
    entry = log[place]
    who = capital(story.names.actor(entry.actor))
    story.say(f"{who} took it off {story.on(entry.at)}, and its credential was shredded.", entry)
    return place + 1


def tell_deleted(story: Story) -> None:
    entry = next((e for e in reversed(story.log) if e.trigger is Trigger.DELETE), None)
    who = capital(story.names.actor(entry.actor)) if entry else "Somebody"
    on = f" {story.on(entry.at)}" if entry else ""
    story.say(f"{who} deleted it{on}; what it held was shredded, and its id is never used again.", entry)
    story.next = "Register a new connector under another id, if one is wanted."


def tell_failed(story: Story) -> None:
    n, reason = story.names, story.connector.reason
    if reason is None:  # the table never leaves a failed connector without one
        story.say(f"{n.quoted} has failed, and no reason is known.")
        story.acts(who_acts(State.FAILED, None), "our operators", "Look at the history.")
        return
    still = _STANDS_STILL[reason.remedy].format(provider=n.provider)
    story.say(f"{n.quoted} stands still until {still.removesuffix(' again') if reason is _NEVER else still}.")
    since = tell_cause(story, reason, len(story.log))
    signs_in = reason.offers_login and reason is not _NEVER
    nobody = "Nobody has tried to sign in since." if signs_in else ""
    last = tell_tries(story, [one for one in tries(story.log[since:]) if one.end], nobody=nobody)
    tell_help(story, since)
    reminders = tell_reminders(story, since)
    tell_passing_failures(story)
    words, next_ = _mended_by(story, reason, last)
    story.say(f"It waits for {words}{_until_reminder(story, reminders)}.")
    story.acts(who_acts(State.FAILED, reason), words.removesuffix(" to sign in"), next_)


_NEVER = Reason.NEVER_CONNECTED
_STANDS_STILL = {
    Remedy.REAUTHORISE: "somebody signs in to {provider} again",
    Remedy.FIX_ACCOUNT: "its account is put right at {provider}; signing in again doesn't help",
    Remedy.FIX_CONFIGURATION: "operators mend a fault that isn't the customer's; signing in again doesn't help",
    Remedy.WAIT: "a fault has passed by itself",
}


def _mended_by(story: Story, reason: Reason, last: Try | None) -> tuple[str, str]:
    """Who mends it, and what they do."""
    c, n = story.connector, story.names
    match reason.remedy:
        case Remedy.REAUTHORISE:
            whom = f"of {n.account}" if c.account else f"at {n.provider}"
            return f"{n.an_admin} {whom} to sign in", _next_sign_in(story, last)
        case Remedy.FIX_ACCOUNT:
            return f"whoever looks after {n.account} at {n.provider}", _from_the_catalogue(reason, n)
        case Remedy.FIX_CONFIGURATION:
            words = "the operators of the host" if reason is Reason.SYNC_DID_NOT_START else "our operators"
            return words, _CONFIGURATION.get(reason, "Look at the settings of {provider}.").format(provider=n.provider)
        case Remedy.WAIT:
            return "the next sync", _from_the_catalogue(reason, n)


_CONFIGURATION = {
    Reason.CLIENT_REJECTED: "Put the client id and secret for {provider} right; the next sync that ends well mends it.",
    Reason.SYNC_DID_NOT_START: "See why the sync engine doesn't answer; the next sync that ends well mends it.",
}


def _until_reminder(story: Story, reminders: int) -> str:
    deadline = story.connector.deadline
    if deadline is not None:
        return f"; {'the next' if reminders else 'a'} reminder is due {story.on(deadline)}"
    return "; no further reminder is planned" if reminders else ""


def _next_sign_in(story: Story, last: Try | None) -> str:
    n = story.names
    told = f"Let {n.an_admin} open a new link and sign in to {n.provider}"
    explained = explanation_of(story, last) if last is not None else None
    reason = explained.reason if explained is not None else last.reason if last is not None else None
    hint = NEXT_TIME.get(reason) if reason is not None else None
    if hint is None or last is None or last.end is None:
        return f"{told}."
    expected = n.account_of(last.end.expected) or n.account
    filled = hint.format(
        provider=n.provider, account=n.account, account_word=n.account_word, an_admin=n.an_admin, expected=expected
    )
    return f"{told}; {filled}."


def _from_the_catalogue(reason: Reason, n: Names) -> str:
    """The catalogue's own next step, where it speaks of others than its reader."""
    values = {"provider": n.provider, "account": n.account, "expected": n.account, "admin": n.admin}
    return capital(reason.entry.next.format(**values, seen=f"another {n.account_word}"))
