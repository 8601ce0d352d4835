"""Every provider of the catalogue goes through the same stories: over HTTP, with no line of Python of its own.

P26. The simulator plays each from its description: it turns round what the description says, so a story shows that
the service can act on it; whether the description is true of the provider, its sources must show.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from schemas.ids import ProviderId
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.simulator.person import SignInStopped
from service.demo.simulator.seed import SAM
from tests.databases import database_on
from tests.loop import eventually
from tests.providers.stage import DESCRIPTIONS, Stage, Theatre, theatre

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = sorted(DESCRIPTIONS)
PROBED = [id_ for id_ in ALL if DESCRIPTIONS[id_].admin.probe is not None]
ENFORCING = [id_ for id_ in ALL if DESCRIPTIONS[id_].admin.enforced_by_provider]
NAMED = [id_ for id_ in ALL if DESCRIPTIONS[id_].authorization_response_iss_parameter_supported]
every_provider = pytest.mark.parametrize("stage", ALL, indirect=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Theatre]:
    folder: Path = tmp_path_factory.mktemp("providers")
    async with database_on(postgres_server) as dsn, theatre(dsn, folder) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def stage(house: Theatre, request: pytest.FixtureRequest) -> Stage:
    """A connector of a tenant of its own, which went through its first connection."""
    staged = house.stage(ProviderId(request.param))
    await staged.simulator.reset()
    staged.simulator.clock.skipped = timedelta()
    await staged.connected()
    return staged


@every_provider
async def test_p26_the_right_account_is_pinned_and_comes_back(stage: Stage) -> None:
    row = await stage.row()
    assert (row["account_id"], row["generation"]) == (stage.account, 1)
    screen = await stage.reconnect()
    assert screen.name == "connected", screen.text
    row = await stage.is_in(State.SYNCING)
    assert (row["account_id"], row["generation"]) == (stage.account, 2)
    answer = await stage.regrant.post(f"/v1/connectors/{stage.connector}/token", {})
    assert stage.simulator.world.grants.grant_for_access_token(answer["access_token"])


@every_provider
async def test_p26_another_account_is_refused_with_both_names_and_nothing_is_touched(stage: Stage) -> None:
    before = await stage.credential()
    screen = await stage.reconnect(company="Acme Ltd")
    assert screen.name == "ended wrong_account", screen.text
    ours, theirs = _names(stage)
    assert ours in screen.text and theirs in screen.text
    assert await stage.credential() == before
    assert (await stage.token()).is_good


@pytest.mark.parametrize("stage", PROBED, indirect=True)
async def test_p26_who_is_no_admin_is_found_out_by_the_probe(stage: Stage) -> None:
    before = await stage.credential()
    stage.simulator.world.settings.standard_users_pass = True
    screen = await stage.reconnect(email=SAM, company=None)
    assert screen.name == "ended needs_admin", screen.text
    assert await stage.credential() == before


@pytest.mark.parametrize("stage", ENFORCING, indirect=True)
async def test_p26_who_is_no_admin_is_stopped_by_a_provider_that_says_so(stage: Stage) -> None:
    before, asked = await stage.credential(), stage.exchanges
    async with stage.person(SAM) as person:
        with pytest.raises(SignInStopped):
            await stage.go(person, company=None)
    assert (await stage.credential(), stage.exchanges) == (before, asked)


@every_provider
async def test_p26_a_person_who_declines_costs_nothing(stage: Stage) -> None:
    before, asked = await stage.credential(), stage.exchanges
    screen = await stage.reconnect(consent=False)
    assert screen.name == "ended access_denied", screen.text
    assert (await stage.credential(), stage.exchanges) == (before, asked)


@pytest.mark.parametrize("stage", ["shopify"], indirect=True)
async def test_s15_a_callback_with_another_shop_than_was_signed_sends_no_code_anywhere(stage: Stage) -> None:
    before, asked = await stage.credential(), stage.exchanges
    async with stage.person() as person:
        callback = await stage.go(person)
        forged = callback.update_query(shop=stage.description.identity.examples[1])
        async with person.session.get(forged, allow_redirects=False) as answer:
            assert answer.status == 400
    assert (await stage.credential(), stage.exchanges) == (before, asked)


@pytest.mark.parametrize("iss", [None, "https://evil.example", ""], ids=["missing", "another", "empty"])
@pytest.mark.parametrize("consent", [True, False], ids=["code", "error"])
@pytest.mark.parametrize("stage", NAMED, indirect=True)
async def test_s12_a_callback_without_its_issuers_name_does_nothing(
    stage: Stage, consent: bool, iss: str | None
) -> None:
    before, asked = await stage.credential(), stage.exchanges
    async with stage.person() as person:
        callback = await stage.go(person, consent=consent)
        assert callback.query["iss"]
        forged = callback.without_query_params("iss") if iss is None else callback.update_query(iss=iss)
        async with person.session.get(forged, allow_redirects=False) as answer:
            assert answer.status == 400
        assert (await stage.credential(), stage.exchanges) == (before, asked)
        came = await person.wait(await person.look(await stage.come_back(person, callback)), 20)
    assert came.name == ("connected" if consent else "ended access_denied"), "the right one counts all the same"


@every_provider
async def test_p26_a_revoked_grant_is_dead_at_once_and_asked_for_no_more(stage: Stage) -> None:
    stage.simulator.world.grants.disconnect(stage.account)
    await _dies(stage)


@every_provider
async def test_p26_an_expired_grant_is_dead_and_a_person_brings_it_back(stage: Stage) -> None:
    stage.simulator.world.grants.expire_refresh_tokens(stage.account)
    await _dies(stage)
    assert (await stage.reconnect()).name == "connected"
    assert (await stage.token()).is_good


@every_provider
async def test_p26_a_rotated_refresh_token_is_kept_and_used(stage: Stage) -> None:
    grant = stage.simulator.world.grants.live(stage.account)[-1]
    seen = {grant.refresh.value} if grant.refresh else set()
    tokens = set()
    for _ in range(3):
        stage.simulator.clock.advance(timedelta(days=2))
        answer = await stage.token()
        assert answer.is_good, answer
        tokens.add(answer.body["access_token"])
        assert grant.refresh is not None
        seen.add(grant.refresh.value)
    assert (len(tokens), grant.refreshes) == (3, 3)
    assert len(seen) == (1 if stage.description.rotation == "none" else 4)


@every_provider
async def test_p26_a_provider_that_is_down_is_waited_for(stage: Stage) -> None:
    async with stage.person() as person:
        callback = await stage.go(person)
        await stage.simulator.down("api")
        page = await stage.come_back(person, callback)
        assert (await person.look(page)).name == "checking"

        async def found_down() -> bool:
            return bool((await stage.row())["unavailable"])

        await eventually(found_down, "the provider was asked in vain")
        await stage.simulator.up("api")
        assert (await person.wait(await person.look(page), 20)).name == "connected"
    assert (await stage.is_in(State.SYNCING))["generation"] == 2


async def _dies(stage: Stage) -> None:
    """The next refresh is refused; the connector fails for a reason that a sign-in mends; nobody asks again."""
    assert (await stage.token()).code == "no_credential"
    row = await stage.is_in(State.FAILED)
    assert Reason(row["reason"]).offers_login
    asked = stage.exchanges
    assert (await stage.token()).code == "no_credential"
    assert stage.exchanges == asked


def _names(stage: Stage) -> tuple[str, str]:
    """How the two accounts are called: by their ids, where the provider has no names."""
    identity = stage.description.identity
    return ("Drivewell Inc", "Acme Ltd") if identity.name_paths else (identity.examples[0], identity.examples[1])
