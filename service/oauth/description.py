"""The catalogue of providers: reads their descriptions, and says what is wrong with one by file, line and field.

`ProviderConfig` is a description with what a deployment adds: its client, its environment, other addresses for hosts.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import yaml
from pydantic import ValidationError

from schemas.ids import ProviderId
from schemas.secret import Secret
from service.oauth.description_file import Description, Rule

__all__ = ["BadDescription", "Description", "ProviderConfig", "Providers", "Rule", "load_descriptions"]

_BRACES = re.compile(r"\{([a-z_]+)\}")

_Place: TypeAlias = tuple[str | int, ...]
_Node: TypeAlias = Any  # Any: PyYAML's nodes have no types
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's where it was built: ten times as fast


class BadDescription(Exception):
    """A description can't be used: a line each for what is wrong, with the file, the line and the field."""


def load_descriptions(*folders: Path) -> dict[ProviderId, Description]:
    """The descriptions that come with regrant, and those of further folders, by id. Raises `BadDescription`."""
    return read_descriptions([path for folder in folders for path in sorted(folder.glob("*.yaml"))])


def read_descriptions(paths: Iterable[Path]) -> dict[ProviderId, Description]:
    """The descriptions that come with regrant, and those of further files, by id. Raises `BadDescription`."""
    read = [*_own(), *(_File.read(path) for path in paths)]
    by_id = {str(file.told.get("id")): file for file in read}
    found: dict[ProviderId, Description] = {}
    problems: list[str] = []
    for file in read:
        try:
            description = file.description(by_id)
        except BadDescription as error:
            problems.append(str(error))
            continue
        if description.id in found:
            problems.append(f"{file.name}:{file.line(('id',))}: id: {description.id} is taken by another file")
        found[description.id] = description
    if problems:
        raise BadDescription("\n".join(problems))
    return found


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was written, with the line of everything in it."""

    name: str
    told: dict[str, Any]  # Any: what YAML can hold
    lines: Mapping[_Place, int]

    @classmethod
    def read(cls, entry: Traversable) -> "_File":
        try:
            text = entry.read_text("utf-8")
            loader = _Loader(text)
            node = loader.get_single_node()
            told = loader.construct_document(node) if node is not None else None
        except (OSError, UnicodeDecodeError) as error:
            raise BadDescription(f"{entry.name}: can't be read: {error}") from error
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise BadDescription(f"{entry.name}:{line}: not YAML: {error.problem}") from error
        except (yaml.YAMLError, ValueError) as error:
            raise BadDescription(f"{entry.name}: not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(told, dict):
            raise BadDescription(f"{entry.name}:1: a description is a list of keys and values")
        lines: dict[_Place, int] = {}
        for place, line in _lines(node, ()):
            if place in lines:
                raise BadDescription(f"{entry.name}:{line}: {_dotted(place)}: twice, first in line {lines[place]}")
            lines[place] = line
        return cls(entry.name, told, lines)

    def line(self, place: _Place) -> int:
        """The line of a place, or of the nearest that is there around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def description(self, others: Mapping[str, "_File"]) -> Description:
        try:
            return Description.model_validate(self._whole(others, ()))
        except ValidationError as error:
            raise BadDescription("\n".join(self._problems(error))) from error

    def _whole(self, others: Mapping[str, "_File"], above: tuple[str, ...]) -> dict[str, Any]:
        """What the file says, over what the one says that it extends."""
        told = dict(self.told)
        extended = told.pop("extends", None)
        if extended is None:
            return told
        if extended not in others or extended in above:
            why = "extends itself" if extended in above else f"there is no description {extended}"
            raise BadDescription(f"{self.name}:{self.line(('extends',))}: extends: {why}")
        return _over(others[extended]._whole(others, (*above, extended)), told)

    def _problems(self, error: ValidationError) -> Iterator[str]:
        for problem in error.errors(include_url=False):
            place, said = problem["loc"], problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "extra_forbidden":
                said = "there is no such key"
            yield f"{self.name}:{self.line(place)}: {_dotted(place) or 'description'}: {said}"


def _over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`own` over `base`, mapping by mapping; a list or a value is replaced whole."""
    merged = dict(base)
    for key, value in own.items():
        there = merged.get(key)
        merged[key] = _over(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return merged


def _lines(node: _Node, place: _Place) -> Iterator[tuple[_Place, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*place, number), value.start_mark.line + 1
            yield from _lines(value, (*place, number))


def _dotted(place: _Place) -> str:
    return ".".join(str(part) for part in place)


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """A provider as this deployment uses it."""

    description: Description
    client_id: str
    client_secret: Secret = field(repr=False)
    environment: str = "production"
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Other origins in place of the provider's, by host, or by host and the beginning of a path.

    `*.` stands for the one label of a host that is the account's.
    """
    allow_loopback_http: bool = False
    extra_scopes: tuple[str, ...] = ()
    """Asked for beside the description's."""
    custom: bool = False
    """Whether the description is the deployment's own: its hosts must lie in the public internet."""
    accounts_may_repeat: bool = False
    """Whether several connectors of a tenant may be active on one account (S17)."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """Everything that is asked for."""
        return (*self.description.scopes, *self.extra_scopes)

    def address(self, url: str, **values: str) -> str:
        """An address of the description, with the environment's names filled in and the deployment's hosts in place."""
        if "account" in values:
            values = {**values, "account_host": host_label(values["account"])}
        filled = self.filled(url, **values)
        parts = urlsplit(filled)
        exact, any_account = f"{parts.netloc}{parts.path}", f"*.{parts.netloc.partition('.')[2]}{parts.path}"
        for beginning in sorted(self.hosts, key=len, reverse=True):
            place = any_account if beginning.startswith("*.") else exact
            if place == beginning or place.startswith(beginning.rstrip("/") + "/"):
                return filled.replace(f"{parts.scheme}://{parts.netloc}", self.hosts[beginning].rstrip("/"), 1)
        return filled

    def filled(self, text: str, **values: str) -> str:
        """A text of the description with the environment's names, and these values, filled in."""
        known = {**self.description.environments[self.environment], **values}
        return _BRACES.sub(lambda braces: known.get(braces[1], braces[0]), text)


def needs_account(url: str) -> bool:
    """Whether an address can only be made once the account is known."""
    return "{account}" in url or "{account_host}" in url


def host_label(account: str) -> str:
    """An account's id as the one label of a host's name that it is at some providers: `acme` of `acme.example`.

    Nothing but letters, digits and hyphens is left: an account can't lead a token to another host (S18).
    """
    return re.sub(r"[^a-z0-9-]", "", account.lower().partition(".")[0].replace("_", "-"))[:63]


class Providers(Mapping[str, ProviderConfig]):
    """The providers of this deployment, by id."""

    def __init__(self, configs: Mapping[ProviderId, ProviderConfig]) -> None:
        self._configs = dict(configs)

    def __getitem__(self, id_: str) -> ProviderConfig:
        return self._configs[ProviderId(id_)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._configs)

    def __len__(self) -> int:
        return len(self._configs)


@cache
def _own() -> tuple[_File, ...]:
    """Those that come with regrant. They don't change while a process lives."""
    entries = [entry for entry in (files("service.oauth") / "providers").iterdir() if entry.name.endswith(".yaml")]
    return tuple(_File.read(entry) for entry in sorted(entries, key=lambda entry: entry.name))
