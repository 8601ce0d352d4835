"""Values for Hypothesis from the OpenAPI document's schemas: those that fit, those that almost fit, and none at all."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from hypothesis import strategies as st

JSON: TypeAlias = Any  # what JSON can hold
Values: TypeAlias = "st.SearchStrategy[JSON]"

# What parsers and databases trip over.
NASTY_TEXT = st.sampled_from(
    [
        *(
            "",
            " ",
            "\0",
            "a\0b",
            "\r\nX-Evil: 1",
            "\u202eevil",
            "\ufffe",
            "\U0010ffff",
            "\x7f",
            "'; drop table connector--",
        ),
        *("../../etc/passwd", "%00", "%2e%2e%2f", "{{7*7}}", "<script>", "null", "-1", "٣", "²", "1e9", "NaN"),
        *("a" * 300, "é" * 5000),
    ]
)
ANY_TEXT = st.one_of(NASTY_TEXT, st.text(max_size=40))
SCALARS: Values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1.5, 1e308, -0.0]),
    ANY_TEXT,
)
ANYTHING: Values = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3), max_leaves=6
)


def fitting(schema: Mapping[str, JSON], document: Mapping[str, JSON]) -> Values:
    """Values that a schema allows."""
    if "$ref" in schema:
        return fitting(resolved(schema["$ref"], document), document)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of(*(fitting(one, document) for one in schema["anyOf"]))
    match schema.get("type"):
        case "object":
            return _objects(schema, document)
        case "string":
            return _texts(schema)
        case "integer":
            return st.integers(schema.get("minimum", -100), schema.get("maximum", 10_000))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            return st.lists(fitting(schema["items"], document), max_size=3)
    raise NotImplementedError(f"say here how to make {schema}")


def almost(schema: Mapping[str, JSON], document: Mapping[str, JSON]) -> Values:
    """Objects in which one thing is wrong: a field of any kind, one too many, one too few."""
    fits = fitting(schema, document)
    names = sorted(resolved(schema["$ref"], document).get("properties", {})) if "$ref" in schema else ["a"]
    changed = st.tuples(fits, st.sampled_from(names), ANYTHING).map(lambda t: {**t[0], t[1]: t[2]})
    more = st.tuples(fits, ANY_TEXT, ANYTHING).map(lambda t: {**t[0], t[1]: t[2]})
    fewer = st.tuples(fits, st.sampled_from(names)).map(lambda t: {k: v for k, v in t[0].items() if k != t[1]})
    return st.one_of(changed, more, fewer)


def resolved(reference: str, document: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """What a `$ref` within the document names."""
    found: Mapping[str, JSON] = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def _objects(schema: Mapping[str, JSON], document: Mapping[str, JSON]) -> Values:
    fields = {name: fitting(one, document) for name, one in schema.get("properties", {}).items()}
    required = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: one for name, one in fields.items() if name in required},
        optional={name: one for name, one in fields.items() if name not in required},
    )


def _texts(schema: Mapping[str, JSON]) -> Values:
    if schema.get("format") == "uuid":
        return st.uuids().map(str)
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", 60)
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True).map(lambda text: text[:longest])
    return st.text(min_size=shortest, max_size=min(longest, shortest + 40))
