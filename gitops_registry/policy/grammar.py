"""The parts of a CEL expression: where each stands in the text, and which facts it reads.

The engine decides what an expression means; this says beforehand what it may look at, and afterwards which of its parts to
show. What is not understood here is refused, though the engine might take it: message literals, and nesting beyond 32 levels.
A chain of operators of one level is one part, however long, and no tree is higher than 64 parts: the engine compiles less.
Grammar: the specification of the Common Expression Language, section "Syntax".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

DEEPEST = 32
HIGHEST = 64
ITEM = "[]"
"""What stands in a path for an item of a list."""
UNKNOWN = "*"
"""What stands in a path for a key that is only known when the expression runs."""

_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
_NAMESPACES = frozenset({"math", "strings"})
_TOKEN = re.compile(
    r"""(?P<space>(?:\s|//[^\n]*)+)
    |(?P<string>(?:[rR][bB]?|[bB][rR]?)?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_LITERALS = frozenset({"true", "false", "null"})
_RELATIONS = ("==", "!=", "<", "<=", ">", ">=", "in")

Path = tuple[str, ...]


class NotUnderstood(Exception):
    """An expression that cannot be read. `offset` is where, in characters from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message, self.offset = message, offset


@dataclass(frozen=True)
class Node:
    """One part of an expression, from `start` to `end` of its text.

    `kind` is `read` for a variable with the fields after it, `literal`, `operator`, `call`, `macro`, `list` or `map`. `path`
    is what a `read` reads; `bound` the variable that a `macro` gives its later children, which stand for items of its first.
    `name` is that of a call or macro, or the first sign of an operator; `height` is how many parts lie in each other.
    """

    kind: str
    start: int
    end: int
    children: tuple[Node, ...] = ()
    path: Path = ()
    bound: str = ""
    name: str = ""
    height: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "height", 1 + max((child.height for child in self.children), default=0))
        if self.height > HIGHEST:
            raise NotUnderstood(f"is nested deeper than {DEEPEST} levels", self.start)

    def inside(self) -> Iterator[Node]:
        """Yield this part and all parts of it, from the outside in."""
        yield self
        for child in self.children:
            yield from child.inside()


def parse(text: str) -> Node:
    """Return the parts of an expression. Raises NotUnderstood."""
    reader = _Reader(_tokens(text), len(text))
    node = reader.expression()
    if reader.kind != "end":
        raise NotUnderstood(f"{reader.value!r} is not expected here", reader.start)
    return node


def reads(node: Node, bound: Mapping[str, Path] | None = None) -> Iterator[tuple[Path, int]]:
    """Yield every path of facts that is read and its offset: `candidate.measured['f1']` is (candidate, measured, f1).

    What a macro binds stands for items of what it goes through: in `change.approvals.exists(a, a.role == 'admin')` it is
    (change, approvals, [], role).
    """
    bound = dict(bound or {})
    if node.kind == "read":
        root = bound.get(node.path[0])
        if root is None:
            yield node.path, node.start
        elif root:
            yield (*root, *node.path[1:]), node.start
    if node.kind == "macro":
        through, *rest = node.children
        yield from reads(through, bound)
        whole = next(reads(through, bound), None) if through.kind == "read" else None
        inner = {**bound, node.bound: (*whole[0], ITEM) if whole else ()}
        for child in rest:
            yield from reads(child, inner)
        return
    for child in node.children:
        yield from reads(child, bound)


def shown_parts(node: Node) -> list[Node]:
    """Return the parts whose values explain an expression, from the outside in: all but literals and what only a macro knows."""
    found: list[Node] = []
    waiting = [node]
    while waiting:
        part = waiting.pop(0)
        if part.kind != "literal":
            found.append(part)
        waiting = [*(part.children[:1] if part.kind == "macro" else part.children), *waiting]
    return found


def _tokens(text: str) -> list[tuple[str, str, int, int]]:
    found = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotUnderstood(f"{text[at]!r} is not expected here", at)
        if match.lastgroup != "space":
            found.append((match.lastgroup or "", match[0], at, match.end()))
        at = match.end()
    return found


class _Reader:
    """Reads tokens from left to right, one method for each level of the grammar, loosest first."""

    def __init__(self, tokens: list[tuple[str, str, int, int]], length: int) -> None:
        self._tokens = [*tokens, ("end", "the end", length, length)]
        self._at = 0
        self._depth = 0

    @property
    def kind(self) -> str:
        return self._tokens[self._at][0]

    @property
    def value(self) -> str:
        return self._tokens[self._at][1]

    @property
    def start(self) -> int:
        return self._tokens[self._at][2]

    def _next(self) -> tuple[str, str, int, int]:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is_sign(self, *signs: str) -> bool:
        return self.kind in {"sign", "name"} and self.value in signs

    def _take(self, sign: str) -> int:
        """Take a sign and return where it ends."""
        if not self._is_sign(sign):
            raise NotUnderstood(f"{sign!r} is expected here, not {self.value!r}", self.start)
        return self._next()[3]

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotUnderstood(f"is nested deeper than {DEEPEST} levels", self.start)
        left = self._either()
        if self._is_sign("?"):
            self._next()
            then = self._either()
            self._take(":")
            other = self.expression()
            left = Node("operator", left.start, other.end, (left, then, other), name="?")
        self._depth -= 1
        return left

    def _either(self) -> Node:
        return self._many(("||",), self._both)

    def _both(self) -> Node:
        return self._many(("&&",), self._relation)

    def _relation(self) -> Node:
        return self._many(_RELATIONS, self._sum)

    def _sum(self) -> Node:
        return self._many(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._many(("*", "/", "%"), self._unary)

    def _many(self, signs: Iterable[str], operand: Callable[[], Node]) -> Node:
        """Take a chain of operators of one level, which is one part however long it is."""
        parts, sign = [operand()], ""
        while self._is_sign(*signs):
            sign = sign or self.value
            self._next()
            parts.append(operand())
        return Node("operator", parts[0].start, parts[-1].end, tuple(parts), name=sign) if sign else parts[0]

    def _unary(self) -> Node:
        if not self._is_sign("!", "-"):
            return self._member()
        at, start, signs = self._at, self.start, 0
        while self._is_sign("!", "-"):
            self._next()
            signs += 1
        if signs > DEEPEST:
            raise NotUnderstood(f"is nested deeper than {DEEPEST} levels", start)
        inner = self._member()
        if inner.kind == "literal":
            return Node("literal", start, inner.end)
        return Node("operator", start, inner.end, (inner,), name=self._tokens[at][1])

    def _member(self) -> Node:
        node = self._primary()
        while self._is_sign(".", "[", "{"):
            if self.value == "{":
                raise NotUnderstood("message literals are not accepted", self.start)
            node = self._indexed(node) if self.value == "[" else self._selected(node)
        return node

    def _indexed(self, node: Node) -> Node:
        self._next()
        key_kind, key_text = self.kind, self.value
        key = self.expression()
        end = self._take("]")
        if node.kind != "read":
            return Node("call", node.start, end, (node, key), name="[]")
        if key.kind == "literal" and key_kind == "string":
            return Node("read", node.start, end, node.children, (*node.path, _unquoted(key_text)))
        step = ITEM if key.kind == "literal" and key_kind == "number" else UNKNOWN
        return Node("read", node.start, end, (*node.children, key), (*node.path, step))

    def _selected(self, node: Node) -> Node:
        self._next()
        kind, name, start, end = self._next()
        if kind != "name":
            raise NotUnderstood(f"a name is expected after '.', not {name!r}", start)
        if not self._is_sign("("):
            if node.kind != "read":
                return Node("call", node.start, end, (node,), name=f".{name}")
            return Node("read", node.start, end, node.children, (*node.path, name))
        arguments, end = self._arguments()
        if node.kind == "read" and len(node.path) == 1 and node.path[0] in _NAMESPACES:
            return Node("call", node.start, end, arguments, name=f"{node.path[0]}.{name}")
        if name in _MACROS and len(arguments) >= 2:
            variable = arguments[0]
            if variable.kind != "read" or len(variable.path) != 1 or variable.children:
                raise NotUnderstood(f"{name}() needs the name of a variable first", variable.start)
            return Node("macro", node.start, end, (node, *arguments[1:]), bound=variable.path[0], name=name)
        return Node("call", node.start, end, (node, *arguments), name=name)

    def _arguments(self, closing: str = ")") -> tuple[tuple[Node, ...], int]:
        """Take a list in brackets and return what is in it and where it ends."""
        self._next()
        found: list[Node] = []
        while not self._is_sign(closing):
            found.append(self.expression())
            if closing == "}":
                self._take(":")
                found.append(self.expression())
            if not self._is_sign(closing):
                self._take(",")
        return tuple(found), self._next()[3]

    def _primary(self) -> Node:
        kind, text, start, end = self._tokens[self._at]
        if kind in {"string", "number"} or (kind == "name" and text in _LITERALS):
            self._next()
            return Node("literal", start, end)
        if text in {"[", "{"} and kind == "sign":
            inside, end = self._arguments("]" if text == "[" else "}")
            return Node("list" if text == "[" else "map", start, end, inside)
        if text == "(" and kind == "sign":
            self._next()
            inner = self.expression()
            return replace(inner, start=start, end=self._take(")"))
        if kind != "name" or text == "in":
            raise NotUnderstood(f"{text!r} is not expected here", start)
        self._next()
        if not self._is_sign("("):
            return Node("read", start, end, (), (text,))
        arguments, end = self._arguments()
        return Node("call", start, end, arguments, name=text)


def _unquoted(text: str) -> str:
    """Return a key as it is meant; one with an escape is only known when the expression runs."""
    return UNKNOWN if "\\" in text or not text.startswith(('"', "'")) else text.strip(text[0])
