"""P21 in small: some dozen connectors live for six years. At length: `make soak ARGS="--only p21"`."""

import pytest

from tests.years import simulated

pytestmark = pytest.mark.slow


async def test_p21_every_known_end_is_preceded_by_its_warnings_and_no_renewal_is_followed_by_one(
    empty_database: str,
) -> None:
    seen = await simulated(empty_database, 30, seed=21)

    assert seen.surprises == 0
    assert min(seen.ends, seen.renewals, seen.taken_back) > 5
    assert seen.warnings > seen.ends
