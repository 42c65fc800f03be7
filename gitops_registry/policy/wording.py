"""Rules in words: what an expression asks for, in a language that people read.

The common shapes are known: comparisons, `in`, `has`, `size`, `&&`, `||`, `!`, choices, sums, and what holds for some or all items
of a list. Anything else has no words, and whoever shows it shows the expression. The words are a catalogue's (`rule_…`), with the
values of parameters among them; they explain a rule, and nothing judges by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gitops_registry.policy.grammar import ITEM, UNKNOWN, Node, NotUnderstood, parse

_LONGEST = 120
_RELATIONS = {"==": "is", "!=": "is_not", "<": "below", "<=": "at_most", ">": "above", ">=": "at_least", "in": "in"}
_CONTRARY = {"is": "is_not", "is_not": "is", "in": "not_in", "has": "has_not", "set": "not_set", "not_set": "set"}
_LITERALS = {"true", "false", "null"}
_SAME = frozenset({"duration", "timestamp", "string", "double", "int", "uint"})
"""Calls that give their argument in another type: in words it is the same."""
_OF_TEXT = {"startsWith": "starts", "endsWith": "ends", "contains": "contains"}
_QUANTITIES = {"exists": "some", "all": "every", "exists_one": "one"}


class _NoWords(Exception):
    """A shape that has no words here."""


def words_of(expression: str, params: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """Return what an expression asks for in words; empty where its shape has none."""
    try:
        return _Speaker(expression, params, words).claim(parse(expression))
    except (NotUnderstood, _NoWords):
        return ""


def outline_of(expression: str) -> str:
    """Return what a message that is put together always says, with … where values stand; empty where it is of another shape."""
    try:
        node = parse(expression)
    except NotUnderstood:
        return ""
    parts = node.children if node.kind == "operator" and node.name == "+" else (node,)
    texts = [_text(expression[part.start : part.end]) if part.kind == "literal" else None for part in parts]
    told = "".join("…" if text is None else text for text in texts).strip()
    return told if any(texts) else ""


@dataclass(frozen=True)
class _Speaker:
    """Says the parts of one expression. `bound` are the names that stand for an item of a list."""

    text: str
    params: Mapping[str, Any]
    words: Mapping[str, str]
    bound: frozenset[str] = field(default=frozenset())

    def claim(self, node: Node) -> str:
        """Return a part that is true or false in words. Raises _NoWords."""
        told = self.say(node)
        return self._fill("is", told, self.words["rule_true"]) if node.kind == "read" else told

    def say(self, node: Node) -> str:
        """Return a part in words. Raises _NoWords."""
        match node.kind:
            case "literal":
                return self._literal(self.text[node.start : node.end])
            case "read":
                return self._fact(node)
            case "list":
                return ", ".join(map(self.say, node.children))
            case "macro":
                return self._quantity(node)
            case "call":
                return self._call(node)
            case "operator" if len(node.children) == 1:
                return self._contrary(node)
            case "operator" if node.name == "?":
                condition, *choices = node.children
                return self._fill("choice", self.claim(condition), *map(self.say, choices))
            case "operator":
                return self._chain(node)
        raise _NoWords(node.kind)

    def _fill(self, name: str, *values: str) -> str:
        return self.words[f"rule_{name}"].format(*values)

    # ── what is compared

    def _literal(self, text: str) -> str:
        if text in _LITERALS:
            return self.words[f"rule_{text}"]
        told = _text(text)
        if told is None and text[-1] in "'\"":
            raise _NoWords(text)
        if told is None:
            return text
        return f"“{told}”" if told else self.words["rule_empty"]

    def _fact(self, node: Node) -> str:
        root, *rest = node.path
        if {ITEM, UNKNOWN} & {*rest} and root != "params":
            raise _NoWords(node.path)
        if root == "params":
            return self._parameter(node)
        named = " ".join(step.removeprefix("is_").replace("_", " ") for step in rest)
        whom = self.words["rule_item"] if root in self.bound else self.words.get(f"rule_of_{root}", "")
        if root == "variables" and rest:
            return named
        if not whom:
            raise _NoWords(root)
        return self._fill("of", named, whom) if named else whom

    def _parameter(self, node: Node) -> str:
        value: Any = self.params
        for at, step in enumerate(node.path[1:]):
            if step == UNKNOWN and len(node.children) == 1 and at == len(node.path) - 2:
                return self._fill("for", ".".join(node.path[1:-1]), self.say(node.children[0]))
            if not isinstance(value, Mapping) or step not in value:
                raise _NoWords(node.path)
            value = value[step]
        return self._fill("parameter", _value(value), ".".join(node.path[1:]))

    # ── what is said of it

    def _chain(self, node: Node) -> str:
        signs = [
            self.text[left.end : right.start].strip()
            for left, right in zip(node.children, node.children[1:], strict=False)
        ]
        if node.name in {"&&", "||"}:
            return self._fill("and" if node.name == "&&" else "or").join(
                self._within(part, node.name) for part in node.children
            )
        if len(signs) == 1 and signs[0] in _RELATIONS:
            return self._fill(*self._relation(node))
        if all(sign in {"+", "-", "*", "/", "%"} for sign in signs):
            parts = [self._within(part, node.name) for part in node.children]
            return " ".join([parts[0], *(f"{sign} {part}" for sign, part in zip(signs, parts[1:], strict=True))])
        raise _NoWords(node.name)

    def _within(self, part: Node, sign: str) -> str:
        is_mixed = part.kind == "operator" and len(part.children) > 1 and part.name not in _RELATIONS
        told = self.claim(part) if sign in {"&&", "||"} else self.say(part)
        return self._fill("group", told) if is_mixed and part.name != sign else told

    def _relation(self, node: Node) -> tuple[str, ...]:
        """Return the name of a comparison among the words, and what it compares."""
        left, right = node.children
        name = _RELATIONS[self.text[left.end : right.start].strip()]
        if name in {"is", "is_not"} and self.text[right.start : right.end] == "null":
            return "not_set" if name == "is" else "set", self.say(left)
        return name, self.say(left), self.say(right)

    def _contrary(self, node: Node) -> str:
        (inner,) = node.children
        sign = self.text[node.start : inner.start].replace("(", "").strip()
        if sign == "-":
            return f"-{self.say(inner)}"
        if sign != "!":
            raise _NoWords(sign)
        if inner.kind == "operator" and len(inner.children) == 2 and inner.name in _RELATIONS:
            name, *told = self._relation(inner)
            if name in _CONTRARY:
                return self._fill(_CONTRARY[name], *told)
        if inner.kind == "call" and inner.name == "has" and len(inner.children) == 1:
            return self._fill("has_not", self.say(inner.children[0]))
        if inner.kind == "macro" and inner.name == "exists":
            return self._quantity(inner, "none")
        if inner.kind == "read":
            return self._fill("is", self.say(inner), self.words["rule_false"])
        return self._fill("not", self.say(inner))

    def _quantity(self, node: Node, name: str = "") -> str:
        name = name or _QUANTITIES.get(node.name, "")
        if not name or len(node.children) != 2:
            raise _NoWords(node.name)
        through, body = node.children
        inner = replace(self, bound=self.bound | {node.bound})
        if node.bound in self.bound:
            raise _NoWords(node.bound)
        return self._fill(name, self.say(through), inner.claim(body))

    def _call(self, node: Node) -> str:
        told: Sequence[str] = [self.say(part) for part in node.children]
        if node.name in _SAME and len(told) == 1:
            return told[0]
        if node.name in {"has", "size"} and len(told) == 1:
            return self._fill(node.name, told[0])
        if node.name in _OF_TEXT and len(told) == 2:
            return self._fill(_OF_TEXT[node.name], *told)
        raise _NoWords(node.name)


def _text(literal: str) -> str | None:
    """Return what a literal of text says; None where it is no text, or one with escapes."""
    is_text = len(literal) > 1 and literal[0] in "'\"" and literal[-1] == literal[0]
    if not is_text or "\\" in literal or literal.startswith(("'''", '"""')):
        return None
    return literal[1:-1]


def _value(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        told = ", ".join(map(str, value)) or "[]"
    else:
        told = str(value).lower() if isinstance(value, bool) else str(value)
    return told if len(told) <= _LONGEST else told[: _LONGEST - 1] + "…"
