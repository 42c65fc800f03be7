"""A filter and an order, as SQL over the tables of the cache. Every value is a parameter of the statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from gitops_registry.errors import RegistryError
from gitops_registry.query import Compare, Every, Field, Filter, Opposite, Order, Some, Value

_COLUMNS = {
    "name": "m.name", "title": "m.title", "number": "v.number", "stage": "v.stage", "release": "v.release", "task": "v.task",
    "type": "v.type", "framework": "v.framework", "framework_version": "v.framework_version", "created": "v.created",
    "description": "COALESCE(NULLIF(v.description, ''), m.description)", "author": "v.author",
}  # fmt: skip
_NUMERIC = frozenset({"number", "created", "metrics"})
_TABLES = {"metrics": "metric", "params": "param"}
_DAY = timedelta(days=1)


class Sql(NamedTuple):
    """A piece of a statement with the values of its question marks."""

    text: str
    values: tuple[str | float, ...] = ()


def where(found: Filter) -> Sql:
    """Return the condition that a filter is. Raises RegistryError where a value does not fit its field."""
    if isinstance(found, Compare):
        return _comparison(found)
    if isinstance(found, Opposite):
        part = where(found.part)
        return Sql(f"NOT COALESCE({part.text}, 0)", part.values)
    parts = [where(part) for part in found.parts]
    word, nothing = (" AND ", "1") if isinstance(found, Every) else (" OR ", "0")
    assert isinstance(found, Every | Some)
    text = word.join(f"({part.text})" for part in parts) or nothing
    return Sql(text, tuple(value for part in parts for value in part.values))


def order(wanted: Sequence[Order], *, of_models: bool) -> Sql:
    """Return what rows are sorted by: what is wanted, then name and number; what lacks it comes last.

    `of_models`: rows are models with all their versions, and the best of them counts.
    """
    terms: list[str] = []
    values: list[str | float] = []
    for one in wanted:
        for term in _terms(one.field):
            best = ("max" if one.is_descending else "min") + f"({term.text})" if of_models else term.text
            terms += [f"{best} IS NULL", best + (" DESC" if one.is_descending else "")]
            values += term.values * 2
    return Sql(", ".join([*terms, "m.name", *([] if of_models else ["v.number"])]), tuple(values))


def _terms(field: Field) -> list[Sql]:
    if field.name == "metrics":
        return [Sql("(SELECT value FROM metric WHERE document = v.document AND name = ?)", (field.key,))]
    if field.name == "params":
        table = "FROM param WHERE document = v.document AND name = ?"
        return [Sql(f"(SELECT {column} {table})", (field.key,)) for column in ("number", "text")]
    if field.name == "tags":
        own = "SELECT text FROM tag WHERE document = {} AND name = ?"
        return [Sql(f"COALESCE(({own.format('v.card')}), ({own.format('m.document')}))", (field.key, field.key))]
    if field.name not in _COLUMNS:
        raise RegistryError(
            f"nothing is sorted by {field.name}: there may be several", hint="sort by metrics.NAME or created"
        )
    return [Sql(_COLUMNS[field.name])]


def _comparison(compare: Compare) -> Sql:
    name = compare.field.name
    if name == "tags":
        return _tag(compare)
    if name in _TABLES:
        return _keyed(compare)
    if name == "alias":
        return _among("SELECT 1 FROM alias a WHERE a.model = v.model AND a.number = v.number", "a.alias", compare)
    if name == "owner":
        return _among("SELECT 1 FROM json_each(m.owners) o WHERE 1", "o.value", compare)
    if name == "created" and compare.operator != "null":
        return _created(compare)
    if name == "author" and compare.operator != "null":
        either = [_test(column, compare) for column in ("v.author", "v.email")]
        joined = " AND " if compare.operator == "!=" else " OR "
        return Sql(f"({joined.join(part.text for part in either)})", either[0].values + either[1].values)
    column = _COLUMNS[name]
    if compare.operator == "null":
        return Sql(f"NULLIF({column}, '') IS NULL")
    return _test(column, compare)


def _test(column: str, compare: Compare) -> Sql:
    """Return whether a column is as a comparison wants it."""
    operator = compare.operator
    is_numeric = compare.field.name in _NUMERIC
    if is_numeric and operator in {"like", "ilike"}:
        raise RegistryError(f"{_told(compare.field)} is a number, and has no pattern", hint="compare it: >= 0.9")
    values: tuple[str | float, ...] = tuple(
        _number(value, compare.field) if is_numeric else value.text for value in compare.values
    )
    if operator == "in":
        return Sql(f"{column} IN ({', '.join('?' * len(values))})", values)
    if operator == "like":
        pattern = str(values[0]).replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")
        return Sql(f"{column} GLOB ?", (pattern.replace("%", "*").replace("_", "?"),))
    if operator == "ilike":
        return Sql(f"{column} LIKE ?", values)
    return Sql(f"{column} {operator} ?", values)


def _keyed(compare: Compare) -> Sql:
    table, key = _TABLES[compare.field.name], compare.field.key
    inner = f"v.document IN (SELECT document FROM {table} WHERE name = ?"
    if compare.operator == "null":
        return Sql(f"NOT {inner})", (key,))
    column = "value"
    if table == "param":
        is_ordered = compare.operator not in {"=", "!=", "in", "like", "ilike"}
        column = "number" if is_ordered or all(map(_is_number, compare.values)) else "text"
    field = Field("metrics", key) if column == "number" else compare.field
    test = _test(column, Compare(field, compare.operator, compare.values))
    return Sql(f"{inner} AND {test.text})", (key, *test.values))


def _tag(compare: Compare) -> Sql:
    """A version has its own tags and those of its model that it has not itself."""
    key = compare.field.key
    own = "EXISTS (SELECT 1 FROM tag WHERE document = v.card AND name = ?)"
    if compare.operator == "null":
        return Sql(f"NOT {own} AND NOT EXISTS (SELECT 1 FROM tag WHERE document = m.document AND name = ?)", (key, key))
    test = _test("text", compare)
    inner = f"IN (SELECT document FROM tag WHERE name = ? AND {test.text})"
    values = (key, *test.values)
    return Sql(f"(v.card {inner} OR (NOT {own} AND m.document {inner}))", (*values, key, *values))


def _among(select: str, column: str, compare: Compare) -> Sql:
    """A field that has any number of values: one of them is as wanted (for `!=`: it is there and none is)."""
    if compare.operator == "null":
        return Sql(f"NOT EXISTS ({select})")
    if compare.operator == "!=":
        test = _test(column, Compare(compare.field, "=", compare.values))
        return Sql(f"NOT EXISTS ({select} AND {test.text})", test.values)
    test = _test(column, compare)
    return Sql(f"EXISTS ({select} AND {test.text})", test.values)


def _created(compare: Compare) -> Sql:
    """A day means all of it: `created = 2026-11-22` from midnight to midnight, in UTC."""
    if compare.operator in {"like", "ilike"}:
        raise RegistryError("created is a time, and has no pattern", hint="write created >= 2026-11-01")
    parts = []
    for value in compare.values:
        start, end = _span(value)
        parts.append(
            {
                "<": (f"v.created < {start}"), "<=": f"v.created < {end}", ">": f"v.created >= {end}", ">=": f"v.created >= {start}",
                "!=": f"(v.created < {start} OR v.created >= {end})",
            }.get(compare.operator, f"(v.created >= {start} AND v.created < {end})")
        )  # fmt: skip
    return Sql(f"({' OR '.join(parts)})")


def _span(value: Value) -> tuple[str, str]:
    """Return the first second of a day or a moment, and the first after it."""
    text = value.text
    try:
        start = datetime.fromisoformat(text)
        is_day = "T" not in text and " " not in text
        start = start if start.tzinfo else start.replace(tzinfo=UTC)
        end = start + (_DAY if is_day else timedelta(seconds=0 if start.microsecond else 1))
        return repr(start.timestamp()), repr(max(end.timestamp(), start.timestamp() + 1e-6))
    except (ValueError, OverflowError, OSError) as error:
        raise RegistryError(
            f"{text!r} is no date", hint="write created >= 2026-11-01, or '2026-11-01T12:00:00Z'"
        ) from error


def _number(value: Value, field: Field) -> float:
    try:
        return float(value.text)
    except ValueError as error:
        raise RegistryError(
            f"{_told(field)} is compared with {value.text!r}, which is no number", hint="write it like: 0.9"
        ) from error


def _is_number(value: Value) -> bool:
    try:
        return not value.is_quoted and bool(float(value.text) or True)
    except ValueError:
        return False


def _told(field: Field) -> str:
    return f"{field.name}.{field.key}" if field.key else field.name
