"""The pace that an address, a connector or a tenant is held to (S39), and whose address it is."""

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from service.oauth.limits import Pace, TooMany
from service.web.address import address_of, networks


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def taken(pace: Pace, key: str, times: int) -> int:
    """How many of so many were let through."""
    through = 0
    for _ in range(times):
        try:
            pace.take(key)
        except TooMany:
            continue
        through += 1
    return through


def test_s39_so_many_go_at_once_and_then_one_after_the_other() -> None:
    clock = Clock()
    pace = Pace("address", 60, clock=clock)
    assert taken(pace, "a", 200) == 60
    with pytest.raises(TooMany) as refused:
        pace.take("a")
    assert refused.value.retry_after_s == 1
    clock.now_s += refused.value.retry_after_s
    assert taken(pace, "a", 10) == 1
    clock.now_s += 3600
    assert taken(pace, "a", 200) == 60


def test_s39_one_doesnt_use_up_what_is_anothers() -> None:
    pace = Pace("address", 5, clock=Clock())
    assert taken(pace, "flood", 1000) == 5
    assert taken(pace, "other", 5) == 5


def test_s39_a_flood_of_addresses_takes_no_more_memory_than_is_set() -> None:
    pace = Pace("address", 5, most_keys=100, clock=Clock())
    for number in range(10_000):
        pace.take(str(number))
    assert len(pace) == 100


@given(
    steps=st.lists(st.floats(min_value=0, max_value=30), min_size=1, max_size=300),
    a_minute=st.integers(min_value=1, max_value=50),
)
def test_s39_within_any_minute_no_more_than_twice_the_pace_goes_through(steps: list[float], a_minute: int) -> None:
    clock = Clock()
    pace = Pace("address", a_minute, clock=clock)
    through: list[float] = []
    for step in steps:
        clock.now_s += step
        through += [clock.now_s] * taken(pace, "a", 3)
    for at in through:
        assert len([one for one in through if at <= one < at + 60]) <= 2 * a_minute


PROXIES = networks(["10.0.0.0/8", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "whose"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # no proxy of ours: its word doesn't count
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),  # what a stranger puts before it doesn't count
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("2001:db8::1", ["[2a00:1:2:3:4:5:6:7]:99"], "2a00:1:2:3::/64"),
        ("2a00:1:2:3:ffff::1", [], "2a00:1:2:3::/64"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("", ["198.51.100.1"], "unknown"),
    ],
)
def test_s39_an_address_is_the_peers_unless_a_trusted_proxy_tells_another(
    peer: str, forwarded: list[str], whose: str
) -> None:
    from multidict import CIMultiDict

    headers = CIMultiDict([("X-Forwarded-For", value) for value in forwarded])
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=peer)
    assert address_of(request, PROXIES) == whose
