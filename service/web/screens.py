"""Which screen is shown: for a handoff, an attempt at this moment, a dead link, or trouble. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from schemas.lifecycle import State, Step
from schemas.reasons import Reason
from service.oauth.window import Dead, ProviderWords, WindowView
from service.texts.catalogue import Texts, shown
from service.web.screen import Action, Host, Line, LineStatus, Screen, Tone

SLOW_AFTER = timedelta(seconds=20)
"""From the return to when the person is told that the provider is slow."""
WATCHED_FOR = timedelta(minutes=2)
"""From the return to when the window stops waiting for the first data, and says that it will come."""


class Screens:
    """Makes screens in one language, for one host."""

    def __init__(self, texts: Texts, host: Host) -> None:
        self._texts = texts
        self._host = host

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
        if view.state in (State.DISCONNECTED, State.DELETED):
            return self._told(view, "ended.removed")
        if view.succeeded:
            return self._succeeded(view, now)
        if view.live:
            return self._live(view, now)
        if view.ending is None or (view.ending is Reason.CANCELLED and view.state in _ELSEWHERE):
            return self._told(view, "ended.replaced")
        return self._reason(view, view.ending, name=f"ended {view.ending}")

    def dead(self, dead: Dead, look: str = "") -> Screen:
        """Where nothing is to be seen; one and the same for all that a stranger could try (S24)."""
        key = f"dead.{_DEAD_TEXT.get(dead, 'link')}"
        if dead is Dead.VERIFICATION_RUNNING:
            return self._plain(key, Action("link", self._texts.say(f"{key}.look"), look))
        return self._plain(key)

    def way_in(self, which: Literal["reconnect", "disconnected"]) -> Screen:
        """Of an address that is open to strangers: the same for all of them."""
        return replace(self._plain(f"way_in.{which}"), tone="calm")

    def trouble(self, kind: str, address: str = "") -> Screen:
        """Something is wrong with the request or with us; `address` is where a new try begins."""
        key = f"trouble.{kind}"
        if f"{key}.again" in self._texts:
            return self._plain(key, Action("link", self._texts.say(f"{key}.again"), address))
        return self._plain(key)

    # The screens of an attempt.

    def _live(self, view: WindowView, now: datetime) -> Screen:
        values = self._values(view)
        if view.state is State.VERIFYING:
            slow = view.unavailable > 0 or (view.returned_at is not None and now - view.returned_at > SLOW_AFTER)
            title, words = ("checking.title_slow", "checking.slow") if slow else ("checking.title", "checking.words")
            return self._screen(view, "checking", "busy", words, title=title, lines=self._progress(view))
        if view.step is Step.RETURNED:
            words = "confirming.words_again" if view.account else "confirming.words"
            return self._screen(view, "confirming", "busy", words, primary=self._leave(view))
        return self._screen(
            view,
            "waiting",
            "calm",
            "waiting.words",
            primary=Action("post", self._say("waiting.go_on", values), _address(view, "again")),
            secondary=Action("post", self._say("waiting.stop", values), _address(view, "cancel")),
        )

    def _succeeded(self, view: WindowView, now: datetime) -> Screen:
        if view.state is State.FAILED and view.failure is not None:
            return self._reason(view, view.failure, name=f"afterwards {view.failure}")
        flowing = view.state is State.HEALTHY
        recent = view.returned_at is not None and now - view.returned_at < WATCHED_FOR
        watched = recent and view.state is State.SYNCING
        return self._screen(
            view,
            "connected",
            "good",
            "connected.words_watched" if watched else "connected.words",
            title="connected.title_flowing" if flowing else "connected.title",
            primary=self._leave(view),
            lines=(
                *(self._line(view, key, "done") for key, _ in _LINES[:-1]),
                self._line(view, _LINES[-1][0], "done" if flowing else "now" if watched else "waiting"),
            ),
            final=not watched,
            step=Step.DATA_FLOWING if flowing else view.step,
            outcome="connected",
        )

    def _screen(
        self,
        view: WindowView,
        name: str,
        tone: Tone,
        words: str,
        *,
        title: str | None = None,
        primary: Action | None = None,
        secondary: Action | None = None,
        lines: tuple[Line, ...] = (),
        final: bool = False,
        step: Step | None = None,
        outcome: Literal["connected"] | None = None,
    ) -> Screen:
        values = self._values(view)
        return Screen(
            name=name,
            tone=tone,
            title=self._say(title or f"{name}.title", values),
            words=(self._say(words, values),),
            primary=primary,
            secondary=secondary,
            provider=shown(view.provider.name),
            lines=lines,
            support_code=_support_code(view),
            final=final,
            step=step or view.step,
            outcome=outcome,
        )

    def _reason(self, view: WindowView, reason: Reason, *, name: str) -> Screen:
        """A reason's words, and its one next step: sign in again where that mends it, else back to the host."""
        values = self._values(view)
        said = self._texts.reason(reason, **values)
        leave = self._leave(view)
        again = None
        if reason.offers_login:
            key = f"again.{reason}" if f"again.{reason}" in self._texts else "again.default"
            by_itself = reason is Reason.EXCHANGE_INTERRUPTED
            again = Action("post", self._say(key, values), _address(view, "again"), by_itself)
        return Screen(
            name=name,
            tone="attention",
            title=said.title,
            words=(said.words,),
            next=said.next,
            primary=again or leave,
            secondary=leave if again and leave.kind == "back" else None,
            provider=shown(view.provider.name),
            lines=self._stopped(view, reason) if name.startswith("ended") else (),
            support_code=_support_code(view),
            outcome="ended",
        )

    def _told(self, view: WindowView, key: str) -> Screen:
        plain = self._plain(key, self._leave(view))
        return Screen(
            name=plain.name,
            tone="attention",
            title=plain.title,
            words=plain.words,
            next=plain.next,
            primary=plain.primary,
            provider=shown(view.provider.name),
            support_code=_support_code(view),
            outcome="ended",
        )

    def _plain(self, key: str, primary: Action | None = None) -> Screen:
        values = {"host": self._host.name}
        return Screen(
            name=key.replace(".", " "),
            tone="attention",
            title=self._say(f"{key}.title", values),
            words=(self._say(f"{key}.words", values),),
            next=self._say(f"{key}.next", values),
            primary=primary or self._leave(None),
        )

    # What stands on them.

    def _facts(self, view: WindowView, values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        company = _name(view) if view.account else self._say("start.company_first", values)
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
        if (at := _STOPPED_AT.get(reason)) is None:
            return ()
        return tuple(
            self._line(view, key, "failed" if key == at else "done" if _reached(view, step) else "waiting")
            for key, step in _LINES
        )

    def _line(self, view: WindowView, key: str, status: LineStatus) -> Line:
        return Line(self._say(f"steps.{key}.{status}", self._values(view)), status)

    def _leave(self, view: WindowView | None) -> Action:
        back = view.return_url if view is not None and view.return_url in self._host.return_urls else self._host.origin
        if back is not None:
            return Action("back", self._say("back", {"host": self._host.name}), back)
        return Action("close", self._texts.say("close"))

    def _values(self, view: WindowView) -> dict[str, str]:
        provider = self._provider(view)
        known = {
            "host": self._host.name,
            "provider": provider.name,
            "company": provider.account,
            "Company": provider.account[:1].upper() + provider.account[1:],
            "admin": provider.admin,
            "connector": view.connector_name,
        }
        account = _name(view) or self._say("unknown.account", known)
        return known | {
            "account": account,
            "expected": (view.expected.name if view.expected else "") or account,
            "seen": (view.seen.name if view.seen else "") or self._say("unknown.seen", known),
        }

    def _provider(self, view: WindowView) -> ProviderWords:
        return view.provider.spoken(self._texts.language)

    def _say(self, key: str, values: Mapping[str, str]) -> str:
        return self._texts.say(key, **values)


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

_ELSEWHERE = (State.AWAITING_AUTH, State.VERIFYING, State.SYNCING)
"""The connector's states in which a newer attempt than this one runs, or has just succeeded."""

_DEAD_TEXT = {
    Dead.BAD_REQUEST: "bad_request",
    Dead.LOGIN_DOES_NOT_HELP: "login_does_not_help",
    Dead.VERIFICATION_RUNNING: "verification_running",
}


def _reached(view: WindowView, step: Step) -> bool:
    return _ORDER.index(step) <= _ORDER.index(view.step)


def _name(view: WindowView) -> str:
    return view.account.name or view.connector_name if view.account else ""


def _address(view: WindowView, what: str) -> str:
    return f"/connect/attempts/{view.attempt}/{what}"


def _support_code(view: WindowView) -> str:
    """The first eight digits of the attempt's id: enough for support to find it, and easy to read out."""
    digits = view.attempt.hex[:8].upper()
    return f"{digits[:4]}-{digits[4:]}"
