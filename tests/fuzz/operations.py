"""R14: every operation of the OpenAPI document, asked by one tenant for its own, for another's, and for nobody's.

Schemathesis makes the requests from the document: all its borders first, then whatever Hypothesis thinks of. Each
answer is held against the document. What has an id in its path is asked for three times: another tenant's ids must be
answered as ids that nobody has, to the last byte.
"""

import random
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from uuid import uuid4

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from schemas.routes import ROUTES, Reach
from tests.fuzz import grammars
from tests.fuzz.two_tenants import COMPANIES, PEOPLE, WALKER, Known, Tenants
from tests.window import QUICKBOOKS, host_token

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
    unsupported_method,
    allow_header_conformance,
]
A_ROUND = 6
"""Examples of each kind of each operation."""
CONFIG = {
    # Every request has the walker's token: what may come instead of one is the strangers'.
    "generation": {"with-security-parameters": False},
    "checks": {"negative_data_rejection": {"expected-statuses": ["4XX"]}},
}
ENDING = {"delete_connector", "disconnect_connector", "cancel_attempt", "import_credential"}
"""After these there is little left to be asked of a connector: a fresh one takes its place."""
LEFT_ALONE = {"delete_connector", "disconnect_connector"}
"""Not asked of the connector with tokens, on which the walk lives."""
OF_THE_FLEET = {route.name for route in ROUTES if route.reach is Reach.FLEET}
"""For who speaks for the whole fleet, which the walker doesn't."""
NEVER_DONE = {"complete_attempt", "verify_connector", *OF_THE_FLEET}
"""Nothing that is made from the document completes an attempt: the token for it goes through a browser. Nor need there
be a connector that rests with a credential: attempts are opened on all of them."""
ACCEPTED = {"unknown_provider", "return_url_not_allowed", "idempotency_key_reused", "before_the_log"}
"""What may be wrong with a request that the document allows, since it can't say so."""


@dataclass
class Walk:
    """One walk of the walker's through a running service, from a thread of its own."""

    tenants: Tenants
    random: random.Random
    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """What each operation answered for the walker's own."""
    compared: Counter[str] = field(default_factory=Counter)
    """How often each was asked for the victim's and for nobody's."""
    _spare: Known | None = None
    _turns: Iterator[int] = field(default_factory=lambda: cycle(range(4)))
    """Whose ids stand in the path: 0 as they were made, 1 of the connector with tokens, 2 and 3 of a spare one."""

    def __post_init__(self) -> None:
        self._session = requests.Session()
        self._origin = self.tenants.service.origin
        self._token, self._token_until = "", 0.0

    @property
    def asked(self) -> int:
        return sum(map(Counter.total, self.statuses.values())) + 2 * self.compared.total()

    def everything(self, rounds: int, until: float) -> None:
        """Every operation at its borders, and so many rounds of examples, as the time allows; raises what is wrong."""
        document = self._session.get(f"{self._origin}/v1/openapi.json", timeout=10).json()
        schema = schemathesis.openapi.from_dict(document, config=schemathesis.Config.from_dict(CONFIG))
        operations = [found.ok() for found in schema.get_all_operations()]
        for operation in operations:
            for case in _borders(schema, operation):
                self.ask(case)
        made = [cases for operation in operations for cases in _made(operation)]
        for round_ in range(rounds):
            if round_ and time.monotonic() > until:
                break
            for cases in made:
                _each(cases, self.ask, self.random.getrandbits(32))
        self._nothing_left_out(set(map(_name, operations)))

    def _nothing_left_out(self, names: set[str]) -> None:
        done = {name for name, seen in self.statuses.items() if any(200 <= status < 300 for status in seen)}
        assert set(self.statuses) == names and done >= names - NEVER_DONE, (names - done, self.statuses)
        assert 403 in self.statuses["complete_attempt"], self.statuses["complete_attempt"]
        for name in OF_THE_FLEET:
            assert not [status for status in self.statuses[name] if status < 400], (name, self.statuses[name])

    # One request.

    def ask(self, case: Case) -> None:
        """One request as it came, or for what the walker has; and for the victim's and nobody's if it names an id."""
        name, whose = _name(case.operation), next(self._turns)
        if name in LEFT_ALONE and whose == 1:
            whose = 2
        if _is_broken_in_its_path(case):
            whose = 0
        known = self._own(whose)
        self._fit(case, name, whose)
        if case.path_parameters and whose:  # else the id that was made
            case.path_parameters = known.of(case.path_parameters)
        answer = case.call(self._origin, self._session, self._headers(), timeout=30)
        _is_as_documented(case, answer)
        self._is_ones_own(case, answer.content, answer.headers)
        if _is_allowed(case):
            self._is_accepted(case, answer)
        self.statuses[name][answer.status_code] += 1
        if case.path_parameters:
            self._compare(case, name)
        elif name == "register_connector":
            self._compare_ids_taken(case)
        self._keep_up(name, known if whose else None, answer)

    def _fit(self, case: Case, name: str, whose: int) -> None:
        """What the document can't say is put right, so that requests get further than to the first check."""
        if name == "register_connector" and isinstance(case.body, dict) and "provider" in case.body and whose:
            case.body = {**case.body, "provider": QUICKBOOKS}
        if whose == 3 and _is_allowed(case):
            case.headers.pop("If-Match", None)
        if "cursor" in (case.query or {}) and whose:
            case.query = {**case.query, "cursor": self.random.choice(grammars.CURSORS)}

    def _compare(self, case: Case, name: str) -> None:
        """Another tenant's ids are answered as nobody's: the same status and body."""
        victim = self.random.choice(self.tenants.victims)
        nobody = Known("n" * len(victim.connector_id), str(uuid4()))
        told = []
        for known in (victim, nobody):
            copy = case.derive()
            copy.path_parameters = known.of(case.path_parameters)
            if "Idempotency-Key" in copy.headers:
                copy.headers["Idempotency-Key"] = uuid4().hex  # the same one for another path is another problem
            answer = copy.call(self._origin, self._session, self._headers(trace="0" * 31 + "1"), timeout=30)
            self._is_ones_own(copy, answer.content, answer.headers)
            told.append((answer.status_code, answer.content, _told_by(answer.headers)))
        assert told[0] == told[1], (case.as_curl_command(), told)
        assert told[0][0] >= 400, (case.as_curl_command(), told)
        self.compared[name] += 1

    def _compare_ids_taken(self, case: Case) -> None:
        """Whoever wants an id that is taken is told so, and not by whom, nor what became of it."""
        if not isinstance(case.body, dict) or not _is_allowed(case):
            return
        told = []
        for victim in self.tenants.victims:
            copy = case.derive()
            copy.headers.pop("Idempotency-Key", None)
            copy.body = {**case.body, "connector_id": victim.connector_id, "provider": QUICKBOOKS}
            answer = copy.call(self._origin, self._session, self._headers(trace="0" * 31 + "1"), timeout=30)
            self._is_ones_own(copy, answer.content, answer.headers)
            told.append((answer.status_code, answer.content))
        assert told == told[:1] * len(told), (case.as_curl_command(), told)
        self.compared["register_connector"] += 1

    def _is_ones_own(self, case: Case, body: bytes, headers: Any) -> None:
        said = body + repr(dict(headers)).encode()
        for secret in self.tenants.secrets:
            assert secret not in said, f"{secret!r} of another tenant in the answer to {case.as_curl_command()}"

    def _is_accepted(self, case: Case, answer: Any) -> None:
        """What the document allows isn't refused for its form."""
        opaque = "cursor" in (case.query or {}) or "Last-Event-ID" in case.headers
        if answer.status_code in (400, 413, 415, 422) and not opaque:
            assert answer.json()["code"] in ACCEPTED, (case.as_curl_command(), answer.content)

    # What the walker has.

    def _own(self, whose: int) -> Known:
        if whose == 1:
            return self.tenants.connected
        if self._spare is None:
            self._spare = self._opened()
        return self._spare

    def _opened(self) -> Known:
        id_ = f"walk-{secrets.token_hex(6)}"
        self._post("/v1/connectors", {"connector_id": id_, "provider": QUICKBOOKS, "name": COMPANIES[WALKER][1]})
        opened = self._post(f"/v1/connectors/{id_}/attempts", {"person": PEOPLE[WALKER]})
        return Known(id_, opened["attempt_id"])

    def _post(self, path: str, body: object) -> Any:
        answer = self._session.post(self._origin + path, json=body, headers=self._headers(), timeout=30)
        assert answer.status_code == 201, answer.content
        return answer.json()

    def _keep_up(self, name: str, known: Known | None, answer: Any) -> None:
        """Notes what became of the walker's own."""
        if known is None:
            return
        if name == "open_attempt" and answer.status_code == 201:
            known.attempt_id = answer.json()["attempt_id"]
        if (name in ENDING and answer.status_code < 300) or answer.status_code in (404, 409, 410):
            self._spare = None

    def _headers(self, trace: str = "") -> dict[str, str]:
        if time.monotonic() > self._token_until:
            key = self.tenants.service.key
            self._token, self._token_until = host_token(key, WALKER, exp=int(time.time()) + 300), time.monotonic() + 200
        told = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"} if trace else {}
        return {"Authorization": f"Bearer {self._token}", **told}


