"""S5, S12: our callback parser beside a client library that we didn't write (npm's oauth4webapi), answer by answer.

Whatever ours takes, theirs takes, with the same code. Where only theirs takes it, the difference is on the list below
with its reason; a difference that isn't listed fails, and so does a line of the list that nothing shows any more.
"""

import itertools
import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from schemas.ids import ProviderId
from service.oauth.callback import BadCallback, parse_callback
from service.oauth.description import load_descriptions
from tests.foreign.set_up import HERE, NODE, node_modules

ISSUER = "https://id.example.com"
STATE = "s-L7.~Aa0"
CODE = "c-AB11.xyz~"
QUIET = load_descriptions()[ProviderId("oidc")]
ALWAYS = QUIET.model_copy(update={"authorization_response_iss_parameter_supported": True})
SAMPLED, EDITED = 3000, 3000


@dataclass(frozen=True, slots=True)
class Stricter:
    """A kind of answers that ours refuses and theirs takes."""

    said: str
    """What ours says."""
    seen: str
    """What is to be found in such a query."""
    why: str


LIST = (
    Stricter(
        "either a code or an error", r"(?=.*\bcode=.)(?=.*\berror=.)", "an answer can't be both: which one is forged?"
    ),
    Stricter(
        "a value that can't be",
        r"\b(code|error|iss|state)=(&|$)",
        "what is empty is a broken answer, not a missing value",
    ),
    Stricter(
        "a value that can't be", r"(^|&)([^=&]+|[^&]*=)(&|$)", "RFC 6749 3.1: a server leaves out what has no value"
    ),
    Stricter(
        "a value that can't be",
        r"\b(code|error)=[^&]*(%[01][0-9a-fA-F]|%7[fF]|%20|\+)",
        "codes and errors have no blanks",
    ),
    Stricter(
        "a value that can't be", r"\b(code|error)=[^&]*%[c-fC-F]", "codes and errors are ASCII (RFC 6749, appendix A)"
    ),
    Stricter("a value that can't be", r"\bcode=[^&]{4097}", "no code is that long: it would be sealed and sent on"),
    Stricter("a parameter twice", r".", "RFC 6749 3.1: no parameter comes twice, whether we know it or not"),
    Stricter("an escape that is none", r"%(?![0-9a-fA-F]{2})", "what a broken escape means is guessed"),
    Stricter("not UTF-8", r"%[89a-fA-F]", "theirs puts U+FFFD in its place: two answers become one"),
    Stricter("too long", r".{8193}", "the whole query is bounded before it is read"),
    Stricter(
        "an answer that wasn't asked for",
        r"\b(access_token|id_token|token)=",
        "theirs knows some of what the hybrid flows answer with, and looks for it beside a code only",
    ),
)


# The corpus.

_STATES = (
    f"state={STATE}",
    "",
    "state=",
    f"state={STATE}&state={STATE}",
    f"state={STATE}&state=other",
    "state=other",
    f"state={STATE.swapcase()}",
    f"st%61te={quote(STATE)}",
    f"state={''.join(f'%{ord(c):02x}' for c in STATE)}",
    f"state={STATE}%20",
    f"state={STATE}%00",
    f"State={STATE}",
)
_ANSWERS = (
    f"code={CODE}",
    "",
    "code=",
    "code",
    f"code={CODE}&code={CODE}",
    f"code={CODE}&c%6fde=other",
    f"code={CODE}&error=access_denied",
    f"code={CODE}&error=",
    "code=&error=access_denied",
    "error=access_denied",
    "error=access_denied&error_description=the+person%20said+no",
    "error=access_denied&error=server_error",
    "error=server_error&error_description=a&error_description=b",
    "error=",
    "error=a%20b",
    f"Code={CODE}",
    "code=a+b",
    "code=a%0d%0ab",
    "code=%ff",
    "code=%c3%a9",
    "code=%zz",
    f"code={'a' * 5000}",
    "code=%61",
)
_ISSUERS = (
    f"iss={quote(ISSUER)}",
    f"iss={ISSUER}",
    "",
    "iss=",
    "iss=https://evil.example",
    f"iss={ISSUER}/",
    f"iss={ISSUER.upper()}",
    f"iss={ISSUER}&iss={ISSUER}",
    f"iss={ISSUER}&iss=https://evil.example",
    f"ISS={ISSUER}",
)
_MORE = (
    "",
    "scope=openid+email&session_state=x",
    "x=1&x=2",
    "x=",
    "response=e30.e30.x",
    "id_token=e30.e30.x",
    "token=t",
    "access_token=t&token_type=Bearer",
    f"x={'y' * 8200}",
    "&&",
)


