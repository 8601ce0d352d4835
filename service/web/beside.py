"""Pages beside the way: what the provider showed, a colleague's name, help. A GET of theirs changes nothing."""

from datetime import UTC, datetime

from aiohttp import web

from service.oauth.window import SHOWN_BY_PROVIDERS, Dead, HandedOn
from service.texts.catalogue import shown
from service.web.answering import Answering, see_other
from service.web.picture import picture
from service.web.received import attempt_of
from service.web.report import Report, report
from service.web.saying import attempt_path

LONGEST_NAME = 100
"""Of a colleague, in characters."""


class Beside(Answering):
    """The handlers of these pages."""

    # The pages that ask.

    async def what_was_shown(self, request: web.Request) -> web.Response:
        found = await self._view(request)
        if isinstance(found, Dead):
            return self._dead(found)
        if not found.live:
            return see_other(f"/connect/attempts/{found.attempt}")  # which asks by itself, or says what happened
        return self.pages.page(self.screens.what_was_shown(found), self._form(request))

    async def told(self, request: web.Request) -> web.Response:
        if doubt := await self.browser.doubt(request):
            return self._trouble(request, doubt, 403)
        attempt, browser = attempt_of(request), self.browser.window(request)
        if attempt is None or browser is None:
            return self._dead(Dead.UNKNOWN)
        answer = await self.browser.answer(request, "reason")
        reason = next((one for one in SHOWN_BY_PROVIDERS if one == answer), None)
        if reason is None:
            return see_other(request.path)
        found = await self.flow.give_up(attempt, browser, reason)
        return self._dead(found) if isinstance(found, Dead) else see_other(f"/connect/attempts/{attempt}")

    async def colleague(self, request: web.Request) -> web.Response:
        found = await self._view(request)
        if isinstance(found, Dead):
            return self._dead(found)
        return self.pages.page(self.screens.hand_on(found), self._form(request))

    async def hand_on(self, request: web.Request) -> web.Response:
        """Shows the link in the answer itself: it is kept nowhere."""
        self._count(request)
        if doubt := await self.browser.doubt(request):
            return self._trouble(request, doubt, 403)
        attempt, browser = attempt_of(request), self.browser.window(request)
        if attempt is None or browser is None:
            return self._dead(Dead.UNKNOWN)
        name = shown(await self.browser.answer(request, "name"))[:LONGEST_NAME]
        if not name:
            return see_other(request.path)
        found = await self.flow.hand_on(attempt, browser, name)
        if isinstance(found, HandedOn):
            return self.pages.page(self.screens.handed_on(found))
        return self._onward(request, found)

    # Help.

    async def report(self, request: web.Request) -> web.Response:
        """The support report, for the browser that may see the attempt."""
        found = await self._reported(request)
        return self._dead(found) if isinstance(found, Dead) else self.pages.report(*found, self._form(request))

    async def ask_help(self, request: web.Request) -> web.Response:
        """Sends it to the host, by event."""
        self._count(request)
        if doubt := await self.browser.doubt(request):
            return self._trouble(request, doubt, 403)
        attempt, browser = attempt_of(request), self.browser.window(request)
        found = await self.flow.ask_help(attempt, browser) if attempt and browser else Dead.UNKNOWN
        return self._dead(found) if isinstance(found, Dead) else see_other(attempt_path(found.attempt, "report"))

    async def report_file(self, request: web.Request) -> web.Response:
        found = await self._reported(request)
        return self._dead(found) if isinstance(found, Dead) else self.pages.report_file(*found)

    async def _reported(self, request: web.Request) -> tuple[Report, str] | Dead:
        """The report and the picture of the screen that the person sees."""
        found = await self._view(request)
        if isinstance(found, Dead):
            return found
        now = datetime.now(UTC)
        screen = self.screens.attempt(found, now)
        facts = await self.facts.of(found.attempt)
        return report(found, screen, facts, self.pages.language, now), picture(screen, self.pages.direction)
