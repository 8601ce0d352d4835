"""From the environment and a file to `Settings`, or to one line: which variable is wrong, and how to mend it."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource

from service.settings.model import Settings
from service.settings.variables import ANY, FILE, PREFIX, Variable, variable_name, variables

CONFIG = "REGRANT_CONFIG"
"""Names the settings file."""

_OF_THE_TESTS = "REGRANT_TEST_"

Tree: TypeAlias = dict[str, Any]  # Any: what YAML can hold, not validated yet


class SettingsError(Exception):
    """A setting is missing or wrong. The text is one line for the operator, and holds no secret."""


def load(environ: Mapping[str, str] = os.environ, config: Path | None = None) -> Settings:
    """The settings: variables go before the file at `config` (or `REGRANT_CONFIG`), which goes before the defaults.

    Raises `SettingsError`.
    """
    path = config or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    from_file = _read_file(path) if path else {}
    from_environment = _read_environment(environ)
    for layer in (from_file, from_environment):
        _read_secrets(layer)
    given = _laid_over(_laid_over(_empty_sections(), from_file), from_environment)
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(_one_line(error.errors(include_url=False, include_input=False), path, from_file)) from None


# The sources.


class _Environment(EnvSettingsSource):
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items()}


def _read_environment(environ: Mapping[str, str]) -> Tree:
    for name in environ:
        if name.upper().startswith(PREFIX) and name != CONFIG and not name.startswith(_OF_THE_TESTS):
            _check_name(name)
    return _with_names(_Environment(environ)())


def _check_name(name: str) -> None:
    path = name.upper().removeprefix(PREFIX).lower().split("__")
    if _variable_at(path) is not None:
        return
    if re.search(r"_(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP)\w*)?)$", name):
        raise SettingsError(
            f"{name} isn't a setting: if Kubernetes made it for a Service, set `enableServiceLinks: false` in the pod"
        )
    known = [name_ for v in variables() for name_ in (v.name, v.name + FILE.upper())[: 1 + v.secret]]
    raise SettingsError(f"{name} isn't a setting: {_hint(name.upper(), known, PREFIX)}")


def _hint(name: str, known: Sequence[str], prefix: str = "") -> str:
    tails = [one.removeprefix(prefix) for one in known]
    close = difflib.get_close_matches(name.removeprefix(prefix), tails, n=1, cutoff=0.7)
    return f"did you mean {prefix}{close[0]}?" if close else "`regrant settings --names` lists all there are"


def _read_file(path: Path) -> Tree:
    try:
        text = path.read_text()
        read = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except OSError as error:
        raise SettingsError(f"{CONFIG} is wrong: {path} can't be read ({error.strerror})") from None
    except (ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"{CONFIG} is wrong: {path} isn't {_where(path, error)}") from None
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise SettingsError(f"{CONFIG} is wrong: {path} must hold sections like `kafka:`")
    tree = _with_names(read)
    for leaf, value in _leaves(tree, ()):
        _check_leaf(leaf, value, path)
    return tree


def _where(path: Path, error: Exception) -> str:
    """Which language the file should be in, and on which line it isn't; the line's text may be a secret."""
    if path.suffix == ".toml":
        line = re.search(r"at line \d+, column \d+", str(error))
        return f"TOML ({line[0]})" if line else "TOML"
    mark = getattr(error, "problem_mark", None)
    return f"YAML (at line {mark.line + 1}, column {mark.column + 1})" if mark else "YAML"


def _check_leaf(leaf: Sequence[str], value: object, path: Path) -> None:
    name, known = ".".join(leaf), [".".join(v.path) for v in variables()]
    if _variable_at(leaf) is not None or any(_matches(v.path, leaf[: len(v.path)]) for v in variables()):
        return  # a setting, or a key below one that is an object itself
    if not any(_matches(v.path[: len(leaf)], leaf) for v in variables()):
        raise SettingsError(f"{name} in {path} isn't a setting: {_hint(name, known)}")
    if value not in (None, {}):
        raise SettingsError(f"{name} in {path} is wrong: it is a section, and must hold settings")


def _matches(mine: Sequence[str], theirs: Sequence[str]) -> bool:
    return len(mine) == len(theirs) and all(m == t or m.startswith(ANY) for m, t in zip(mine, theirs, strict=True))


def _leaves(tree: Tree, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, str(name)))
        else:
            yield (*path, str(name)), value


def _variable_at(path: Sequence[str]) -> Variable | None:
    """The variable of that path, be it the value or the file that holds it."""
    for variable in variables():
        if _matches(variable.path, path):
            return variable
        if (
            variable.secret
            and path[-1].endswith(FILE)
            and _matches(variable.path, (*path[:-1], path[-1].removesuffix(FILE)))
        ):
            return variable
    return None


# The layers on top of each other.


def _with_names(tree: Tree) -> Tree:
    """What the deployment names, by those names in both layers, so that a variable meets the file's section."""
    return tree | {
        section: {str(name).replace("_", "-"): value for name, value in named.items()}
        for section in ("providers", "webhooks", "adapters")
        if isinstance(named := tree.get(section), dict)
    }


