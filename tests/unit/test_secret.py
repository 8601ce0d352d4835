"""A secret shows itself to nobody but to who asks for it by name."""

import copy
import json
import pickle
from collections.abc import Callable

import pytest
from pydantic import BaseModel

from schemas.secret import REDACTED, Secret

VALUE = "correct-horse-battery"
SECRET = Secret(VALUE)


class Model(BaseModel):
    token: Secret


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{:>40}".format,
        lambda s: f"{s!r:.200}",
        lambda s: str([s]),
        lambda s: str(ValueError(s)),
        lambda s: repr(Model(token=s)),
        lambda s: Model(token=s).model_dump_json(),
        lambda s: str(Model(token=s).model_dump()),
    ],
)
def test_s26_whatever_shows_a_secret_shows_it_redacted(show: Callable[[Secret], str]) -> None:
    shown = show(SECRET)
    assert VALUE not in shown
    assert REDACTED in shown


def test_s26_a_secret_is_neither_pickled_nor_encoded() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(SECRET)
    with pytest.raises(TypeError):
        json.dumps({"a": SECRET})
    assert copy.deepcopy(SECRET) is SECRET


def test_a_secret_is_made_from_text_and_given_away_by_name_only() -> None:
    assert Model.model_validate({"token": VALUE}).token.reveal() == VALUE
    assert Secret(VALUE) == SECRET != Secret("other")
    with pytest.raises(TypeError):
        hash(SECRET)
    with pytest.raises(AttributeError):
        SECRET._value = "x"  # type: ignore[misc]
