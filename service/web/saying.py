"""What every screen of the window has in common: its words in one language, for one host. Pure."""

from collections.abc import Mapping
from typing import Literal

from schemas.ids import AttemptId
from schemas.lifecycle import Step
from service.oauth.window import ProviderWords, WindowView
from service.texts.catalogue import Texts, shown
from service.web.screen import Action, Host, Line, Screen, Tone


class Saying:
    """Makes screens in one language, for one host."""

    def __init__(self, texts: Texts, host: Host) -> None:
        self._texts = texts
        self._host = host

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
        others: tuple[Action, ...] = (),
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
            others=others,
            provider=shown(view.provider.name),
            lines=lines,
            support_code=support_code(view.attempt),
            help_address=attempt_path(view.attempt, "report"),
            final=final,
            step=step or view.step,
            outcome=outcome,
        )

    def _told(self, view: WindowView, key: str, more: dict[str, str] | None = None) -> Screen:
        plain = self._plain(key, self._leave(view), self._values(view) | (more or {}))
        return Screen(
            name=plain.name,
            tone="attention",
            title=plain.title,
            words=plain.words,
            next=plain.next,
            primary=plain.primary,
            provider=shown(view.provider.name),
            support_code=support_code(view.attempt),
            help_address=attempt_path(view.attempt, "report"),
            outcome="ended",
        )

    def _plain(self, key: str, primary: Action | None = None, values: dict[str, str] | None = None) -> Screen:
        values = {"host": self._host.name} | (values or {})
        return Screen(
            name=key.replace(".", " "),
            tone="attention",
            title=self._say(f"{key}.title", values),
            words=(self._say(f"{key}.words", values),),
            next=self._say(f"{key}.next", values),
            primary=primary or self._leave(None),
        )

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
        account = account_name(view) or self._say("unknown.account", known)
        return known | {
            "account": account,
            "expected": (view.expected.name if view.expected else "") or account,
            "seen": (view.seen.name if view.seen else "") or self._say("unknown.seen", known),
        }

    def _provider(self, view: WindowView) -> ProviderWords:
        return view.provider.spoken(self._texts.language)

    def _say(self, key: str, values: Mapping[str, str]) -> str:
        return self._texts.say(key, **values)


def account_name(view: WindowView) -> str:
    return view.account.name or view.connector_name if view.account else ""


def attempt_path(attempt: AttemptId, what: str) -> str:
    return f"/connect/attempts/{attempt}/{what}"


def support_code(attempt: AttemptId) -> str:
    """The first eight digits of the attempt's id: enough for support to find it, and easy to read out."""
    digits = attempt.hex[:8].upper()
    return f"{digits[:4]}-{digits[4:]}"