def _borders(schema: Any, operation: Any) -> Iterator[Case]:
    """Each parameter and field at its borders and just beyond, left out, of another type; other methods."""
    config = schema.config.generation_for(operation=operation)
    modes = list(GenerationMode)
    cases: Iterator[Case] = schema.iter_coverage_cases(operation, generation_modes=modes, generation_config=config)
    return cases


def _is_as_documented(case: Case, answer: Any) -> None:
    try:
        case.validate_response(answer, CHECKS)
    except FailureGroup as group:  # which is no `Exception`
        raise AssertionError(str(group)) from None


def _made(operation: Any) -> Iterator[SearchStrategy[Case]]:
    """Cases that fit the document, and such that don't, where there is anything to be wrong."""
    yield operation.as_strategy(GenerationMode.POSITIVE)
    if list(operation.iter_parameters()) or list(operation.body):
        yield operation.as_strategy(GenerationMode.NEGATIVE)


def _each(cases: SearchStrategy[Case], ask: Callable[[Case], None], number: int) -> None:
    """Asks a round of cases."""

    @seed(number)
    @settings(
        max_examples=A_ROUND,
        deadline=None,
        database=None,
        phases=(Phase.generate,),  # what made trouble once may not do so again: there is state behind it
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(cases)
    def one(case: Case) -> None:
        ask(case)

    one()


def _name(operation: Any) -> str:
    return str(operation.schema.get_operation_id(operation))


def _is_broken_in_its_path(case: Case) -> bool:
    """Whether what is wrong with a request would be mended by another id."""
    path = case.meta.components.get(ParameterLocation.PATH) if case.meta else None
    return path is not None and path.mode is GenerationMode.NEGATIVE


def _is_allowed(case: Case) -> bool:
    """Whether a request is one that the document allows."""
    meta = case.meta
    return meta is not None and meta.generation.mode is GenerationMode.POSITIVE


def _told_by(headers: Any) -> dict[str, Any]:
    return {name: value for name, value in dict(headers).items() if name.lower() not in ("date", "content-length")}
