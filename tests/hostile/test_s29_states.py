"""Hostile answers (S29) through the whole service: each leaves the connector in a defined state, and nothing is stuck.

On real PostgreSQL and Kafka, with the simulator's pages. What only the bound of a call ends is left to the other file.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from schemas.api import AccessToken
from schemas.ids import ConnectorId, ProviderId
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.oauth.tokens import Denied, NoToken
from service.oauth.window import WindowView
from tests.hostile.answers import ANSWERS, COMPANY, GRANT, NO_ANSWER, PROVED, TOKEN, HostileAnswer, json
from tests.hostile.provider import HOSTS
from tests.hostile.server import HostileServer, hostile_server
from tests.loop import QUICKBOOKS, Loop, eventually, running_loop

pytestmark = pytest.mark.slow


@dataclass
class Attacked:
    """A service whose provider's pages are honest, and whose endpoints are hostile."""

    loop: Loop
    server: HostileServer
    connector: ConnectorId

    async def attempt(self) -> WindowView:
        """A person's whole way; what they see once it is over, or once the provider counts as away."""
        begun = await self.loop.reconnect(self.connector)

        async def over() -> WindowView | None:
            view = await self.loop.view(begun)
            return view if not view.live or view.unavailable else None

        view: WindowView = await eventually(over, "an end of the attempt")
        return view

    async def generation(self) -> int:
        return int((await self.loop.current(self.connector))["generation"])


@pytest.fixture
async def attacked(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Attacked]:
    async with (
        running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop,
        hostile_server() as server,
    ):
        connector = await loop.connected()
        configs = loop.service.providers._configs
        config = configs[ProviderId(QUICKBOOKS)]
        origin = f"http://127.0.0.1:{server.port}"
        configs[ProviderId(QUICKBOOKS)] = replace(config, hosts={**config.hosts, **dict.fromkeys(HOSTS, origin)})
        server.scripts.update(token=json(TOKEN), api=json(COMPANY), revoke=json({}))
        yield Attacked(loop, server, connector)


_SHORT = [answer for answer in ANSWERS if not answer.endless]
_SCOPE_LACKS = {"fewer scopes", "a number for the scope", "a scope with NUL"}
_ENDS = {
    NO_ANSWER: Reason.EXCHANGE_INTERRUPTED,
    "refused: grant_revoked": Reason.CODE_REFUSED,
    "refused: client_rejected": Reason.CLIENT_REJECTED,
}


def _end(answer: HostileAnswer) -> Reason | None:
    """How an attempt ends when this answers the exchange; `None`: well."""
    return Reason.SCOPE_MISSING if answer.name in _SCOPE_LACKS else _ENDS.get(answer.token or "")


async def test_s29_whatever_answers_an_exchange_the_attempt_ends_and_the_old_credential_stays(
    attacked: Attacked,
) -> None:
    for answer in (answer for answer in _SHORT if answer.token is not None):
        attacked.server.scripts["token"] = answer.script
        before = await attacked.generation()
        view = await attacked.attempt()
        assert (view.live, view.ending) == (False, _end(answer)), answer.name
        swapped = _end(answer) is None
        expected = State.SYNCING if swapped else view.state
        assert view.state is expected and view.state in (State.SYNCING, State.HEALTHY, State.FAILED), answer.name
        assert await attacked.generation() == before + swapped, answer.name


async def test_s29_whatever_answers_the_proof_the_attempt_ends_or_asks_again(attacked: Attacked) -> None:
    for answer in (answer for answer in _SHORT if answer.api is not None):
        attacked.server.scripts["api"] = answer.script
        before = await attacked.generation()
        view = await attacked.attempt()
        if answer.api == PROVED:
            assert (view.live, view.state, view.ending) == (False, State.SYNCING, None), answer.name
        elif answer.api == "again":
            assert (view.live, view.state) == (True, State.VERIFYING), answer.name
        else:  # of the pinned account it is known that another one's grant is refused so
            assert (view.live, view.ending) == (False, Reason.WRONG_ACCOUNT), answer.name
        assert await attacked.generation() == before + (answer.api == PROVED), answer.name


async def test_s29_whatever_answers_a_refresh_the_connector_is_as_it_was_or_failed_with_a_reason(
    attacked: Attacked,
) -> None:
    loop = attacked.loop
    for answer in (answer for answer in _SHORT if answer.token == GRANT):
        attacked.server.scripts["token"] = answer.script
        token = await loop.refreshed(attacked.connector)
        assert isinstance(token, AccessToken) and token.access_token == TOKEN["access_token"], answer.name
        assert (await loop.row(attacked.connector))["state"] == State.HEALTHY, answer.name
    by_name = {answer.name: answer for answer in ANSWERS}
    attacked.server.scripts["token"] = by_name["HTML with 200"].script
    denied = await loop.refreshed(attacked.connector)
    assert isinstance(denied, Denied) and denied.why is NoToken.PROVIDER_UNAVAILABLE
    assert (await loop.row(attacked.connector))["state"] == State.HEALTHY


async def test_s29_a_refusal_with_200_fails_the_connector_with_its_reason(attacked: Attacked) -> None:
    attacked.server.scripts["token"] = next(a for a in ANSWERS if a.name == "invalid_grant with 200").script
    denied = await attacked.loop.refreshed(attacked.connector)
    assert denied == Denied(NoToken.NEEDS_REAUTHORISATION, Reason.GRANT_REVOKED)
    row = await attacked.loop.state(attacked.connector, State.FAILED)
    assert row["reason"] == Reason.GRANT_REVOKED
