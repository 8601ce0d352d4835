"""The pages of the reasons and of the problems, as Markdown, made from their catalogues.

`python -m service.help.catalogues` writes `docs/reasons.md` and `docs/problems.md`, which hold all of them; `--check`
compares. Each one's own page says the same.
"""

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from schemas.made import Made, run
from schemas.problems import PROBLEMS, ProblemCode
from schemas.reasons import CATALOGUE, Reason
from service.oauth.description import Description, read_descriptions
from service.oauth.description_file import Rule
from service.texts.catalogue import texts
from service.texts.language import ENGLISH, Language

_DOCS = Path(__file__).parents[2] / "docs"
_MADE = "<!-- Made from schemas/{} by `python -m service.help.catalogues`: change the catalogue instead. -->"


def reason_page(reason: Reason, language: Language = ENGLISH) -> str:
    """The page of one reason, in general words. What providers answer is told in English alone: it is for support."""
    title, all_of_them = texts(language).reason_in_general(reason).title, texts(language).say("help.all_reasons")
    lines = [f"# {title}", "", *_reason(reason, language)]
    if language == ENGLISH:
        lines += _evidence(reason)
    return "\n".join([*lines, "", f"[{all_of_them}](../reasons.md)", ""])


def problem_page(code: ProblemCode) -> str:
    """The page of one problem of the API, where its `type` leads: for the host's developers."""
    lines = [f"# {code.entry.title}", "", *_problem(code), "", "[All problems](../problems.md)", ""]
    return "\n".join(lines)


def _reason(reason: Reason, language: Language = ENGLISH) -> Iterator[str]:
    say, said = texts(language).say, texts(language).reason_in_general(reason)
    yield said.words
    yield ""
    yield f"**{say('help.who_acts')}:** {say(f'help.who.{reason.remedy}')}"
    yield ""
    yield f"**{say('help.takes')}:** {said.takes}"
    yield ""
    yield f"**{say('help.next')}:**"
    yield ""
    for number, step in enumerate(said.steps, 1):
        yield f"{number}. {step}"


def _evidence(reason: Reason) -> Iterator[str]:
    yield ""
    yield f"Its code is `{reason}`; the cause lies with: {_ORIGINS[reason.origin]}."
    if told := list(_told_by(reason)):
        yield ""
        yield "**What leads to it:**"
        yield ""
        yield from told


_ORIGINS = {
    "owner": "the owner of the connected company",
    "provider": "the provider",
    "host": "the platform, or its sync engine",
    "regrant": "this service",
}


@cache
def _descriptions() -> list[Description]:
    return [description for _, description in sorted(read_descriptions(()).items())]


def _told_by(reason: Reason) -> Iterator[str]:
    """For each provider of the catalogue what it answers when this is the reason."""
    for description in _descriptions():
        answers = [_answer(rule) for rule in description.errors if rule.reason is reason]
        if answers:
            yield f"- {description.words.title}: {'; or '.join(answers)}."


def _answer(rule: Rule) -> str:
    parts = [f"error code {_list(rule.code)}"] if rule.code else []
    parts += [_list(rule.error)] if rule.error else []
    parts += [f"status {_list(rule.status)}"] if rule.status else []
    return f"{' with '.join(parts)} from its {'token endpoint' if rule.at == 'token' else 'API'}"


def _list(values: Sequence[object]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _problem(code: ProblemCode) -> Iterator[str]:
    entry = code.entry
    yield f"The API answers with this problem (`{code}`) and status {entry.status}."
    yield ""
    yield "**Who acts:** The developers of the program that called."
    yield ""
    yield f"**What to do:** {entry.action}"
    yield ""
    again = "may succeed later" if entry.retryable else "fails again until something is changed"
    yield f"The very same request {again}."


# The two pages of `docs/`.


def reasons() -> str:
    """The whole of `docs/reasons.md`."""
    lines = [
        _MADE.format("reasons.py"),
        "# Reasons",
        "",
        "Why a connector stopped, or how an attempt ended: what happened, who acts, how long it takes, and what to do.",
        "The same words stand in the window, in the records, in the API's answers and on the page of each reason,",
        "`/help/reasons/{code}`.",
        "",
    ]
    for reason in CATALOGUE:
        title = texts(ENGLISH).reason_in_general(reason).title
        lines += [f"## {title} (`{reason}`)", "", *_reason(reason), *_evidence(reason), ""]
    return "\n".join(lines)


def problems() -> str:
    """The whole of `docs/problems.md`."""
    lines = [
        _MADE.format("problems.py"),
        "# Problems of the API",
        "",
        "What the HTTP API answers with when it doesn't do what was asked (RFC 9457, `application/problem+json`). The",
        "`type` of each leads to its page, `/help/problems/{code}`; programs tell them apart by `code`.",
        "",
    ]
    for code in PROBLEMS:
        lines += [f"## {code.entry.title} (`{code}`)", "", *_problem(code), ""]
    return "\n".join(lines)


def files() -> Made:
    """What the files should hold."""
    return {_DOCS / "reasons.md": reasons(), _DOCS / "problems.md": problems()}


if __name__ == "__main__":
    sys.exit(run("service.help.catalogues", files(), sys.argv[1:]))
