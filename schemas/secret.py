"""The one type that secrets travel in: tokens, codes, verifiers, client secrets, addresses with passwords.

Whatever prints, formats, encodes or copies it gets `[redacted]` or an error; only `reveal` gives the value away, so
that every place where a secret leaves our hands can be found by that word.
"""

import hmac
from typing import Any, NoReturn

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

REDACTED = "[redacted]"


class Secret:
    """A secret string. Equal to another by value, compared in constant time; not hashable, since a hash would tell."""

    __slots__ = ("_value",)
    _value: str
    __hash__ = None  # type: ignore[assignment]  # on purpose: no set or dictionary of secrets

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret doesn't change")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __str__(self) -> str:
        return REDACTED

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"

    def __format__(self, spec: str) -> str:
        return format(REDACTED, spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret isn't pickled or copied")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # Any: pydantic's
        from_text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_text]),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda secret: REDACTED),
        )
