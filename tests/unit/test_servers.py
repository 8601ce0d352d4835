"""Where the tests' servers come from: what is given first, then Docker, then our own."""

import pytest

from tests.servers import POSTGRES_VARIABLE, chosen


@pytest.mark.parametrize(
    ("environment", "docker", "source"),
    [
        ({POSTGRES_VARIABLE: "postgresql://x"}, True, "environment"),
        ({POSTGRES_VARIABLE: "postgresql://x"}, False, "environment"),
        ({POSTGRES_VARIABLE: ""}, True, "docker"),
        ({}, True, "docker"),
        ({}, False, "embedded"),
    ],
)
def test_a_server_comes_from_the_first_that_is_there(environment: dict[str, str], docker: bool, source: str) -> None:
    assert chosen(POSTGRES_VARIABLE, environment, docker) == source
