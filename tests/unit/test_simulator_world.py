"""The simulated world by itself: codes, tokens, rotation and roles, on a clock that the test holds."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.demo.simulator.clock import AdjustableClock
from service.demo.simulator.grants import Grants, IssuedTokens, RevokeScope
from service.demo.simulator.intuit_errors import ApiFault, TokenRefused
from service.demo.simulator.seed import ACME_LTD, DRIVEWELL_INC, DRIVEWELL_LEASING, NOOR, OLIVIA, PASSWORD, SAM, seed
from service.demo.simulator.world import ACCOUNTING, PAYMENT, ROLES_READ, CompanyStatus, Role, World

CALLBACK = "https://host.example/oauth/callback/quickbooks"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def a_world() -> tuple[World, AdjustableClock]:
    clock = AdjustableClock(lambda: NOON)
    numbers = itertools.count(1)
    world = World(clock=clock, mint=lambda: f"value{next(numbers):04}")
    seed(world)
    return world, clock


def a_code(world: World, realm: str = DRIVEWELL_INC, challenge: str | None = None) -> str:
    user = world.users[OLIVIA]
    return world.grants.issue_code(
        realm=realm,
        sub=user.sub,
        scopes=frozenset({ACCOUNTING, ROLES_READ}),
        redirect_uri=CALLBACK,
        code_challenge=challenge,
    )


def redeem(world: World, code: str, verifier: str | None = None, uri: str = CALLBACK) -> IssuedTokens:
    return world.grants.redeem(code, redirect_uri=uri, code_verifier=verifier)


def refusal_of(deed: Callable[[], object]) -> tuple[str, str | None]:
    with pytest.raises(TokenRefused) as caught:
        deed()
    return caught.value.error, caught.value.description


def fault_of(deed: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ApiFault) as caught:
        deed()
    return caught.value.http_status, caught.value.code


def test_a_code_gives_tokens_with_intuits_lifetimes() -> None:
    world, _ = a_world()
    tokens = redeem(world, a_code(world))
    assert tokens.expires_in == timedelta(seconds=3600)
    assert tokens.refresh_expires_in == timedelta(seconds=8726400)
    assert tokens.refresh_hard_expires_in == timedelta(days=5 * 365)


def test_a_second_exchange_is_refused_and_poisons_the_grant() -> None:
    world, _ = a_world()
    code = a_code(world)
    tokens = redeem(world, code)
    assert refusal_of(lambda: redeem(world, code)) == ("invalid_grant", None)
    assert refusal_of(lambda: world.grants.refresh(tokens.refresh_token))[0] == "invalid_grant"
    assert fault_of(lambda: world.company_for_bearer(tokens.access_token, DRIVEWELL_INC)) == (401, "3200")


def test_a_code_is_refused_when_it_is_old_or_comes_with_another_redirect_address() -> None:
    world, clock = a_world()
    code = a_code(world)
    assert refusal_of(lambda: redeem(world, code, uri=CALLBACK + "/")) == ("invalid_grant", None)
    clock.advance(timedelta(minutes=10, seconds=1))
    assert refusal_of(lambda: redeem(world, code)) == ("invalid_grant", None)


def test_a_challenge_wants_its_verifier_and_a_wrong_one_leaves_the_code_unused() -> None:
    world, _ = a_world()
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    code = a_code(world, challenge=challenge)
    assert refusal_of(lambda: redeem(world, code))[0] == "invalid_grant"
    assert refusal_of(lambda: redeem(world, code, "w" * 43))[0] == "invalid_grant"
    assert redeem(world, code, verifier).access_token


def test_the_refresh_token_keeps_its_value_for_a_day_and_the_previous_one_dies_a_day_after() -> None:
    world, clock = a_world()
    first = redeem(world, a_code(world)).refresh_token
    clock.advance(timedelta(hours=23))
    assert world.grants.refresh(first).refresh_token == first
    clock.advance(timedelta(hours=1))
    second = world.grants.refresh(first)
    assert second.refresh_token != first
    assert second.refresh_expires_in == timedelta(seconds=8726400)
    clock.advance(timedelta(hours=23))
    assert world.grants.refresh(first).refresh_token == second.refresh_token
    clock.advance(timedelta(hours=1))
    assert refusal_of(lambda: world.grants.refresh(first)) == (
        "invalid_grant",
        "Token has been expired or revoked.",
    )
    assert world.grants.refresh(second.refresh_token).access_token


def test_rotation_at_every_refresh_without_grace_accepts_only_the_newest() -> None:
    world, _ = a_world()
    world.grants.settings.rotation_interval = timedelta()
    world.grants.settings.previous_token_life = timedelta()
    first = redeem(world, a_code(world)).refresh_token
    second = world.grants.refresh(first).refresh_token
    assert second != first
    assert refusal_of(lambda: world.grants.refresh(first))[0] == "invalid_grant"
    assert world.grants.refresh(second).refresh_token != second


def test_an_unused_refresh_token_dies_after_its_life_and_the_hard_limit_holds_in_spite_of_use() -> None:
    world, clock = a_world()
    idle = redeem(world, a_code(world)).refresh_token
    used = redeem(world, a_code(world)).refresh_token
    clock.advance(100 * DAY)
    used = world.grants.refresh(used).refresh_token
    clock.advance(DAY)
    assert refusal_of(lambda: world.grants.refresh(idle))[0] == "invalid_grant"
    for _ in range(17):
        clock.advance(99 * DAY)
        used = world.grants.refresh(used).refresh_token
    clock.advance(50 * DAY)
    assert refusal_of(lambda: world.grants.refresh(used)) == ("invalid_grant", None)


def test_an_access_token_is_no_refresh_token() -> None:
    world, _ = a_world()
    tokens = redeem(world, a_code(world))
    assert refusal_of(lambda: world.grants.refresh(tokens.access_token)) == (
        "invalid_grant",
        "Incorrect or invalid refresh token",
    )
    assert fault_of(lambda: world.grant_for_bearer(tokens.refresh_token)) == (401, "3200")


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=25))
def test_whoever_always_stores_the_latest_refresh_token_is_never_refused(steps: list[tuple[int, bool]]) -> None:
    """Whatever the pauses (hours), also for a client that lost each second answer and comes with the one before."""
    world, clock = a_world()
    kept = redeem(world, a_code(world)).refresh_token
    for hours, answer_is_lost in steps:
        clock.advance(timedelta(hours=hours))
        answer = world.grants.refresh(kept)
        if answer_is_lost:
            answer = world.grants.refresh(kept)
        kept = answer.refresh_token


@pytest.mark.parametrize(("scope", "sister_survives"), [(RevokeScope.TOKEN, True), (RevokeScope.ACCOUNT, False)])
def test_revoking_takes_the_grant_or_everything_at_the_account(scope: RevokeScope, sister_survives: bool) -> None:
    world, _ = a_world()
    world.grants.settings.revoke_scope = scope
    mine, sister = redeem(world, a_code(world)), redeem(world, a_code(world))
    elsewhere = redeem(world, a_code(world, ACME_LTD))
    world.grants.revoke(mine.refresh_token)
    assert refusal_of(lambda: world.grants.revoke(mine.refresh_token)) == ("invalid_grant", "Token invalid")
    alive = {grant.id for realm in (DRIVEWELL_INC, ACME_LTD) for grant in world.grants.live(realm)}
    assert alive == {elsewhere.grant.id} | ({sister.grant.id} if sister_survives else set())


def test_the_api_answers_each_misfortune_with_intuits_code() -> None:
    world, clock = a_world()
    token = redeem(world, a_code(world)).access_token

    def ask(bearer: str = token, realm: str = DRIVEWELL_INC) -> str:
        return world.company_for_bearer(bearer, realm).name

    assert ask() == "Drivewell Inc"
    assert fault_of(lambda: ask("nonsense")) == (401, "3200")
    assert fault_of(lambda: ask(realm=ACME_LTD)) == (403, "3100")
    world.companies[DRIVEWELL_INC].status = CompanyStatus.ENDED
    assert fault_of(ask) == (400, "6190")
    world.companies[DRIVEWELL_INC].status = CompanyStatus.ACTIVE
    world.set_role(OLIVIA, DRIVEWELL_INC, Role.STANDARD)
    assert fault_of(ask) == (401, "120")
    world.set_role(OLIVIA, DRIVEWELL_INC, Role.COMPANY_ADMIN)
    world.grants.disconnect(DRIVEWELL_INC)
    assert fault_of(ask) == (403, "3100")
    clock.advance(timedelta(hours=1))
    assert fault_of(ask) == (401, "3200")


def test_a_removed_person_takes_their_grant_along() -> None:
    world, _ = a_world()
    token = redeem(world, a_code(world)).access_token
    world.remove_user(OLIVIA)
    assert fault_of(lambda: world.company_for_bearer(token, DRIVEWELL_INC)) == (401, "120")


def test_expiring_access_tokens_leaves_the_refresh_token_and_the_other_way_round() -> None:
    world, _ = a_world()
    tokens = redeem(world, a_code(world))
    assert world.grants.expire_access_tokens(DRIVEWELL_INC) == 1
    assert fault_of(lambda: world.company_for_bearer(tokens.access_token, DRIVEWELL_INC)) == (401, "3200")
    newer = world.grants.refresh(tokens.refresh_token)
    assert world.grants.expire_refresh_tokens(DRIVEWELL_INC) == 1
    assert world.company_for_bearer(newer.access_token, DRIVEWELL_INC).realm == DRIVEWELL_INC
    assert refusal_of(lambda: world.grants.refresh(newer.refresh_token))[0] == "invalid_grant"


def test_the_selector_lists_a_persons_own_companies_that_have_what_the_scope_asks() -> None:
    world, _ = a_world()
    olivia, noor = world.users[OLIVIA], world.users[NOOR]
    accounting = frozenset({ACCOUNTING})
    assert len(world.companies_for(olivia, accounting)) == 4
    assert [company.realm for company in world.companies_for(noor, accounting)] == [ACME_LTD]
    world.companies[ACME_LTD].payments = False
    assert world.companies_for(noor, frozenset({PAYMENT})) == []
    world.set_role(OLIVIA, ACME_LTD, Role.COMPANY_ADMIN, active=False)
    assert len(world.companies_for(olivia, accounting)) == 3


def test_only_administrators_may_authorise_unless_the_switch_lets_standard_users_pass() -> None:
    world, _ = a_world()
    sam = world.users[SAM]
    assert not world.may_authorise(sam, DRIVEWELL_INC)
    assert not world.may_authorise(sam, ACME_LTD)
    world.settings.standard_users_pass = True
    assert world.may_authorise(sam, DRIVEWELL_INC)
    assert not world.may_authorise(sam, ACME_LTD)


def test_signing_in_needs_the_right_password_and_an_account() -> None:
    world, _ = a_world()
    assert world.sign_in(f" {OLIVIA.upper()}", PASSWORD) is world.users[OLIVIA]
    assert world.sign_in(OLIVIA, "other") is None
    assert world.sign_in("nobody@drivewell.example", "") is None


def test_no_secret_is_in_the_repr_of_anything() -> None:
    world, _ = a_world()
    code = a_code(world, DRIVEWELL_LEASING)
    tokens = redeem(world, code)
    shown = repr((tokens, world.grants.all, world.users, world.client))
    for secret in (code, tokens.access_token, tokens.refresh_token, world.client.client_secret):
        assert secret not in shown
    assert f"password='{PASSWORD}'" not in shown


def test_the_clock_only_goes_forward() -> None:
    _, clock = a_world()
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-DAY)


def test_grants_need_nothing_but_a_clock_and_a_source_of_text() -> None:
    world, clock = a_world()
    grants = Grants(clock, lambda: "x", world.settings.grants)
    assert grants.realm_of_code("XAB1x") is None
