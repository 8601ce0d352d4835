"""P3: whatever the provider answers, a dead grant is told from one that is only passing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from schemas.ids import AttemptId, ConnectorId, ProviderId
from schemas.lifecycle import Notice, Outcome, Refused, State
from schemas.reasons import Reason
from service.oauth.description import load_descriptions
from service.oauth.verdict import judge
from statemachine import Connector, decide
from statemachine.inputs import StartReauth, SyncFailed

ANSWERS: list[Mapping[str, Any]] = yaml.safe_load(Path(__file__).with_name("provider_answers.yaml").read_text())
DESCRIPTIONS = load_descriptions()
QUICKBOOKS = "quickbooks-online"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
REASONS_OF = {
    verdict: sorted({Reason(a["reason"]) for a in ANSWERS if a["verdict"] == verdict})
    for verdict in {a["verdict"] for a in ANSWERS}
}


def failed_for(reason: Reason) -> Any:
    """What a sync's failure for this reason does to a healthy connector."""
    healthy = Connector(ConnectorId("c"), State.HEALTHY, version=1)
    return decide(healthy, SyncFailed(connector=healthy.id, occurred=NOW, reason=reason), NOW)


def wants_to_sign_in(connector: Connector) -> Any:
    attempt = AttemptId(UUID(int=1))
    return decide(connector, StartReauth(connector=connector.id, attempt=attempt), NOW)


def test_p03_the_corpus_has_at_least_120_answers_and_every_verdict() -> None:
    assert len({answer["name"] for answer in ANSWERS}) == len(ANSWERS) >= 120
    assert {answer.get("provider", QUICKBOOKS) for answer in ANSWERS} == set(DESCRIPTIONS)
    assert set(REASONS_OF) == {"transient", "dead_grant", "needs_admin", "account_problem", "our_config"}


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer["name"])
def test_p03_each_answer_gets_the_verdict_written_beside_it(answer: Mapping[str, Any]) -> None:
    description = DESCRIPTIONS[ProviderId(answer.get("provider", QUICKBOOKS))]
    verdict = judge(description, answer["at"], answer["status"], answer["body"])
    assert (verdict.verdict, verdict.reason) == (answer["verdict"], answer["reason"])


@pytest.mark.parametrize("reason", REASONS_OF["transient"])
def test_p03_what_is_passing_never_leaves_healthy(reason: Reason) -> None:
    decision = failed_for(reason)
    assert (decision.outcome, decision.connector.state) == (Outcome.OBSERVATION, State.HEALTHY)


@pytest.mark.parametrize("reason", [*REASONS_OF["dead_grant"], *REASONS_OF["needs_admin"]])
def test_p03_a_dead_grant_asks_the_owner_to_sign_in(reason: Reason) -> None:
    decision = failed_for(reason)
    assert (decision.connector.state, decision.notice) == (State.FAILED, Notice.PERSON_NEEDED)
    assert wants_to_sign_in(decision.connector).connector.state is State.AWAITING_AUTH


@pytest.mark.parametrize("reason", REASONS_OF["our_config"])
def test_p03_our_own_configuration_alarms_the_operator_and_never_asks_the_customer(reason: Reason) -> None:
    decision = failed_for(reason)
    assert decision.notice is Notice.OPERATOR_NEEDED
    assert wants_to_sign_in(decision.connector).why is Refused.LOGIN_DOES_NOT_HELP


@pytest.mark.parametrize("reason", REASONS_OF["account_problem"])
def test_p03_a_problem_of_the_account_is_told_to_its_owner_without_a_login(reason: Reason) -> None:
    decision = failed_for(reason)
    assert decision.notice is Notice.PERSON_NEEDED
    assert wants_to_sign_in(decision.connector).why is Refused.LOGIN_DOES_NOT_HELP
