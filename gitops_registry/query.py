"""The little language of `search`: comparisons joined by and, or, not.

    metrics.accuracy > 0.9 and tags.domain = 'credit' and not stage in (archived, development)

It is what users of MLflow's filters write, with `or`, `not` and brackets besides. Reading is pure and bounded; what a
field is compared with is kept as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gitops_registry.errors import RegistryError
from gitops_registry.reference import did_you_mean

PLAIN = (
    "name", "number", "stage", "alias", "release", "task", "type", "framework", "framework_version", "author", "created",
    "description", "title", "owner",
)  # fmt: skip
"""Fields without a key."""
KEYED = ("metrics", "params", "tags")
"""Fields with one, such as `metrics.accuracy`; a key with odd signs is quoted: `tags."my key"`."""
_ALIASES = {"model": "name", "version": "number", "aliases": "alias", "model_type": "type", "owners": "owner"}
_OPERATORS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_LONGEST = 4_000
_DEEPEST = 15
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*") | (?P<op><>|!=|<=|>=|==|=|<|>) | (?P<sign>[(),]) |
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.:-]) | (?P<word>[A-Za-z_]+\."(?:[^"]|"")*"|[^\s(),=<>!'"]+)
    )""",
    re.VERBOSE,
)
_EXAMPLE = "write it like: metrics.accuracy > 0.9 and tags.domain = 'credit'"


def _instead(text: str) -> str:
    """Return a hint for a field that there is not: one that is close, or how metrics, parameters and tags are named."""
    hint = did_you_mean(text, (*PLAIN, *(f"{key}." for key in KEYED)))
    if hint.startswith("did you mean") or "." in text:
        return hint
    return f"a metric is metrics.{text}, a parameter params.{text}, a tag tags.{text}; fields are: {', '.join(PLAIN)}"


class Value(NamedTuple):
    """What a field is compared with, as it was written; `is_quoted` where it stood in quotes."""

    text: str
    is_quoted: bool = True


@dataclass(frozen=True)
class Field:
    """What is looked at: `metrics`, `params` or `tags` with a key, or a field without one."""

    name: str
    key: str = ""


@dataclass(frozen=True)
class Compare:
    """One comparison. `operator`: = != < <= > >= like ilike in null; `values` holds one value (several for `in`, none for `null`)."""

    field: Field
    operator: str
    values: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Every:
    """All of the parts hold; true without any."""

    parts: tuple[Filter, ...] = ()


