"""Whose grant is it? Asked of the simulated Intuit with real tokens: the right company, another one, a role."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from schemas.ids import ProviderId
from schemas.lifecycle import Step
from schemas.reasons import Reason
from schemas.secret import Secret
from service.demo.simulator import Simulator
from service.demo.simulator.seed import ACME_LTD, DRIVEWELL_INC, OLIVIA, SAM
from service.demo.simulator.world import CompanyStatus
from service.oauth.description import ProviderConfig, load_descriptions
from service.oauth.grant import Grant, Unavailable
from service.oauth.outbound import Outbound
from service.oauth.verification import Rejection, VerifiedAccount, verify
from statemachine import Account
from tests.loop import QUICKBOOKS, intuit_hosts

ACCOUNTING = "com.intuit.quickbooks.accounting"
ROLES = "com.intuit.identity.user.roles.read"
INC = Account(DRIVEWELL_INC, "Drivewell Inc")


@dataclass
class Intuit:
    """The provider, and us with a way out to it."""

    simulator: Simulator
    outbound: Outbound
    config: ProviderConfig

    async def verified(
        self, email: str, realm: str, *, scopes: str = ACCOUNTING, expected: Account | None = INC, claimed: str = ""
    ) -> VerifiedAccount | Rejection | Unavailable:
        """What the checks say of a grant that this person gave for this company."""
        issued = self.simulator.world.grant_without_pages(email, realm, frozenset(scopes.split()))
        grant = Grant(Secret(issued.access_token), scope=scopes)
        return await verify(self.outbound, self.config, grant, expected=expected, claimed=claimed or realm, nonce=None)


@pytest.fixture
async def intuit() -> AsyncIterator[Intuit]:
    async with await Simulator.start() as simulator, Outbound() as outbound:
        at, client = simulator.addresses, simulator.world.client
        config = ProviderConfig(
            load_descriptions()[ProviderId(QUICKBOOKS)],
            client.client_id,
            Secret(client.client_secret),
            hosts=intuit_hosts(at.accounts, at.oauth, at.api),
            allow_loopback_http=True,
            extra_scopes=(ROLES,),
        )
        yield Intuit(simulator, outbound, config)


async def test_the_right_company_is_proved_by_the_providers_own_answer(intuit: Intuit) -> None:
    assert await intuit.verified(OLIVIA, DRIVEWELL_INC) == VerifiedAccount(INC, None)


async def test_the_first_time_the_claimed_company_is_proved(intuit: Intuit) -> None:
    assert await intuit.verified(OLIVIA, DRIVEWELL_INC, expected=None) == VerifiedAccount(INC, None)
    forged = await intuit.verified(OLIVIA, ACME_LTD, expected=None, claimed=DRIVEWELL_INC)
    assert isinstance(forged, Rejection)


async def test_p06_another_companys_grant_is_refused_with_its_name(intuit: Intuit) -> None:
    refused = await intuit.verified(OLIVIA, ACME_LTD)
    assert isinstance(refused, Rejection)
    assert (refused.reason, refused.seen) == (Reason.WRONG_ACCOUNT, Account(ACME_LTD, "Acme Ltd"))


async def test_p09_the_role_probe_refuses_a_standard_user_that_the_provider_let_through(intuit: Intuit) -> None:
    intuit.simulator.world.settings.standard_users_pass = True
    refused = await intuit.verified(SAM, DRIVEWELL_INC, scopes=f"{ACCOUNTING} {ROLES}")
    assert isinstance(refused, Rejection)
    assert (refused.reason, refused.step) == (Reason.NEEDS_ADMIN, Step.ACCOUNT_CHECKED)
    admin = await intuit.verified(OLIVIA, DRIVEWELL_INC, scopes=f"{ACCOUNTING} {ROLES}")
    assert isinstance(admin, VerifiedAccount)


async def test_s19_a_scope_that_wasnt_given_is_a_reason_of_its_own(intuit: Intuit) -> None:
    refused = await intuit.verified(OLIVIA, DRIVEWELL_INC, scopes="openid")
    assert isinstance(refused, Rejection)
    assert refused.reason is Reason.SCOPE_MISSING


async def test_an_ended_subscription_and_a_provider_that_is_down_are_told_apart(intuit: Intuit) -> None:
    intuit.simulator.world.companies[DRIVEWELL_INC].status = CompanyStatus.ENDED
    ended = await intuit.verified(OLIVIA, DRIVEWELL_INC)
    assert isinstance(ended, Rejection)
    assert ended.reason is Reason.ACCOUNT_INACTIVE
    await intuit.simulator.down("api")
    down = await intuit.verified(OLIVIA, DRIVEWELL_INC)
    assert isinstance(down, Unavailable)
    assert (down.reason, down.sent) == (Reason.NETWORK_ERROR, False)
