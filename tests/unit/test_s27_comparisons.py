"""S27: secrets and their hashes are compared in constant time, and no id or secret can be guessed from another one."""

import ast
import re
from pathlib import Path
from unittest import mock

from schemas.secret import Secret

ROOT = Path(__file__).parents[2]
SECRETLY_NAMED = re.compile(
    r"(?<![a-z])(token|secret|verifier|nonce|csrf|digest|cookie|password|handoff|\w+_hash|state_\w+)$", re.IGNORECASE
)
GUESSABLE = re.compile(r"\brandom\.(choice|choices|getrandbits|randbytes|randint)\b|uuid1\(|uuid\.uuid1")
IN_SQL_ALONE = {"service/http/api.py: known.request_hash != hashed"}
"""What isn't secret, with its name: the hash of a caller's own request, to whom it belongs."""


def _compared_plainly() -> set[str]:
    found = set()
    for folder in ("service", "schemas"):
        for path in (ROOT / folder).rglob("*.py"):
            if "demo" not in path.parts:
                found |= {f"{path.relative_to(ROOT)}: {text}" for text in _in(path.read_text())}
    return found


def _in(text: str) -> list[str]:
    """Comparisons by `==` or `!=` of something that is named like a secret, with something that isn't a constant."""
    compared = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq)
    ]
    return [
        ast.unparse(node)
        for node in compared
        if not any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators))
        and any(SECRETLY_NAMED.search(ast.unparse(side)) for side in (node.left, *node.comparators))
    ]


def test_s27_no_secret_is_compared_plainly() -> None:
    assert _compared_plainly() == IN_SQL_ALONE


def test_s27_the_search_finds_what_it_looks_for() -> None:
    assert _in("if row.browser_hash == hash_of(browser): pass") == ["row.browser_hash == hash_of(browser)"]
    assert _in("x = given.csrf != kept") == ["given.csrf != kept"]
    assert not _in("if description.revoke_scope == 'token': pass")


def test_s27_secrets_are_compared_in_constant_time() -> None:
    with mock.patch("schemas.secret.hmac.compare_digest", return_value=True) as compared:
        assert Secret("one") == Secret("other")
    compared.assert_called_once_with(b"one", b"other")


def test_s27_what_must_not_be_guessed_comes_from_the_systems_randomness() -> None:
    """`random` may decide how long to wait, and nothing that is sent or stored."""
    for path in (ROOT / "service").rglob("*.py"):
        if "demo" not in path.parts:
            assert not GUESSABLE.search(path.read_text()), path