@dataclass(frozen=True)
class Some:
    """One of the parts holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Opposite:
    """The part does not hold."""

    part: Filter


Filter = Compare | Every | Some | Opposite


@dataclass(frozen=True)
class Order:
    """What found versions are sorted by; versions that lack it come last."""

    field: Field
    is_descending: bool = False


def parse_filter(text: str) -> Filter:
    """Return the filter that a text says; an empty one holds for everything. Raises RegistryError with the place."""
    reader = _Reader(text)
    if reader.at_end:
        return Every()
    found = reader.either(0)
    if not reader.at_end:
        raise reader.unexpected("and, or, or the end")
    return found


def parse_order(text: str) -> tuple[Order, ...]:
    """Return what `metrics.accuracy desc, created` sorts by. Raises RegistryError with the place."""
    reader = _Reader(text)
    found: list[Order] = []
    while not reader.at_end:
        if found:
            reader.expect(",")
        field = reader.field()
        word = reader.word("asc", "desc")
        found.append(Order(field, word == "desc"))
    return tuple(found)


class _Reader:
    """Walks the tokens of a text; every error names the character where it stands."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise RegistryError(
                f"the filter has {len(text):,} characters; at most {_LONGEST:,} are read", hint=_EXAMPLE
            )
        if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
            raise RegistryError("the filter is no text: it has bytes that are not UTF-8", hint=_EXAMPLE)
        self.text = text
        self.tokens = list(self._tokens())
        self.position = 0

    def _tokens(self) -> Sequence[tuple[str, str, int]]:
        found, start, end = [], 0, len(self.text.rstrip())
        while start < end:
            match = _TOKEN.match(self.text, start)
            if match is None:
                rest = self.text[start:end].lstrip()
                raise RegistryError(
                    f"the filter cannot be read at character {end - len(rest) + 1}: {rest[:20]!r}",
                    hint=_EXAMPLE,
                )
            kind = str(match.lastgroup)
            found.append((kind, match[kind], match.start(kind) + 1))
            start = match.end()
        return found

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.tokens)

    def peek(self) -> tuple[str, str, int]:
        return self.tokens[self.position] if not self.at_end else ("end", "", len(self.text) + 1)

    def take(self) -> tuple[str, str, int]:
        token = self.peek()
        self.position += 1
        return token

    def word(self, *words: str) -> str:
        """Take one of the words, if it is next; return it, or nothing."""
        kind, text, _ = self.peek()
        if kind == "word" and text.lower() in words:
            self.position += 1
            return text.lower()
        return ""

    def expect(self, sign: str) -> None:
        if self.peek()[1] != sign:
            raise self.unexpected(repr(sign))
        self.position += 1

    def unexpected(self, wanted: str) -> RegistryError:
        kind, text, place = self.peek()
        found = "it ends" if kind == "end" else f"there is {text[:20]!r}"
        return RegistryError(
            f"the filter cannot be read at character {place}: {found} where {wanted} is expected", hint=_EXAMPLE
        )

    # ── the grammar

    def either(self, depth: int) -> Filter:
        parts = [self.both(depth)]
        while self.word("or"):
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def both(self, depth: int) -> Filter:
        parts = [self.one(depth)]
        while self.word("and"):
            parts.append(self.one(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def one(self, depth: int) -> Filter:
        if depth > _DEEPEST:
            raise RegistryError(f"the filter is nested deeper than {_DEEPEST} levels", hint="write it flatter")
        if self.word("not"):
            part = self.one(depth + 1)
            return part.part if isinstance(part, Opposite) else Opposite(part)
        if self.peek()[1] == "(" and self.peek()[0] == "sign":
            self.expect("(")
            found = self.either(depth + 1)
            self.expect(")")
            return found
        return self.comparison()

    def comparison(self) -> Filter:
        field = self.field()
        kind, text, _ = self.peek()
        if kind == "op":
            self.position += 1
            return Compare(field, _OPERATORS[text], (self.value(),))
        if self.word("is"):
            is_not = bool(self.word("not"))
            if not self.word("null"):
                raise self.unexpected("null")
            found = Compare(field, "null")
            return Opposite(found) if is_not else found
        is_not = bool(self.word("not"))
        operator = self.word("in", "like", "ilike")
        if not operator:
            raise self.unexpected("a comparison (=, !=, <, >, like, in, is null)")
        compared = Compare(field, operator, self.values() if operator == "in" else (self.value(),))
        return Opposite(compared) if is_not else compared

    def field(self) -> Field:
        kind, text, place = self.take()
        if kind != "word":
            self.position -= 1
            raise self.unexpected("the name of a field")
        name, _, key = text.partition(".")
        name = _ALIASES.get(name.lower(), name.lower())
        if key.startswith('"') and key.endswith('"') and len(key) > 1:
            key = key[1:-1].replace('""', '"')
        if (name in PLAIN and not key) or (name in KEYED and key):
            return Field(name, key)
        if name in KEYED:
            raise RegistryError(f"{name} needs a key at character {place}", hint=f"write {name}.NAME")
        raise RegistryError(
            f"there is no field {text!r} (character {place})",
            hint=_instead(text),
        )

    def values(self) -> tuple[Value, ...]:
        self.expect("(")
        found = [self.value()]
        while self.peek()[1] == ",":
            self.expect(",")
            found.append(self.value())
        self.expect(")")
        return tuple(found)

    def value(self) -> Value:
        kind, text, _ = self.take()
        if kind == "string":
            return Value(text[1:-1].replace(text[0] * 2, text[0]))
        if kind in {"number", "word"}:
            return Value(text, is_quoted=False)
        self.position -= 1
        raise self.unexpected("a value")
