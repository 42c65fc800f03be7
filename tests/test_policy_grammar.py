"""What an expression may look at is known before it runs, and its parts are what the engine takes them for."""

from __future__ import annotations

import random

import pytest

from gitops_registry.cel import CommonExpressions
from gitops_registry.policy.engine import Case, Step
from gitops_registry.policy.grammar import DEEPEST, HIGHEST, Node, NotUnderstood, parse, reads, shown_parts


def paths_of(text: str) -> list[str]:
    """Return what an expression reads, as it would be written."""
    return [".".join(path) for path, _ in reads(parse(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", []),
        ("candidate.stage == 'x'", ["candidate.stage"]),
        ("candidate.measured['f1'] > 0.5", ["candidate.measured.f1"]),
        ('candidate.measured["f1"] > 0.5', ["candidate.measured.f1"]),
        ("candidate['measured'].f1 > 0.5", ["candidate.measured.f1"]),
        ("candidate.measured[params.metric] > 0.5", ["candidate.measured.*", "params.metric"]),
        ("candidate.measured['f' + '1'] > 0.5", ["candidate.measured.*"]),
        (r"candidate.measured['f\x31'] > 0.5", ["candidate.measured.*"]),
        ("candidate.measured[r'f1'] > 0.5", ["candidate.measured.*"]),
        ("candidate.formats[0] == 'skops'", ["candidate.formats.[]"]),
        ("candidate.formats[size(candidate.formats) - 1] == 'x'", ["candidate.formats.*", "candidate.formats"]),
        ("has(candidate.environment.gpu)", ["candidate.environment.gpu"]),
        ("change.approvals.exists(a, a.role == 'admin')", ["change.approvals", "change.approvals.[].role"]),
        ("change.approvals.exists(a, a['role'] in params.roles)", ["change.approvals", "change.approvals.[].role", "params.roles"]),
        ("candidate.artifacts.all(a, a.parity == null || a.parity.rows > 1)",
         ["candidate.artifacts", "candidate.artifacts.[].parity", "candidate.artifacts.[].parity.rows"]),
        ("candidate.signature.inputs.map(c, c.name).join(', ') == ''", ["candidate.signature.inputs", "candidate.signature.inputs.[].name"]),
        ("[1, 2].all(candidate, candidate > 0) && candidate.version > 0", ["candidate.version"]),
        ("model.tags.all(k, model.tags[k] != '')", ["model.tags", "model.tags.*", "model.tags.[]"]),
        ("[candidate.name, champion.name].all(n, n.startsWith(model.name))", ["candidate.name", "champion.name", "model.name"]),
        ("{'a': candidate.version}['a'] > 0 ? now > candidate.created : registry.direct",
         ["candidate.version", "now", "candidate.created", "registry.direct"]),
        ("math.greatest(candidate.version, 2) > 1 // candidate.nothing", ["candidate.version"]),
        ("'candidate.stage' == \"change.to\"", []),
        ("'''candidate.stage''' == 'it\\'s candidate.name'", []),
        ("-candidate.version < 0 && !model.is_new", ["candidate.version", "model.is_new"]),
        ("(candidate).stage == ((model.name))", ["candidate.stage", "model.name"]),
    ],
)  # fmt: skip
def test_every_fact_that_is_read_is_known(text: str, expected: list[str]) -> None:
    assert paths_of(text) == expected


def test_a_read_is_told_with_its_place() -> None:
    text = "true &&\n  candidate.stage == 'x'"
    assert [(path, text[offset : offset + 9]) for path, offset in reads(parse(text))] == [
        (("candidate", "stage"), "candidate")
    ]


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("", 0, "'the end' is not expected here"),
        ("1 +", 3, "'the end' is not expected here"),
        ("candidate.", 10, "a name is expected after '.', not 'the end'"),
        ("(1", 2, "')' is expected here, not 'the end'"),
        ("1 2", 2, "'2' is not expected here"),
        ("a ? b", 5, "':' is expected here, not 'the end'"),
        ("a # b", 2, "'#' is not expected here"),
        ("'open", 0, '"\'" is not expected here'),
        ("a.exists(1, true)", 9, "exists() needs the name of a variable first"),
        ("a.exists(b.c, true)", 9, "exists() needs the name of a variable first"),
        ("candidate{name: 'x'}", 9, "message literals are not accepted"),
        ("google.protobuf.Timestamp{seconds: 1}", 25, "message literals are not accepted"),
        ("in", 0, "'in' is not expected here"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_place(text: str, offset: int, message: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        parse(text)
    assert (caught.value.offset, caught.value.message) == (offset, message)


@pytest.mark.parametrize("opening", ["(", "[", "size(", "{'a': ", "true ? 1 : "])
def test_nesting_ends_somewhere(opening: str) -> None:
    closing = {"(": ")", "[": "]", "size(": ")", "{'a': ": "}"}.get(opening, "")
    inside = DEEPEST - 1
    assert parse(opening * inside + "1" + closing * inside).start == 0
    with pytest.raises(NotUnderstood, match="nested deeper than 32 levels"):
        parse(opening * DEEPEST + "1" + closing * DEEPEST)
    with pytest.raises(NotUnderstood, match="nested deeper"):
        parse("!" * (DEEPEST + 1) + "true")


@pytest.mark.parametrize("sign", ["+", "-", "*", "%", "<", "==", " in ", "&&", "||"])
def test_a_chain_of_operators_of_one_level_is_one_part_however_long(sign: str) -> None:
    node = parse(f"now{sign}" * 500 + "now")
    assert (node.height, len(node.children)) == (2, 501)
    assert len(list(reads(node))) == len(shown_parts(node)) - 1 == 501


@pytest.mark.parametrize("link", [".trim()", "[0]", ".a", ".map(x, x)"])
def test_a_chain_of_calls_ends_somewhere(link: str) -> None:
    assert len(shown_parts(parse("f(1)" + link * 40))) == 41
    for length in (HIGHEST, 900):
        with pytest.raises(NotUnderstood, match="nested deeper than 32 levels"):
            parse("f(1)" + link * length)


def test_a_fact_may_be_read_by_as_many_steps_as_can_be_written() -> None:
    assert [len(path) for path, _ in reads(parse("a" + ".a" * 900))] == [901]
    assert [len(path) for path, _ in reads(parse("a" + "[0]" * 600))] == [601]


def test_the_parts_that_explain_an_expression_are_shown_from_the_outside_in() -> None:
    text = "candidate.measured.f1 >= params.floor && change.approvals.exists(a, a.role == 'admin')"
    assert [text[part.start : part.end] for part in shown_parts(parse(text))] == [
        text,
        "candidate.measured.f1 >= params.floor",
        "candidate.measured.f1",
        "params.floor",
        "change.approvals.exists(a, a.role == 'admin')",
        "change.approvals",
    ]


# ── the same as the engine


def number(chance: random.Random, depth: int = 0) -> str:
    """Return an expression, drawn at random, that comes to a number."""
    if depth > 3 or chance.random() < 0.15:
        return chance.choice(["1", "2", "candidate.version", "params['n']", "candidate.sizes[0]", "-3"])
    one, two = number(chance, depth + 1), number(chance, depth + 1)
    return chance.choice(
        [f"{one} {chance.choice('+-*/%')} {two}", f"{one}{chance.choice('+-*')}{two}", f"({one} {chance.choice('+-*')} {two})",
         f"{truth(chance, depth + 1)} ? {one} : {two}", f"-({one})", f"[{one}, {two}][1]", f"size([{one}].map(x, {two} + x))"]
    )  # fmt: skip


def truth(chance: random.Random, depth: int = 0) -> str:
    """Return an expression, drawn at random, that comes to true or false."""
    if depth > 3 or chance.random() < 0.1:
        return chance.choice(["true", "false", "candidate.is_good", "candidate.name == 'a'", "'a' in candidate.names"])
    one, two = number(chance, depth + 1), number(chance, depth + 1)
    this, that = truth(chance, depth + 1), truth(chance, depth + 1)
    return chance.choice(
        [f"{one} {chance.choice(['==', '!=', '<', '<=', '>', '>='])} {two}", f"{this} && {that}", f"{this} || {that}", f"!{this}",
         f"({this} || {that})", f"{this} ? {that} : {one} > {two}", f"[{one}, {two}].exists(x, x > {one} && {this})", f"{one} in [{two}]"]
    )  # fmt: skip


FACTS = {"candidate": {"version": 3, "sizes": [4], "is_good": True, "name": "a", "names": ["b"]}}


def expressions(seed: int) -> list[str]:
    chance = random.Random(seed)
    return list(dict.fromkeys(text for _ in range(200) for text in (number(chance), truth(chance))))


def in_brackets(text: str, node: Node) -> str:
    """Return an expression with brackets round each of its parts, as the parts were understood."""
    if node.kind in {"literal", "read"}:
        return f"({text[node.start : node.end]})"
    at, told = node.start, ""
    for child in sorted(node.children, key=lambda child: child.start):
        told += text[at : child.start] + in_brackets(text, child)
        at = child.end
    return f"({told}{text[at : node.end]})"


def is_understood(text: str) -> bool:
    try:
        parse(text)
    except NotUnderstood:
        return False
    return True


def test_parts_are_what_the_engine_takes_them_for() -> None:
    understood = {text: in_brackets(text, parse(text)) for text in expressions(7) if is_understood(text)}
    programs = [*understood, *understood.values()]
    run = CommonExpressions().run(programs, [FACTS], [Case(0, {"n": 2}, (Step(at),)) for at in range(len(programs))])
    half = len(understood)
    compiled = [at for at in range(half) if not {at, at + half} & set(run.troubles)]  # brackets may nest too deep
    assert [programs[at] for at in compiled if run.answers[at] != run.answers[at + half]] == []
    assert len(compiled) > 100
    assert len({str(run.answers[at]) for at in compiled}) > 10


def test_whatever_the_engine_compiles_is_understood() -> None:
    texts = expressions(11)
    troubles = CommonExpressions().run(texts, [], []).troubles
    assert [text for at, text in enumerate(texts) if at not in troubles and not is_understood(text)] == []
    assert len(texts) - len(troubles) > 100
