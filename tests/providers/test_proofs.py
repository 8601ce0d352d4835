"""Whose grant is it? What the stories don't lead to: several accounts, claims that disagree, a test mode."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from schemas.ids import ProviderId
from schemas.reasons import Reason
from schemas.secret import Secret
from service.demo.simulator import Simulator
from service.demo.simulator.grants import GrantState
from service.demo.simulator.play import Play
from service.demo.simulator.seed import OLIVIA
from service.oauth import grant as oauth
from service.oauth.authorization import authorization_request
from service.oauth.description import ProviderConfig, load_descriptions
from service.oauth.grant import Grant, Refusal, Unavailable
from service.oauth.outbound import Outbound
from service.oauth.verification import Rejection, VerifiedAccount, verify
from statemachine import Account

DESCRIPTIONS = load_descriptions()
URI = "https://connect.example/oauth/callback"


@dataclass
class Provider:
    """A provider, and us with a way out to it."""

    simulator: Simulator
    outbound: Outbound
    config: ProviderConfig

    @property
    def accounts(self) -> tuple[Account, Account]:
        ours, others = self.config.description.identity.examples[:2]
        return Account(ours, "Drivewell Inc"), Account(others, "Acme Ltd")

    async def granted(self, account: str) -> Grant | Refusal | Unavailable:
        """What the exchange of a code for this account gives."""
        world = self.simulator.world
        code = world.grants.issue_code(
            realm=account,
            sub=world.users[OLIVIA].sub,
            scopes=frozenset(self.config.scopes),
            redirect_uri=URI,
        )
        return await oauth.exchange(
            self.outbound,
            self.config,
            code=Secret(code),
            verifier=Secret("v" * 43),
            redirect_uri=URI,
            account=account,
        )

    async def checked(
        self, grant: object, *, expected: Account | None, claimed: str | None = None
    ) -> VerifiedAccount | Rejection | Unavailable:
        assert isinstance(grant, Grant), grant
        return await verify(self.outbound, self.config, grant, expected=expected, claimed=claimed, nonce=None)


@asynccontextmanager
async def provider(id_: str, environment: str = "production") -> AsyncIterator[Provider]:
    play = Play(DESCRIPTIONS[ProviderId(id_)], environment)
    async with await Simulator.start(play=play) as simulator, Outbound() as outbound:
        yield Provider(simulator, outbound, play.config(simulator.addresses, simulator.world.client))


@pytest.fixture
async def xero() -> AsyncIterator[Provider]:
    async with provider("xero") as opened:
        yield opened


async def test_s15_several_organisations_are_never_guessed_among(xero: Provider) -> None:
    ours, others = xero.accounts
    xero.simulator.world.settings.ticked_beside = (others.id,)
    refused = await xero.checked(await xero.granted(ours.id), expected=None)
    assert isinstance(refused, Rejection)
    assert (refused.reason, refused.seen) == (Reason.SEVERAL_ACCOUNTS, None)


async def test_s16_the_expected_organisation_is_found_among_several(xero: Provider) -> None:
    ours, others = xero.accounts
    xero.simulator.world.settings.ticked_beside = (ours.id,)
    proved = await xero.checked(await xero.granted(others.id), expected=ours)
    assert isinstance(proved, VerifiedAccount)
    assert proved.account == ours


async def test_s16_an_organisation_that_isnt_in_the_list_is_another_one(xero: Provider) -> None:
    ours, others = xero.accounts
    refused = await xero.checked(await xero.granted(others.id), expected=ours)
    assert isinstance(refused, Rejection)
    assert (refused.reason, refused.seen) == (Reason.WRONG_ACCOUNT, others)


async def test_s15_a_list_is_only_asked_for_with_the_consent_that_the_token_names(xero: Provider) -> None:
    ours, _ = xero.accounts
    grant = await xero.granted(ours.id)
    assert isinstance(grant, Grant)
    bare = Grant(Secret("opaque"), scope=grant.scope)
    refused = await xero.checked(bare, expected=ours)
    assert isinstance(refused, Rejection)
    assert refused.reason is Reason.CODE_REFUSED
    assert xero.simulator.journal.by_endpoint["proof"] == 0


@pytest.mark.parametrize("id_", ["google", "microsoft-entra", "oidc"])
async def test_an_account_is_proved_by_the_api_even_when_the_id_token_is_lost_with_its_process(id_: str) -> None:
    async with provider(id_) as opened:
        ours, others = opened.accounts
        for account, expected in ((ours, True), (others, False)):
            grant = await opened.granted(account.id)
            assert isinstance(grant, Grant)
            assert grant.id_token is not None
            kept = Grant(grant.access_token, grant.refresh_token, scope=grant.scope)
            assert isinstance(await opened.checked(kept, expected=ours), VerifiedAccount) is expected


async def test_s15_an_id_token_for_another_account_than_the_api_names_is_refused() -> None:
    async with provider("google") as opened:
        ours, others = opened.accounts
        grant, other = await opened.granted(ours.id), await opened.granted(others.id)
        assert isinstance(grant, Grant)
        assert isinstance(other, Grant)
        for one, two in ((grant, other), (other, grant)):
            mixed = Grant(one.access_token, one.refresh_token, two.id_token, scope=one.scope)
            for expected in (ours, None):
                assert isinstance(await opened.checked(mixed, expected=expected), Rejection)


async def test_s15_netsuites_company_of_the_callback_must_be_the_tokens_own() -> None:
    async with provider("netsuite") as opened:
        ours, others = opened.accounts
        grant = await opened.granted(others.id)
        forged = await opened.checked(grant, expected=None, claimed=ours.id)
        assert isinstance(forged, Rejection)
        wrong = await opened.checked(grant, expected=Account(ours.id, ours.id), claimed=ours.id)
        assert isinstance(wrong, Rejection)
        assert (wrong.reason, wrong.seen) == (Reason.WRONG_ACCOUNT, Account(others.id, others.id))


async def test_s18_a_token_of_stripes_test_mode_is_refused_before_it_is_kept() -> None:
    async with provider("stripe", "test") as opened:
        ours, _ = opened.accounts
        assert isinstance(await opened.granted(ours.id), Grant)
        opened.config = Play(opened.config.description).config(
            opened.simulator.addresses, opened.simulator.world.client
        )
        refused = await opened.granted(ours.id)
        assert isinstance(refused, Refusal)
        assert (refused.reason, refused.evidence.code) == (Reason.CLIENT_REJECTED, "livemode")


async def test_s18_where_each_account_has_its_own_token_endpoint_no_code_goes_out_without_one() -> None:
    async with provider("shopify") as opened:
        refused = await oauth.exchange(
            opened.outbound, opened.config, code=Secret("c"), verifier=Secret("v" * 43), redirect_uri=URI
        )
        assert isinstance(refused, Refusal)
        assert opened.simulator.journal.total == 0


async def test_a_grant_more_than_the_provider_allows_ends_the_oldest() -> None:
    async with provider("salesforce") as opened:
        ours, _ = opened.accounts
        for _ in range(6):
            assert isinstance(await opened.granted(ours.id), Grant)
        states = [grant.state for grant in opened.simulator.world.grants.all]
        assert states == [GrantState.REVOKED, *[GrantState.LIVE] * 5]


@pytest.mark.parametrize(
    "id_", sorted(id_ for id_, told in DESCRIPTIONS.items() if told.revocation_endpoint is not None)
)
async def test_s37_a_grant_is_revoked_as_the_provider_wants_it(id_: str) -> None:
    async with provider(id_) as opened:
        ours, _ = opened.accounts
        grant = await opened.granted(ours.id)
        assert isinstance(grant, Grant)
        assert grant.refresh_token is not None
        assert await oauth.revoke(opened.outbound, opened.config, grant.refresh_token, ours.id) is None
        assert opened.simulator.world.grants.live(ours.id) == []


@pytest.mark.parametrize("id_", sorted(DESCRIPTIONS))
def test_s13_an_authorization_request_is_ours_whatever_is_described(id_: str) -> None:
    description = DESCRIPTIONS[ProviderId(id_)]
    config = ProviderConfig(description, "client", Secret("secret"))
    for account in (None, description.identity.examples[0]):
        made = authorization_request(config, URI, account)
        assert made.url.startswith("https://")
        assert "{" not in made.url.partition("?")[0]
        for part in (
            "response_type=code",
            "client_id=client",
            "code_challenge_method=S256",
            f"state={made.state.reveal()}",
        ):
            assert part in made.url


def test_s34_a_claim_cant_change_the_address_that_it_is_filled_into() -> None:
    from service.oauth.token_claims import _access_token

    config = ProviderConfig(DESCRIPTIONS[ProviderId("xero")], "client", Secret("secret"))
    forged = _jwt({"authentication_event_id": "x&tenantId=1#{account}"})
    values = _access_token(config, Grant(forged))
    assert config.address(config.description.identity.proof_url, **values).endswith(
        "authEventId=x%26tenantId%3D1%23%7Baccount%7D"
    )


def _jwt(claims: Mapping[str, Any]) -> Secret:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return Secret(f"e30.{payload}.sig")