def _laid_over(below: Tree, above: Tree) -> Tree:
    """Both as one, where `above` wins; what is empty there counts as left out."""
    both = dict(below)
    for name, value in above.items():
        if value is None:
            continue
        under = both.get(name)
        both[name] = _laid_over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return both


def _empty_sections() -> Tree:
    """A section that is left out is told as its missing settings."""
    return {v.path[0]: {} for v in variables() if len(v.path) > 1}


def _read_secrets(tree: Tree) -> None:
    """Puts the content of a `…_file` in the place of its secret."""
    for variable in variables():
        if variable.secret:
            for path, section in _sections(tree, variable.path[:-1], ()):
                _read_secret(section, variable.path[-1], variable_name((*path, variable.path[-1])))


def _sections(tree: Tree, path: Sequence[str], done: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Tree]]:
    if not path:
        yield done, tree
        return
    for name in list(tree) if path[0].startswith(ANY) else [path[0]]:
        if isinstance(below := tree.get(name), dict):
            yield from _sections(below, path[1:], (*done, name))


def _read_secret(section: Tree, key: str, name: str) -> None:
    file = section.pop(key + FILE, None)
    if file is None:
        return
    file_name = name + FILE.upper()
    if key in section:
        raise SettingsError(f"{name} and {file_name} are both set: keep one")
    try:
        section[key] = Path(str(file)).read_text().strip()
    except OSError as error:
        raise SettingsError(f"{file_name} is wrong: {file} can't be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file_name} is wrong: {file} isn't UTF-8 text") from None
    if not section[key]:
        raise SettingsError(f"{file_name} is wrong: {file} is empty")


# What is told.


def _one_line(errors: Sequence[ErrorDetails], path: Path | None, from_file: Tree) -> str:
    """The first error in full, and the names of the others."""
    first, *others = ((_path(error), error) for error in errors)
    text = _told(*first, path, from_file)
    also = list(dict.fromkeys(variable_name(other) for other, _ in others if other != first[0]))
    return f"{text} (and look at {', '.join(also)})" if also else text


def _path(error: ErrorDetails) -> tuple[str, ...]:
    """The setting that an error is about. Positions in a list aren't part of it."""
    loc = tuple(str(part) for part in error["loc"] if isinstance(part, str) and part != "[key]")
    return (*loc, *error.get("ctx", {}).get("path", ()))


def _told(at: tuple[str, ...], error: ErrorDetails, path: Path | None, from_file: Tree) -> str:
    variable = next((v for n in range(len(at), 0, -1) for v in variables() if _matches(v.path, at[:n])), None)
    name = variable_name(at if variable is None else at[: len(variable.path)])
    example = f"; for example {name}={variable.example}" if variable and variable.example else ""
    if error["type"] == "missing" and variable:
        or_file = f" (or {name}{FILE.upper()})" if variable.secret else ""
        return f"{name}{or_file} is missing: {variable.sentence.rstrip('.')}{example}"
    message = re.sub(r"^[A-Z](?=[a-z])", lambda first: first[0].lower(), error["msg"])
    where = f" in {path}" if path and _is_in(from_file, at) else ""
    return f"{name}{where} is wrong: {message}{example}"


def _is_in(tree: Any, path: Sequence[str]) -> bool:  # Any: as in Tree
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True
