"""What a file of tests changes in the code it tests, it puts back: else another fails, on some workers, some days."""

import sys
from types import ModuleType

OURS = ("service", "schemas", "statemachine", "regrant_client")

Names = dict[str, dict[str, object]]


def names_of_ours() -> Names:
    """What each loaded module of ours calls what: constants, functions, classes."""
    loaded = [(name, module) for name, module in sys.modules.items() if name.partition(".")[0] in OURS]
    return {name: _public(module) for name, module in loaded}


def left_behind(before: Names, after: Names) -> list[str]:
    """The names that mean something else now."""
    return [
        f"{module}.{name}"
        for module, names in before.items()
        for name, value in names.items()
        if after.get(module, names).get(name) is not value
    ]


def _public(module: ModuleType) -> dict[str, object]:
    return {name: value for name, value in vars(module).items() if not name.startswith("__")}
