"""Which screen is shown: for a handoff, an attempt at this moment, a dead link, or trouble. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Literal

from schemas.ids import AttemptId
from schemas.lifecycle import State, Step
from schemas.reasons import Reason
from service.oauth.window import SHOWN_BY_PROVIDERS, Dead, WindowView
from service.texts.catalogue import shown
from service.web.asking import Asking
from service.web.saying import account_name, attempt_path, support_code
from service.web.screen import Action, Line, LineStatus, Screen

SLOW_AFTER = timedelta(seconds=20)
"""From the return to when the person is told that the provider is slow."""
WATCHED_FOR = timedelta(minutes=2)
"""From the return to when the window stops waiting for the first data, and says that it will come."""


class Screens(Asking):
    """Makes screens in one language, for one host."""

    def start(self, view: WindowView) -> Screen:
        """What a handoff leads to, before anything is begun."""
        values = self._values(view)
        if view.failure is not None and not view.failure.offers_login:
            return self._reason(view, view.failure, name="no_login")
        first = view.account is None
        why = None
        if view.failure not in (None, Reason.NEVER_CONNECTED):
            said = self._texts.reason(view.failure, **values)
            why = (said.title, said.words)
        lead = "start.lead_first" if first else "start.lead" if view.failure else "start.lead_working"
        return Screen(
            name="start",
            tone="calm",
            title=self._say("start.title_first" if first else "start.title", values),
            words=(self._say(lead, values),),
            primary=Action("post", self._say("start.connect", values)),
            provider=shown(view.provider.name),
            facts=self._facts(view, values),
            why=why,
            needed=tuple(shown(one) for one in self._provider(view).prerequisites),
            caution=self._say("start.caution", values),
            final=False,
            step=view.step,
        )

    def attempt(self, view: WindowView, now: datetime) -> Screen:
        """What the attempt's page shows now."""
        if view.state is State.DELETED:
            return self._told(view, "ended.removed")
        if view.taken_off and not view.live:
            return self._told(view, "ended.disconnected")
        if view.succeeded:
            return self._succeeded(view, now)
        if view.live:
            return self._live(view, now)
        if view.repaired and view.state in (State.SYNCING, State.HEALTHY):
            return replace(self._told(view, "ended.repaired"), tone="good")
        if view.handed_on:
            return self._handed_on(view, view.handed_on)
        if view.ending is None or view.replaced:
            return self._told(view, "ended.replaced")
        if view.ending is Reason.ATTEMPT_EXPIRED and view.step is Step.PROVIDER_PAGE:
            return self._late(view)
        return self._reason(view, view.ending, name=f"ended {view.ending}")

    def dead(self, dead: Dead, own: AttemptId | None = None) -> Screen:
        """Where nothing is to be seen; one and the same for all that a stranger could try (S24).

        `own` is the browser's own attempt, which more can be said of.
        """
        key = f"dead.{_DEAD_TEXT.get(dead, 'link')}"
        if own is None or dead not in _OF_ITS_OWN_BROWSER:
            return self._plain(key)
        on = None
        if f"{key}.look" in self._texts:
            on = Action("link", self._texts.say(f"{key}.look"), f"/connect/attempts/{own}")
        return replace(self._plain(key, on), support_code=support_code(own))

    def way_in(self, which: Literal["reconnect", "disconnected"]) -> Screen:
        """Of an address that is open to strangers: the same for all of them."""
        return replace(self._plain(f"way_in.{which}"), tone="calm")

    def trouble(self, kind: str, address: str = "", attempt: AttemptId | None = None) -> Screen:
        """Something is wrong with the request or with us; `address` is where a new try begins."""
        key = f"trouble.{kind}"
        again = Action("link", self._texts.say(f"{key}.again"), address) if f"{key}.again" in self._texts else None
        plain = self._plain(key, again)
        if attempt is None:
            return plain
        return replace(plain, support_code=support_code(attempt), help_address=attempt_path(attempt, "report"))

    # The screens of an attempt.

    def _live(self, view: WindowView, now: datetime) -> Screen:
        values = self._values(view)
        if view.state is State.VERIFYING:
            how = "away" if view.unavailable > 0 else "slow" if _lasts(view, now) else None
            title, words = (f"checking.title_{how}", f"checking.{how}") if how else ("checking.title", "checking.words")
            leave = self._leave(view) if how else None
            name = f"checking {how}" if how else "checking"
            return self._screen(view, name, "busy", words, title=title, primary=leave, lines=self._progress(view))
        if view.step is Step.RETURNED:
            words = "confirming.words_again" if view.account else "confirming.words"
            return self._screen(view, "confirming", "busy", words, primary=self._leave(view))
        return self._screen(
            view,
            "waiting",
            "calm",
            "waiting.words",
            primary=Action("post", self._say("waiting.go_on", values), attempt_path(view.attempt, "again")),
            secondary=Action("link", self._say("waiting.refused", values), attempt_path(view.attempt, "shown")),
            others=(
                Action("link", self._say("waiting.hand_on", values), attempt_path(view.attempt, "colleague")),
                Action("post", self._say("waiting.stop", values), attempt_path(view.attempt, "cancel")),
            ),
        )

    def _succeeded(self, view: WindowView, now: datetime) -> Screen:
        if view.state is State.FAILED and view.failure is not None:
            return self._reason(view, view.failure, name=f"afterwards {view.failure}")
        flowing = view.state is State.HEALTHY
        started = flowing or _reached(view, Step.SYNC_STARTED)
        recent = view.returned_at is not None and now - view.returned_at < WATCHED_FOR
        watched = recent and view.state is State.SYNCING
        return self._screen(
            view,
            "connected",
            "good",
            "connected.words_watched" if watched else "connected.words",
            title=f"connected.title{'_flowing' if flowing else '' if started else '_soon'}",
            primary=self._leave(view),
            lines=self._arrived(view, started=started, flowing=flowing, watched=watched),
            final=not watched,
            step=Step.DATA_FLOWING if flowing else view.step,
            outcome="connected",
        )

    def _reason(self, view: WindowView, reason: Reason, *, name: str) -> Screen:
        """A reason's words, and its one next step: sign in again where that mends it, else back to the host."""
        values = self._values(view)
        said = self._texts.reason(reason, **values)
        next_ = said.next
        leave = self._leave(view)
        again = None
        if reason.offers_login:
            key = f"again.{reason}" if f"again.{reason}" in self._texts else "again.default"
            by_itself = reason is Reason.EXCHANGE_INTERRUPTED
            again = Action("post", self._say(key, values), attempt_path(view.attempt, "again"), by_itself)
        primary, secondary = again or leave, leave if again and leave.kind == "back" else None
        hand_on = Action("link", self._say("waiting.hand_on", values), attempt_path(view.attempt, "colleague"))
        asked = name.startswith("ended") and reason in SHOWN_BY_PROVIDERS
        if asked and reason is Reason.NEEDS_ADMIN and view.may_hand_on:
            primary, secondary, hand_on = hand_on, again, leave
        elif asked and reason is Reason.NEEDS_ADMIN:
            next_ = self._say("again.needs_admin_elsewhere", values)
        return Screen(
            name=name,
            tone="attention",
            title=said.title,
            words=(said.words,),
            next=next_,
            takes=said.takes,
            primary=primary,
            secondary=secondary,
            others=(hand_on,) if asked and view.may_hand_on and hand_on.kind in ("link", "back") else (),
            provider=shown(view.provider.name),
            lines=self._stopped(view, reason) if name.startswith("ended") else (),
            support_code=support_code(view.attempt),
            help_address=attempt_path(view.attempt, "report"),
            outcome="ended",
        )

    # What stands on them.

    def _facts(self, view: WindowView, values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        company = account_name(view) if view.account else self._say("start.company_first", values)
        rows = [("company", company), ("connection", view.connector_name), ("workspace", view.tenant)]
        if view.person_name:
            rows.append(("asked_by", f"{view.person_name} · {self._host.name}"))
        return tuple((self._say(f"start.{key}", values), shown(value)) for key, value in rows)

    def _progress(self, view: WindowView) -> tuple[Line, ...]:
        done = [key for key, step in _LINES if _reached(view, step)]
        now = next((key for key, _ in _LINES if key not in done), None)
        return tuple(
            self._line(view, key, "done" if key in done else "now" if key == now else "waiting") for key, _ in _LINES
        )

    def _stopped(self, view: WindowView, reason: Reason) -> tuple[Line, ...]:
        """How far the checks came, for the endings whose place is known."""
        at = _STOPPED_AT.get(reason)
        if at is None or not _reached(view, Step.RETURNED):
            return ()
        passed = takewhile(lambda key: key != at, (key for key, _ in _LINES))
        return (*(self._line(view, key, "done") for key in passed), self._line(view, at, "failed"))

    def _arrived(self, view: WindowView, *, started: bool, flowing: bool, watched: bool) -> tuple[Line, ...]:
        """All is checked; what is still awaited is named for as long as the window watches for it."""
        done = len(_LINES) - (0 if flowing else 1 if started else 2)
        return tuple(
            self._line(view, key, "done" if place < done else "now" if place == done and watched else "waiting")
            for place, (key, _) in enumerate(_LINES)
        )

    def _line(self, view: WindowView, key: str, status: LineStatus) -> Line:
        return Line(self._say(f"steps.{key}.{status}", self._values(view)), status)


_ORDER = tuple(Step)

_LINES = (
    ("signed_in", Step.RETURNED),
    ("company", Step.ACCOUNT_CHECKED),
    ("permission", Step.PERMISSION_CHECKED),
    ("saved", Step.CREDENTIAL_SAVED),
    ("sync", Step.SYNC_STARTED),
    ("data", Step.DATA_FLOWING),
)
_STOPPED_AT = {
    Reason.WRONG_ACCOUNT: "company",
    Reason.SEVERAL_ACCOUNTS: "company",
    Reason.ACCOUNT_TAKEN: "company",
    Reason.NEEDS_ADMIN: "permission",
    Reason.SCOPE_MISSING: "permission",
}

_DEAD_TEXT = {
    Dead.BAD_REQUEST: "bad_request",
    Dead.LOGIN_DOES_NOT_HELP: "login_does_not_help",
    Dead.VERIFICATION_RUNNING: "verification_running",
    Dead.SESSION_OVER: "session_over",
    Dead.STALE_ANSWER: "stale_answer",
}
_OF_ITS_OWN_BROWSER = (Dead.SESSION_OVER, Dead.STALE_ANSWER, Dead.LOGIN_DOES_NOT_HELP, Dead.VERIFICATION_RUNNING)
"""Why the browser that began gets no further now."""


def _lasts(view: WindowView, now: datetime) -> bool:
    return view.returned_at is not None and now - view.returned_at > SLOW_AFTER


def _reached(view: WindowView, step: Step) -> bool:
    return _ORDER.index(step) <= _ORDER.index(view.step)
