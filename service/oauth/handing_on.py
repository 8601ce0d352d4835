"""An attempt for somebody else: the host makes another link for it, or its person hands the sign-in to a colleague.

Both go through the door, so that the history says who did it. A colleague gets an attempt of their own, and the former
one is void with its links: that person's browser no longer completes anything.
"""

import secrets
from datetime import datetime, timedelta
from uuid import uuid4

from schemas import api
from schemas.ids import AttemptId, TenantId
from schemas.lifecycle import Ignored, Outcome, Refused
from schemas.secret import Secret
from service.engine.submission import Actor, NewAttempt, NewHandoff, Receipt, Submission, Trace
from service.oauth.authorization import hash_of
from service.oauth.returning import Returning
from service.oauth.shown import to_the_window
from service.oauth.standing import person_of, same_browser
from service.oauth.window import Dead, HandedOn, Returned, WindowView
from service.store import attempts
from service.store.attempts import AttemptRow
from statemachine.inputs import HandedOn as HandedOnInput
from statemachine.inputs import StartReauth

COLLEAGUE_LIFETIME = timedelta(minutes=30)
"""How long a colleague's link works: as long as any may (P11), since it has to be sent, seen and opened."""


class HandingOn(Returning):
    """What brings an attempt to another person."""

    async def new_handoff(
        self, *, tenant: TenantId, attempt: AttemptId, person: api.Person, actor: Actor, trace: Trace
    ) -> api.Handoff | Receipt | None:
        """Another link to an open attempt, for that person; its older ones are void.

        `None`: unknown to this tenant. A receipt: it isn't waiting for anybody any more.
        """
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_tenant(connection, attempt, tenant)
        if row is None:
            return None
        handoff = Secret(secrets.token_urlsafe(32))
        new = NewHandoff(
            hash=hash_of(handoff),
            person_id=person.id,
            person_name=person.name,
            lifetime=self._settings.handoff_lifetime,
        )
        handed_on = HandedOnInput(connector=row.connector, attempt=attempt)
        receipt = await self._engine.submit(
            Submission(input=handed_on, actor=actor, tenant=tenant, attachment=new, trace=trace)
        )
        if receipt.outcome is not Outcome.OBSERVATION:
            return receipt
        async with self._pool.acquire() as connection:
            expires = await attempts.handoff_expires(connection, hash_of(handoff))
        return self._link(handoff, expires) if expires else receipt

    async def hand_on(self, attempt: AttemptId, browser: Secret, colleague: str) -> HandedOn | Returned | Dead:
        """Opens a new attempt for a colleague in this one's place, and makes its link. Raises `TooMany`.

        Only where that colleague's own browser may complete it; else, and where it is somebody else's turn already, the
        attempt's page says so.
        """
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
        if row is None or not same_browser(row, browser):
            return Dead.UNKNOWN
        if not row.session_fresh:
            return Dead.SESSION_OVER
        view = self._view(row)
        if not view.may_hand_on or view.succeeded or view.repaired or (view.replaced and view.handed_on is None):
            return Returned(attempt)
        self._gate.count(row.tenant, row.connector)
        await self._gate.check_openings(row.tenant, row.connector)
        id_ = AttemptId(uuid4())
        new = NewAttempt(person_name=row.person_name)  # who asks; the link brings the colleague's own name
        start = StartReauth(connector=row.connector, attempt=id_)
        receipt = await self._engine.submit(Submission(input=start, actor=person_of(row), attachment=new))
        if receipt.outcome is Outcome.REFUSED:
            return refused(row, receipt.why)
        handoff = await self._first_handoff(id_, None, colleague, COLLEAGUE_LIFETIME)
        async with self._pool.acquire() as connection:
            opened = await attempts.attempt(connection, id_)
        assert opened is not None
        lifetime = min(COLLEAGUE_LIFETIME, opened.expires_at - opened.opened_at)
        return HandedOn(colleague, Secret(handoff.url), lifetime, view)

    async def _first_handoff(
        self, attempt: AttemptId, person_id: str | None, person_name: str, lifetime: timedelta
    ) -> api.Handoff:
        """The link that an attempt is opened with."""
        handoff = Secret(secrets.token_urlsafe(32))
        async with self._pool.acquire() as connection:
            expires = await attempts.add_handoff(
                connection, hash_of(handoff), attempt, person_id, person_name, lifetime
            )
        return self._link(handoff, expires)

    def _link(self, handoff: Secret, expires: datetime) -> api.Handoff:
        return api.Handoff(url=f"{self._settings.public_url}/connect/{handoff.reveal()}", expires_at=expires)

    def _view(self, row: AttemptRow) -> WindowView:
        return to_the_window(row, self._providers[row.provider], by_the_host=self._by_the_host(row))


def refused(row: AttemptRow, why: Ignored | Refused | None) -> Dead | Returned:
    """Where a refused new attempt leads the browser of the old one, whose page tells of the connector's end."""
    return _DEAD_OF.get(str(why)) or Returned(row.attempt)


_DEAD_OF: dict[str, Dead] = {
    Refused.LOGIN_DOES_NOT_HELP: Dead.LOGIN_DOES_NOT_HELP,
    Refused.VERIFICATION_RUNNING: Dead.VERIFICATION_RUNNING,
}
