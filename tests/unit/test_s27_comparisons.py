"""S27: secrets and their hashes are compared in constant time, and no id or secret can be guessed from another one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from schemas.secret import Secret

ROOT = Path(__file__).parents[2]
SECRETLY_NAMED = re.compile(
    r"token|secret|verifier|nonce|csrf|digest|cookie|passw|handoff|hash|signature|hmac|browser|person_id|reveal", re.I
)
"""Words in the names of what must not be guessed byte by byte. `reveal` gives a secret away, whatever it is called."""
GUESSABLE = re.compile(r"\brandom\.(choice|choices|getrandbits|randbytes|randint)\b|uuid1\(|uuid\.uuid1")
ALLOWED = {
    "service/oauth/retire.py: await self._token(current) == token": "a `Secret`, whose `==` takes constant time",
    "service/http/api.py: known.request_hash != hashed": "the hash of a caller's own request, to whom it belongs",
    "service/oauth/token_claims.py: c in token.claims": "whether a claim is there",
    "service/oauth/token_claims.py: token.claims.get('nonce') not in (None, nonce)": "the provider's own answer",
    "service/oauth/description_file.py: probe.claim not in self.identity.access_token_claims": "names of claims",
}
PLAIN = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def _sources() -> Iterator[Path]:
    """What runs in production: the demo plays the provider, and has no secrets of ours."""
    for folder in ("service", "schemas", "statemachine"):
        yield from (path for path in sorted((ROOT / folder).rglob("*.py")) if "demo" not in path.parts)


def _in(text: str) -> list[str]:
    """Comparisons, other than by `hmac.compare_digest`, of two values of which one is named like a secret."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], PLAIN):
            sides = [node.left, *node.comparators]
            if not any(_is_known(side) for side in sides) and any(map(_is_secret, sides)):
                found.append(ast.unparse(node))
    return found


def _is_known(side: ast.expr) -> bool:
    """Whether everybody may read in the source what is compared with: a constant, the name of one, or their number."""
    match side:
        case ast.Constant():
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.isupper()
        case ast.Tuple(elts=some) | ast.Set(elts=some) | ast.List(elts=some):
            return all(map(_is_known, some))
        case ast.Call(func=ast.Name(id="len")):
            return True
    return False


def _is_secret(side: ast.expr) -> bool:
    named = (getattr(node, "id", None) or getattr(node, "attr", None) or "" for node in ast.walk(side))
    return any(SECRETLY_NAMED.search(name) for name in named)


class _Plainly(ast.NodeTransformer):
    """Somebody replaces `hmac.compare_digest` by `==`."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if ast.unparse(node.func) != "hmac.compare_digest":
            return node
        return ast.Compare(node.args[0], [ast.Eq()], [node.args[1]])


def test_s27_no_secret_is_compared_plainly() -> None:
    found = {f"{path.relative_to(ROOT)}: {text}" for path in _sources() for text in _in(path.read_text())}
    assert found == set(ALLOWED)


def test_s27_each_comparison_in_constant_time_would_be_found_if_it_were_plain() -> None:
    there = 0
    for path in _sources():
        text = path.read_text()
        made_plain = ast.unparse(_Plainly().visit(ast.parse(text)))
        calls = text.count("hmac.compare_digest(")
        assert len(_in(made_plain)) == len(_in(text)) + calls, f"a comparison of {path} isn't looked for"
        there += calls
    assert there >= 5, "cookies, completion tokens, persons, signatures and secrets"


def test_s27_the_search_finds_what_it_looks_for() -> None:
    for plain in (
        "row.browser_hash == hash_of(browser)",
        "given.csrf != kept",
        "a in {row.state_hash}",
        "x.reveal() == y",
    ):
        assert _in(f"if {plain}: pass") == [plain]
    for harmless in ("description.revoke_scope == 'token'", "len(token) > LARGEST", "at in ('token', 'api')"):
        assert not _in(f"if {harmless}: pass")


def test_s27_secrets_are_compared_in_constant_time() -> None:
    with mock.patch("schemas.secret.hmac.compare_digest", return_value=True) as compared:
        assert Secret("one") == Secret("other")
    compared.assert_called_once_with(b"one", b"other")


def test_s27_what_must_not_be_guessed_comes_from_the_systems_randomness() -> None:
    """`random` may decide how long to wait, and nothing that is sent or stored."""
    for path in (ROOT / "service").rglob("*.py"):
        if "demo" not in path.parts:
            assert not GUESSABLE.search(path.read_text()), path
