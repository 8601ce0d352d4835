"""The words in every language: the same texts and names in braces, nothing left in English. And who gets which."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest
import yaml

from schemas.reasons import Reason
from service.texts.catalogue import GENERAL, Texts, texts
from service.texts.language import ENGLISH, FILES, LANGUAGES, Language, chosen, preferred

OTHERS = [language for language in LANGUAGES if language != ENGLISH]
ALIKE = {"name", "direction", "full_stop", "at_provider", "start.company", "mail.line"}
"""What may be the same as in English, or is a language's own."""

every_language = pytest.mark.parametrize("language", LANGUAGES)
every_other_language = pytest.mark.parametrize("language", OTHERS)


def all_texts(language: Language) -> dict[str, str]:
    """Every text of a language as it stands in its file, with the words of the reasons."""
    found = dict(texts(language).unfilled)
    for reason in Reason:
        said = texts(language).reason_unfilled(reason)
        found |= {f"reasons.{reason}.{part}": getattr(said, part) for part in ("title", "words", "next")}
        then = dict(zip(("second", "third"), said.then, strict=False))
        found |= {f"afterwards.{reason}.{part}": text for part, text in {"takes": said.takes, **then}.items()}
    return found


def names_in(text: str) -> set[str]:
    """The names in braces: one for the forms of the provider's, without what an account is called.

    That word is put into a sentence only where the language needs neither its gender nor its case.
    """
    forms = {"at_provider": "provider"}
    return {forms.get(name, name) for name in re.findall(r"{(\w+)}", text)} - {"company", "Company"}


def test_the_window_speaks_six_languages() -> None:
    assert LANGUAGES == ("ar", "de", "en", "es", "fr", "ja")


@every_other_language
def test_every_language_has_the_same_texts(language: Language) -> None:
    assert all_texts(language).keys() == all_texts(ENGLISH).keys()


@every_language
def test_english_words_of_reasons_stand_in_the_catalogue_and_all_others_in_their_file(language: Language) -> None:
    for section in ("reasons.", "afterwards."):
        told = {key.split(".")[1] for key in texts(language).unfilled if key.startswith(section)}
        assert told == (set() if language == ENGLISH else {reason.value for reason in Reason})


def keys_written(node: yaml.Node, place: str = "") -> Iterator[str]:
    """Each key as it stands in the file: YAML itself takes the last of two that are alike, and says nothing."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{place}{key.value}"
            yield from keys_written(value, f"{place}{key.value}.")


@every_language
def test_no_text_stands_twice(language: Language) -> None:
    keys = Counter(keys_written(yaml.compose((FILES / f"{language}.yaml").read_text("utf-8"))))
    assert [key for key, times in keys.items() if times > 1] == []


@every_other_language
def test_every_text_leaves_open_what_the_english_one_does(language: Language) -> None:
    english = all_texts(ENGLISH)
    wrong = {key: text for key, text in all_texts(language).items() if names_in(text) != names_in(english[key])}
    assert wrong == {}


@every_other_language
def test_nothing_is_left_in_english(language: Language) -> None:
    english = all_texts(ENGLISH)
    left = {key: text for key, text in all_texts(language).items() if text == english[key]}
    assert left.keys() <= ALIKE


SCRIPTS = {"ar": r"[\u0600-\u06ff]", "ja": r"[\u3040-\u30ff\u4e00-\u9fff]"}


@pytest.mark.parametrize("language", SCRIPTS)
def test_texts_are_in_the_languages_own_script(language: Language) -> None:
    bare = {key: re.sub(r"{\w+}", "", text) for key, text in all_texts(language).items()}
    foreign = {key: text for key, text in bare.items() if not re.search(SCRIPTS[language], text)}
    assert foreign.keys() <= ALIKE


@every_language
def test_arabic_alone_is_written_from_right_to_left(language: Language) -> None:
    assert texts(language).right_to_left == (language == "ar")


@every_language
@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_whole_in_general_words(language: Language, reason: Reason) -> None:
    said = texts(language).reason_in_general(reason)
    for text in (said.title, said.words, said.takes, *said.steps):
        assert text and not re.search(r"[{}]", text)
        assert text[0].upper() == text[0]


def test_german_speaks_of_the_provider_in_the_case_that_the_sentence_needs() -> None:
    said = texts(Language("de"))
    assert (
        "bei QuickBooks"
        in said.reason(Reason.NEVER_CONNECTED, provider="QuickBooks", admin="Admin", account="Acme").words
    )
    assert "beim Anbieter" in said.reason_in_general(Reason.NEVER_CONNECTED).words


@every_language
def test_what_the_api_leaves_open_are_the_names_that_it_documents(language: Language) -> None:
    for reason in Reason:
        said = texts(language).reason_unfilled(reason)
        named = set(re.findall(r"{(\w+)}", f"{said.title}{said.words}{said.takes}{said.steps}"))
        assert named <= set(GENERAL) - {"at_provider"}


# Outside names among ours.


def test_s22_an_outside_name_is_isolated_where_it_is_written_the_other_way() -> None:
    arabic = "شركة السلام (1)"
    assert texts(Language("ar")).say("back", host="Acme Ltd. (2)") == "العودة إلى \u2068Acme Ltd. (2)\u2069"
    assert texts(ENGLISH).say("back", host=arabic) == f"Back to \u2068{arabic}\u2069"
    assert texts(ENGLISH).say("back", host="Acme") == "Back to Acme"


def test_s22_an_outside_name_can_t_end_its_isolation() -> None:
    assert texts(ENGLISH).say("back", host="\u2069\u202eشركة\u2069") == "Back to \u2068شركة\u2069"


# Who gets which.


@pytest.mark.parametrize(
    ("accept_language", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT", "de"),
        ("DE-at, en", "de"),
        ("ja-JP-u-ca-japanese", "ja"),
        ("nl, fr;q=0.8, en;q=0.9", "en"),
        ("fr;q=0.8, es;q=0.80, en;q=0.1", "fr"),
        ("pt-BR, *;q=0.5", "en"),
        ("*", "en"),
        ("de;q=0.3, *;q=0.5", "en"),
        ("en;q=0, *, ar;q=0.1", "ar"),
        ("de;q=0", "en"),
        ("de;q=1.001, ar;q=0.2", "ar"),
        ("de;level=1, fr;q=0.5", "fr"),
        ("zz-ZZ", "en"),
        ("en-", "en"),
        (",;=,q=1,\x00,de", "de"),
        (f"{'x' * 3000}, de", "en"),
        (f"{'nl,' * 300} ja", "ja"),
        ("de_AT", "en"),
    ],
)
def test_a_browser_gets_the_language_that_it_prefers_among_ours(accept_language: str, language: str) -> None:
    assert preferred(accept_language) == language


@pytest.mark.parametrize(("tag", "language"), [("ar", "ar"), ("de-CH", "de"), ("FR", "fr"), ("nl", None), ("", None)])
def test_a_language_that_has_no_file_can_t_be_chosen(tag: str, language: str | None) -> None:
    assert chosen(tag) == language


def test_a_language_without_a_file_has_no_texts() -> None:
    with pytest.raises(FileNotFoundError):
        Texts(Language("nl"))
