"""Hostile answers to a pushed authorization request: none sends a browser anywhere, and each leads to a defined end."""

from collections.abc import AsyncIterator

import pytest

from schemas.reasons import Reason
from service.oauth import outbound as module
from service.oauth.authorization import authorization_request
from service.oauth.outbound import Outbound
from service.oauth.pushed import ProviderAway, address_for
from tests.hostile.answers import ANSWERS, HostileAnswer, json
from tests.hostile.provider import provider_at
from tests.hostile.server import HostileServer, hostile_server

ENDPOINT = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"
"""The place that the table calls `token`."""
CALLBACK = "https://connect.example.com/oauth/callback/x"


@pytest.fixture
async def server() -> AsyncIterator[HostileServer]:
    async with hostile_server() as server:
        yield server


async def pushed(server: HostileServer) -> str | Reason | ProviderAway:
    config = provider_at(f"http://127.0.0.1:{server.port}")
    described = config.description.model_copy(update={"pushed_authorization_request_endpoint": ENDPOINT})
    config = provider_at(f"http://127.0.0.1:{server.port}", description=described)
    async with Outbound() as outbound:
        try:
            return await address_for(outbound, config, authorization_request(config, CALLBACK))
        except ProviderAway as away:
            return away


@pytest.mark.parametrize("answer", [a for a in ANSWERS if a.token is not None], ids=lambda a: a.name.replace(" ", "-"))
async def test_s29_no_hostile_answer_is_a_reference(
    server: HostileServer, answer: HostileAnswer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if answer.endless:
        monkeypatch.setattr(module, "TOTAL_S", 0.2)
    server.scripts["token"] = answer.script
    told = await pushed(server)
    assert told in (Reason.CLIENT_REJECTED, Reason.PROVIDER_REFUSED) or isinstance(told, ProviderAway)
    assert not isinstance(told, ProviderAway) or 0 < told.retry_after_s <= 900


@pytest.mark.parametrize("reference", [None, 1, True, [], {}, "", "a b", "a\nb", "é", "x" * 3000])
async def test_s29_a_reference_that_is_none_is_refused(server: HostileServer, reference: object) -> None:
    server.scripts["token"] = json({"request_uri": reference, "expires_in": 60}, status=201)
    assert await pushed(server) == Reason.PROVIDER_REFUSED


@pytest.mark.parametrize("expires_in", [60, -1, 0, "soon", None, 1e308])
async def test_s29_what_it_says_of_its_reference_s_life_changes_nothing(
    server: HostileServer, expires_in: object
) -> None:
    server.scripts["token"] = json({"request_uri": "urn:a:b", "expires_in": expires_in}, status=201)
    told = await pushed(server)
    assert isinstance(told, str) and told.endswith("?client_id=client-of-the-host&request_uri=urn%3Aa%3Ab")
