"""Attempts: let a person sign in again, hand that on, confirm it, give it up."""

from uuid import UUID

from regrant_client import bodies
from regrant_client.calls import Calls


class Attempts(Calls):
    """Calls about attempts."""

    async def open_attempt(
        self,
        connector_id: str,
        *,
        person_id: str,
        person_name: str,
        return_url: str | None = None,
        idempotency_key: str | None = None,
    ) -> bodies.Attempt:
        """A new attempt for this person, with the one-time link in `handoff.url`. An older attempt is void."""
        body = bodies.OpenAttempt(person=bodies.Person(id=person_id, name=person_name), return_url=return_url)
        request = self._request("open_attempt", {"connector_id": connector_id}, body=body)
        return await self._call(bodies.Attempt, request, idempotency_key)

    async def get_attempt(self, attempt_id: UUID | str) -> bodies.Attempt:
        """How far it came, and how it ended."""
        return await self._call(bodies.Attempt, self._request("get_attempt", {"attempt_id": attempt_id}))

    async def create_handoff(
        self, attempt_id: UUID | str, *, person_id: str, person_name: str, idempotency_key: str | None = None
    ) -> bodies.Handoff:
        """A new link to an open attempt, for this person; its older links are void."""
        body = bodies.Person(id=person_id, name=person_name)
        request = self._request("create_handoff", {"attempt_id": attempt_id}, body=body)
        return await self._call(bodies.Handoff, request, idempotency_key)

    async def complete_attempt(
        self, attempt_id: UUID | str, *, completion_token: str, person_id: str, idempotency_key: str | None = None
    ) -> bodies.Attempt:
        """Confirms that the signed-in user is the one who began it. Raises `CompletionRefused` if it's another."""
        body = bodies.CompleteAttempt(completion_token=completion_token, person_id=person_id)
        request = self._request("complete_attempt", {"attempt_id": attempt_id}, body=body)
        return await self._call(bodies.Attempt, request, idempotency_key)

    async def cancel_attempt(self, attempt_id: UUID | str, *, idempotency_key: str | None = None) -> bodies.Attempt:
        """Gives it up; the connector stays as it was."""
        return await self._call(
            bodies.Attempt, self._request("cancel_attempt", {"attempt_id": attempt_id}), idempotency_key
        )
