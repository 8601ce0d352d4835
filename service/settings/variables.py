"""The variables that the model of the settings has: their names, and what the docs say of each."""

import ast
import inspect
import textwrap
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from schemas.secret import Secret
from service.settings.model import Settings
from statemachine.connector import Rules

PREFIX = "REGRANT_"
ANY = "<"
"""What the name of a placeholder begins with: `<PROVIDER>` stands for any provider's id, `<WEBHOOK>` for any name."""
FILE = "_file"
"""Behind the name of a secret: the path of a file that holds it."""

_ISO_8601 = TypeAdapter(timedelta)


def variable_name(path: Sequence[str]) -> str:
    """The variable of the setting at `path`: `("kafka", "bootstrap")` is `REGRANT_KAFKA__BOOTSTRAP`."""
    return PREFIX + "__".join(part.upper().replace("-", "_") for part in path)


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting."""

    path: tuple[str, ...]
    """Where it stands in the model, with a placeholder for what the deployment names."""
    required: bool
    default: str
    """As it would be written in a variable; empty for none."""
    kind: str
    """What may be written, in a word or two."""
    sentence: str
    example: str
    secret: bool

    @property
    def name(self) -> str:
        return variable_name(self.path)


@cache
def variables() -> tuple[Variable, ...]:
    """Every setting, in the model's order."""
    return tuple(_of_model(Settings, ()))


def _of_model(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Variable]:
    for name, field in model.model_fields.items():
        inner = _inner(field.annotation)
        here = (*path, name)
        if get_origin(inner) is dict and _is_a(BaseModel, get_args(inner)[1]):
            yield from _of_model(get_args(inner)[1], (*here, f"{ANY}{name.removesuffix('s').upper()}>"))
        elif _is_a(BaseModel, inner):
            yield from _of_model(inner, here)
        elif inner is Rules:
            yield from _of_dataclass(inner, here)
        else:
            yield _of_field(field, inner, here)


def _of_field(field: FieldInfo, inner: Any, path: tuple[str, ...]) -> Variable:  # Any: a type or a type form
    default = "" if field.is_required() else written(field.get_default(call_default_factory=True))
    return Variable(
        path=path,
        required=field.is_required(),
        default=default,
        kind=_kind(inner),
        sentence=_one_line(field.description or ""),
        example=str((field.examples or [default])[0]),
        secret=inner is Secret,
    )


def _of_dataclass(of: type[Rules], path: tuple[str, ...]) -> Iterator[Variable]:
    sentences = _sentences(of)
    for field in fields(of):
        value = getattr(of(), field.name)
        default = written(value)
        yield Variable(
            path=(*path, field.name),
            required=False,
            default=default,
            kind=_kind(type(value)),
            sentence=sentences.get(field.name, ""),
            example=default,
            secret=False,
        )


def _sentences(of: type) -> dict[str, str]:
    """The docstrings below a dataclass's fields."""
    (defined,) = ast.parse(textwrap.dedent(inspect.getsource(of))).body
    assert isinstance(defined, ast.ClassDef)
    found = {}
    for field, below in zip(defined.body, defined.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            found[field.target.id] = _one_line(str(ast.literal_eval(below.value)))
    return found


def _inner(annotation: Any) -> Any:  # Any: type forms have no common type
    """What is left of a type without `None` and without what pydantic is told about it."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = (one for one in get_args(annotation) if one is not type(None))
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _is_a(base: type, of: Any) -> bool:  # Any: a type or a type form
    return inspect.isclass(of) and issubclass(of, base)


_KINDS = {bool: "true or false", int: "number", timedelta: "duration", tuple: "list", dict: "JSON", str: "text"}


def _kind(of: Any) -> str:  # Any: a type or a type form
    if get_origin(of) is Literal:
        return ", ".join(get_args(of))
    if of is Secret:
        return "secret"
    plain = get_origin(of) or of
    return _KINDS.get(plain, "path" if _is_a(Path, plain) else "text")


def written(value: object) -> str:
    """A value as one writes it in a variable. Never a secret's."""
    match value:
        case None:
            return ""
        case Secret():
            return "(set)"
        case bool():
            return str(value).lower()
        case timedelta():
            return str(_ISO_8601.dump_python(value, mode="json"))
        case tuple():
            return ",".join(written(one) for one in value)
        case dict():
            return TypeAdapter(dict[str, str]).dump_json(value).decode() if value else ""
        case _:
            return str(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())