def _product() -> Iterator[str]:
    """All in which at most two parts of the answer aren't right, and some of the others."""
    parts = (_STATES, _ANSWERS, _ISSUERS, _MORE)
    every = list(itertools.product(*parts))
    near = [one for one in every if sum(part is not right[0] for part, right in zip(one, parts, strict=True)) <= 2]
    for number, one in enumerate((*near, *random.Random(12).sample(every, SAMPLED))):
        yield "&".join(part for part in (one if number % 2 else one[::-1]) if part)


def _edited() -> Iterator[str]:
    """Right answers with one to three characters put in, taken out, doubled or changed."""
    chance = random.Random(5)
    right = (f"code={CODE}&state={STATE}&iss={ISSUER}", f"error=access_denied&state={STATE}&iss={quote(ISSUER)}")
    for _ in range(EDITED):
        text = chance.choice(right)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(text))
            put = chance.choice(
                ("", "&", "=", "%", "+", ";", "?", "%26", "%3d", "%00", "%C3", text[at], text[at:], "code=x")
            )
            text = text[:at] + put + text[at + chance.randint(0, 1) :]
        yield text


# The two judges.


def _ours(query: str, *, advertised: bool) -> tuple[str, str]:
    try:
        callback = parse_callback(ALWAYS if advertised else QUIET, ISSUER, query)
    except BadCallback as bad:
        return "refused", str(bad)
    if callback.state.reveal() != STATE:
        return "refused", "no attempt has this state"
    return ("code", callback.code.reveal()) if callback.code else ("error", "")


def _theirs(folder: Path, cases: Sequence[tuple[bool, str]]) -> list[dict[str, Any]]:
    (folder / "node_modules").symlink_to(node_modules(), target_is_directory=True)
    shutil.copy(HERE / "validate.mjs", folder)
    lines = b"\n".join(
        orjson.dumps({"advertised": advertised, "issuer": ISSUER, "state": STATE, "query": query})
        for advertised, query in cases
    )
    done = subprocess.run([NODE, folder / "validate.mjs"], input=lines, capture_output=True, timeout=60, check=True)
    return [orjson.loads(line) for line in done.stdout.splitlines()]


def _listed(said: str, query: str) -> Stricter | None:
    return next((one for one in LIST if one.said == said and re.search(one.seen, query)), None)


def test_s05_s12_whatever_our_parser_takes_theirs_takes_and_each_difference_is_listed(tmp_path: Path) -> None:
    queries = dict.fromkeys((*_product(), *_edited()))
    cases = [(advertised, query) for query in queries for advertised in (True, False)]
    theirs = _theirs(tmp_path, cases)
    assert len(theirs) == len(cases) > 2000
    seen: Counter[Stricter] = Counter()
    unlisted: list[str] = []
    for (advertised, query), told in zip(cases, theirs, strict=True):
        kind, value = _ours(query, advertised=advertised)
        if kind == "refused" and "refused" not in told:
            difference = _listed(value, query)
            if difference is None:
                unlisted.append(f"{value}: {query[:200]}")
            else:
                seen[difference] += 1
        elif kind == "code":
            assert told.get("code") == value, f"ours takes it, theirs says {told}: {query[:300]}"
        elif kind == "error":
            assert "error" in told, f"ours takes it for a refusal, theirs says {told}: {query[:300]}"
    assert unlisted == [], "ours alone refuses these, and no line of the list says why"
    assert [one for one in LIST if not seen[one]] == [], "nothing shows these differences any more"
    taken = sum(1 for told in theirs if "refused" not in told)
    print(f"{len(cases)} answers: theirs takes {taken}, ours {taken - seen.total()}")
    for one, times in seen.most_common():
        print(f"{times:6} {one.said}: {one.why}")
