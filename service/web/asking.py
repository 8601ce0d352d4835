"""The screens that ask: what the provider showed, and to whom the sign-in is handed; and what comes of it. Pure."""

from dataclasses import replace

from schemas.reasons import Reason
from service.oauth.window import SHOWN_BY_PROVIDERS, HandedOn, WindowView
from service.texts.catalogue import shown
from service.web.saying import Saying, attempt_path, support_code
from service.web.screen import Action, OneTimeLink, Question, Screen


class Asking(Saying):
    """Makes the screens that ask."""

    def what_was_shown(self, view: WindowView) -> Screen:
        """Asks the person what the provider showed, while the attempt is open."""
        return replace(self._asks(view), secondary=self._back_to_the_attempt(view))

    def hand_on(self, view: WindowView) -> Screen:
        """Asks for the colleague's name, where a colleague's own browser may complete the sign-in."""
        if not view.may_hand_on:
            return replace(self._told(view, "hand_on.elsewhere"), tone="calm", outcome=None)
        values = self._values(view)
        question = Question("name", self._say("hand_on.label", values), hint=self._say("hand_on.hint", values))
        return replace(
            self._screen(
                view,
                "hand_on",
                "calm",
                "hand_on.words",
                primary=Action("post", self._say("hand_on.make", values), attempt_path(view.attempt, "colleague")),
                secondary=self._back_to_the_attempt(view),
            ),
            question=question,
        )

    def handed_on(self, handed: HandedOn) -> Screen:
        """The link for the colleague: shown this once."""
        minutes = str(round(handed.lifetime.total_seconds() / 60))
        values = self._values(handed.view) | {"colleague": handed.colleague, "minutes": minutes}
        return Screen(
            name="handed_on",
            tone="good",
            title=self._say("handed_on.title", values),
            words=(self._say("handed_on.words", values),),
            next=self._say("handed_on.next", values),
            primary=Action("copy", self._say("handed_on.copy", values)),
            secondary=leave if (leave := self._leave(handed.view)).kind == "back" else None,
            link=OneTimeLink(self._say("handed_on.link", values), handed.url.reveal()),
            provider=shown(handed.view.provider.name),
            support_code=support_code(handed.view.attempt),
            help_address=attempt_path(handed.view.attempt, "report"),
        )

    def _handed_on(self, view: WindowView, colleague: str) -> Screen:
        values = self._values(view) | {"colleague": colleague}
        again = Action("link", self._say("ended.handed_on.again", values), attempt_path(view.attempt, "colleague"))
        told = self._told(view, "ended.handed_on", {"colleague": colleague})
        return replace(told, tone="calm", others=(again,) if view.may_hand_on else ())

    def _late(self, view: WindowView) -> Screen:
        """Nobody came back: the person may have been refused there, or just had no time."""
        said = self._texts.reason(Reason.ATTEMPT_EXPIRED, **self._values(view))
        again = Action(
            "post", self._say("again.attempt_expired", self._values(view)), attempt_path(view.attempt, "again")
        )
        ended = self._asks(view)
        return replace(
            ended,
            name="ended attempt_expired",
            title=said.title,
            words=(said.words, *ended.words),
            secondary=again,
            final=True,
            outcome="ended",
        )

    def _asks(self, view: WindowView) -> Screen:
        values = self._values(view)
        answers = tuple((reason.value, self._say(f"shown.{reason}", values)) for reason in SHOWN_BY_PROVIDERS)
        tell = Action("post", self._say("shown.tell", values), attempt_path(view.attempt, "shown"))
        asks = self._screen(view, "shown", "attention", "shown.words", primary=tell)
        return replace(asks, question=Question("reason", self._say("shown.label", values), answers))

    def _back_to_the_attempt(self, view: WindowView) -> Action:
        return Action("link", self._say("shown.back", self._values(view)), f"/connect/attempts/{view.attempt}")
