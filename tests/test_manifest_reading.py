"""What the reader accepts, and for everything else the place and the fix that it tells."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_registry.errors import ManifestError
from gitops_registry.manifest.facts import Evaluation, Version
from gitops_registry.manifest.kinds import KINDS, Access, Card, Constitution, Model
from gitops_registry.manifest.parts import Document
from gitops_registry.manifest.policies import Policy, Waiver
from gitops_registry.manifest.reading import MAX_BYTES, kind_at, parse

PATH = "models/credit-risk/model.yaml"
MODEL = "kind: Model\nschema_version: 2\nname: credit-risk\n"
VERSION = f"""kind: ModelVersion
schema_version: 1
created: 2026-11-22T10:00:00Z
author: {{name: Alice, email: alice@example.com}}
metrics:
  accuracy: 0.892
artifacts:
  - name: model
    file: model.skops
    format: skops
    size: 12
    md5: {"a" * 32}
    sha256: {"b" * 64}
"""
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


class Bad(NamedTuple):
    text: str | bytes
    at: str
    problem: str
    hint: str
    kind: type[Document] = Model


BAD = {
    "an empty file": Bad("", "1:1", "is empty", "kind:"),
    "nothing but a comment": Bad("# later\n", "1:1", "is empty", "kind:"),
    "a document with nothing in it": Bad("---\n", "2:1", "is empty", "kind:"),
    "a list": Bad("- a\n", "1:1", "holds a list, not a mapping", "key: value"),
    "a missing kind": Bad("name: x\n", "1:1", "has no 'kind'; Model is expected here", "kind: Model"),
    "another kind": Bad("kind: ModelCard\n", "1:7", "kind must be Model here, not the text 'ModelCard'", "kind: Model"),
    "a future schema_version": Bad(
        "kind: Model\nschema_version: 3\n", "2:17", "schema_version must be 2 here, not the number 3", "a newer gitops-"
    ),
    "a schema_version in quotes": Bad(
        "kind: Model\nschema_version: '1'\n", "2:17", "not the text '1'", "write 'schema_version: 2'"
    ),
    "true as schema_version": Bad("kind: Model\nschema_version: true\n", "2:17", "must be 2 here, not true", "write"),
    "a misspelt key": Bad(MODEL + "titel: x\n", "4:1", "unknown key 'titel'", "did you mean 'title'?"),
    "a key of another kind": Bad(MODEL + "zzz: x\n", "4:1", "unknown key 'zzz'", "aliases, evaluation, deleted"),
    "a misspelt key further in": Bad(
        VERSION.replace("    size:", "    siez:"), "8:5", "artifacts[0].size is missing", "(and 1 more)", Version
    ),
    "a field by its name in Python": Bad(
        "kind: Registry\nstages:\n  - {name: a, from_: [b]}\n  - name: b\n",
        "3:15", "unknown key 'from_' in stages[0]", "did you mean 'from'?", Constitution,
    ),
    "a duplicate key": Bad(MODEL + "name: b\n", "4:1", "key 'name' is written twice", "line 3"),
    "a duplicate key in braces": Bad(MODEL + "tags: {a: b, 'a': c}\n", "4:14", "key 'a' is written twice", "line 4"),
    "a number where text is meant": Bad(
        MODEL + "title: 1.10\n", "4:8", "title must be text, not the number 1.1", "quote it: '1.10'"
    ),
    "a version number of a framework": Bad(
        VERSION + "framework: {name: x, version: 1.9}\n", "14:31", "framework.version must be text", "'1.9'", Version
    ),
    "nothing where text is meant": Bad(MODEL + "title:\n", "4:1", "title must be text, not empty", "remove the line"),
    "text where a number is meant": Bad(
        MODEL + "stages: {staging: [1, two]}\n", "4:23", "stages.staging[1] must be a whole number, not the text 'two'",
        "without quotes",
    ),
    "a number where a list is meant": Bad(
        MODEL + "stages: {staging: 2}\n", "4:19", "stages.staging must be a list, not the number 2", "[2]"
    ),
    "text where a mapping is meant": Bad(MODEL + "tags: x\n", "4:7", "tags must be a mapping, not the text 'x'", "key"),
    "1.5 where a whole number is meant": Bad(
        VERSION.replace("12", "1.5"), "11:11", "must be a whole number, not the number 1.5", "", Version
    ),
    "yes where true is meant": Bad(
        "kind: Registry\ndirect: yes\nstages: [{name: a}, {name: b}]\n", "2:9", "direct must be true or false, not the text 'yes'", "true or false",
        Constitution,
    ),
    "a day where a time is meant": Bad(
        VERSION.replace("T10:00:00Z", ""), "3:10", "created must be a date and time", "2026-11-22T10:00:00Z", Version
    ),
    "a time without its zone": Bad(VERSION.replace(":00Z", ":00"), "3:10", "with its zone", "00Z", Version),
    "a task that does not exist": Bad(
        VERSION + "task: regresion\n", "14:7", "not the text 'regresion'", "did you mean 'regression'?", Version
    ),
    "a parameter that is a mapping": Bad(
        VERSION + "params: {x: {a: 1}}\n", "14:13", "params.x must be text, a number", "single value", Version
    ),
    "a list in a list of a parameter": Bad(
        VERSION + "params: {x: [1, [2]]}\n", "14:17", "params.x[1] must be text, a number", "single value", Version
    ),
    "not a number": Bad(
        VERSION.replace("0.892", ".nan"), "6:13", ".nan is not a finite number", "leave the line out", Version
    ),
    "infinity": Bad(VERSION.replace("0.892", "-.INF"), "6:13", "-.INF is not a finite number", "leave", Version),
    "a number beyond every float": Bad(VERSION.replace("0.892", "1e999"), "6:13", "1e999 is not a finite", "", Version),
    "a whole number beyond every float": Bad(
        VERSION.replace("0.892", "9" * 400), "6:13", "metrics.accuracy must be a finite number", "", Version
    ),
    "a number of 5,000 digits": Bad(MODEL + f"deleted: [{'9' * 5000}]", "4:11", "more than 4300 digits", "quote it"),
    "a name outside the grammar": Bad("kind: Model\nname: crédit\n", "2:7", "name 'crédit' must be", "another"),
    "a key outside the grammar": Bad(
        MODEL + "stages:\n  a b: [1]\n", "5:3", "name 'a b' must be 1 to 128 ASCII letters", "another name"
    ),
    "a reserved alias": Bad(MODEL + "aliases: {latest: 1}\n", "4:11", "alias 'latest' is reserved", "another name"),
    "a version in two stages": Bad(MODEL + "stages: {a: [1], b: [1]}\n", "1:1", "is in two stages", "one of them"),
    "a version listed twice": Bad(MODEL + "deleted: [1, 1]\n", "4:10", "a version is listed twice", "keep one"),
    "a file outside the version": Bad(
        VERSION.replace("model.skops", "../../etc/passwd"),
        "9:11", "file '../../etc/passwd' must be a plain file name inside the version's folder", "without", Version,
    ),
    "a digest that is none": Bad(VERSION.replace("a" * 32, "abc"), "12:10", "must match pattern", "change", Version),
    "no artifact": Bad(VERSION[: VERSION.index("arti")] + "artifacts: []\n", "7:12", "at least 1 item", "", Version),
    "an anchor": Bad(MODEL + "title: &t x\n", "4:8", "anchor &t is not accepted", "write the value out"),
    "an alias": Bad(MODEL + "title: *t\n", "4:8", "alias *t is not accepted", "write the value out"),
    "an alias bomb of nine levels": Bad(BOMB, "1:5", "anchor &a0 is not accepted", "write the value out"),
    "a merge key": Bad(MODEL + "tags: {<<: {a: b}}\n", "4:8", "merge key << is not accepted", "write the keys out"),
    "a tag": Bad(MODEL + "title: !!python/name:os.system x\n", "4:8", "tag tag:yaml.org", "remove it"),
    "a directive": Bad("%YAML 1.1\n---\n" + MODEL, "1:1", "directives such as %YAML", "start with '%'"),
    "two documents": Bad(MODEL + "---\n" + MODEL, "4:1", "has a second document", "keep one document"),
    "a number as key": Bad(MODEL + "tags: {1: a}\n", "4:8", "key 1 is not text", 'quote it: "1"'),
    "nothing as key": Bad(MODEL + "tags: {~: a}\n", "4:8", "key ~ is not text", "quote it"),
    "a list as key": Bad(MODEL + "? [a]\n: b\n", "4:3", "a key must be text", "plain word"),
    "depth 33": Bad(MODEL + "title: " + "[" * 33 + "]" * 33, "4:39", "nested deeper than 32 levels", "flatten"),
    "depth 20,000": Bad(MODEL + "title: " + "[" * 20_000, "4:", "nested deeper than 32 levels", "flatten"),
    "a file of 2 MiB": Bad("#" * (2 << 20), "1:1", "is 2,097,152 bytes long", "artifact"),
    "Latin-1": Bad((MODEL + "title: Müller\n").encode("latin-1"), "4:9", "is not UTF-8: byte 0xfc", "UTF-8"),
    "UTF-16": Bad(MODEL.encode("utf-16"), "1:1", "is not UTF-8: byte 0xff", "UTF-8"),
    "a surrogate": Bad(MODEL.encode() + b"title: \xed\xa0\x80\n", "4:8", "is not UTF-8", "UTF-8"),
    "a NUL": Bad(MODEL + "title: a\0b\n", "4:9", "character U+0000 is not allowed", "double quotes"),
    "an escape character": Bad(MODEL + "title: \x1b[2J\n", "4:8", "character U+001B is not allowed", '"\\u001B"'),
    "a line break of Unicode": Bad(MODEL + "title: a\u2028b\n", "4:9", "character U+2028", "double quotes"),
    "a byte order mark inside": Bad(MODEL + "title: a\ufeffb\n", "4:9", "character U+FEFF", "remove it"),
    "a tab as indentation": Bad(MODEL + "tags:\n\ta: b\n", "5:1", "is not YAML", "indent with spaces"),
    "a colon in plain text": Bad(MODEL + "title: a: b\n", "4:9", "is not YAML", "quotes round a value"),
    "a value that starts with @": Bad(MODEL + "title: @a\n", "4:8", "is not YAML", "quotes round a value"),
    "an open bracket": Bad(MODEL + "owners: [a\n", "5:1", "is not YAML", "brackets"),
}  # fmt: skip


def error_of(text: str | bytes, kind: type[Document] = Model, path: str = PATH) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), path, kind)
    return caught.value


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_cannot_be_accepted_is_told_with_its_place_and_its_fix(bad: Bad) -> None:
    error = error_of(bad.text, bad.kind)
    assert str(error).startswith(f"{PATH}:{bad.at}")
    assert bad.problem in error.problem
    assert error.hint
    assert bad.hint in error.hint


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_message_is_one_short_line_without_control_characters(bad: Bad) -> None:
    error = error_of(bad.text, bad.kind)
    assert str(error).isprintable()
    assert error.hint.isprintable()
    assert len(str(error)) < 500
    assert len(error.hint) < 500


def test_long_values_are_shortened_and_keep_the_reason() -> None:
    error = error_of(f"kind: Model\nname: {'é' * 100_000}\n")
    assert len(error.problem) < 250
    assert error.problem.endswith("starting with a letter or digit")


def test_escapes_in_values_are_shown_and_not_sent_to_the_terminal() -> None:
    assert "\\x1b[2J" in error_of(MODEL + 'tags: "\\e[2J"\n').problem


def test_a_path_that_would_break_the_line_is_escaped() -> None:
    assert str(error_of("", path="a\nb.yaml")).startswith("'a\\nb.yaml':1:1: ")


def test_the_first_of_several_errors_is_told_and_the_others_are_counted() -> None:
    error = error_of(MODEL + "deleted: x\ntitle: 1\nzzz: 2\n")
    assert (error.line, error.column) == (4, 10)
    assert error.hint.endswith("(and 2 more)")


def test_unquoted_words_mean_what_yaml_1_2_says() -> None:
    text = """params: {a: no, b: 0012345, c: "12:30:45", d: 12:30:45, e: 2026-01-01, f: 0x1F, g: 1_000, h: 'true',
      i: True, j: ~, k: null, l: -12, m: 1e3, n: .5, o: 1., p: 0, q: 1.2.3, r: <<, s: y, t: "", u: -0.0, v: +1}\n"""
    params = parse((VERSION + text).encode(), PATH, Version).document.params
    assert list(params.items())[:8] == [
        ("a", "no"), ("b", "0012345"), ("c", "12:30:45"), ("d", "12:30:45"), ("e", "2026-01-01"), ("f", "0x1F"),
        ("g", "1_000"), ("h", "true"),
    ]  # fmt: skip
    assert [repr(params[key]) for key in "ijklmnopqrstuv"] == [
        "True", "None", "None", "-12", "1000.0", "0.5", "1.0", "0", "'1.2.3'", "'<<'", "'y'", "''", "-0.0", "1",
    ]  # fmt: skip


def test_a_byte_order_mark_at_the_start_and_windows_line_ends_are_accepted() -> None:
    assert parse(("\ufeff" + MODEL).replace("\n", "\r\n").encode(), PATH, Model).document == Model(name="credit-risk")
    error = error_of(("\ufeff" + MODEL + "zzz: 1\n").replace("\n", "\r\n"))
    assert (error.line, error.column) == (4, 1)


def test_columns_count_characters_and_not_bytes() -> None:
    error = error_of(MODEL + "tags: {信用: リスク, 分類: 1}\n")
    assert (error.line, error.column) == (4, 21)


def test_a_file_of_the_largest_size_is_read() -> None:
    text = MODEL + "#" * (MAX_BYTES - len(MODEL))
    assert parse(text.encode(), PATH, Model).document.name == "credit-risk"
    assert error_of(text + "#").problem.startswith("is 1,048,577 bytes")


def test_a_position_is_the_value_or_the_key_of_a_block_or_the_nearest_part_that_is_there() -> None:
    parsed = parse(VERSION.encode(), PATH, Version)
    assert parsed.position("metrics", "accuracy") == (6, 13)
    assert parsed.position("metrics") == (5, 1)
    assert parsed.position("artifacts", 0, "file") == (9, 11)
    assert parsed.position("artifacts", 0) == (8, 5)
    assert parsed.position("artifacts", 0, "parity", "rows") == (8, 5)
    assert parsed.position("author", "email") == (4, 30)
    assert parsed.position("lineage") == (1, 1)
    assert parsed.position() == (1, 1)


def test_two_readings_of_the_same_bytes_are_equal() -> None:
    assert parse(VERSION.encode(), PATH, Version) == parse(VERSION.encode(), PATH, Version)


def test_a_path_says_which_kind_lies_there() -> None:
    folder = "models/credit-risk/versions/3"
    assert kind_at("registry.yaml") is Constitution
    assert kind_at("policies/access.yaml") is Access
    assert kind_at("policies/quality.yaml") is Policy
    assert kind_at("policies/waivers/quality-3.yaml") is Waiver
    assert kind_at("models/credit-risk/model.yaml") is Model
    assert kind_at(f"{folder}/version.yaml") is Version
    assert kind_at(f"{folder}/card.yaml") is Card
    assert kind_at(f"{folder}/evaluations/1.yaml") is Evaluation
    for path in (f"{folder}/model.skops.dvc", "README.md", "models/x", "policies/quality.yml", "", "../registry.yaml"):
        assert kind_at(path) is None


def test_many_errors_are_counted_and_the_first_is_told() -> None:
    error = error_of(MODEL + "deleted: [" + "a," * 300_000 + "]")
    assert error.hint.endswith("(and 299999 more)")


def test_reading_loads_neither_the_writer_of_comments_nor_heavy_libraries() -> None:
    script = "import sys, gitops_registry.manifest; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"ruamel.yaml", "jsonschema", "numpy", "dvc", "git", "rich", "click"} & set(loaded)


def accept_or_refuse(data: bytes, kind: type[Document]) -> None:
    """Any exception but ManifestError fails the test that calls this."""
    try:
        parse(data, PATH, kind)
    except ManifestError as caught:
        error = caught
    else:
        return
    assert str(error).isprintable()
    assert error.hint
    assert min(error.line, error.column) >= 1


kinds = st.sampled_from(list(KINDS.values()))
fragments = st.sampled_from(
    ["- ", "? ", ": ", "{", "}", "[", "]", ",", "&a ", "*a", "!!str ", "|\n", ">-\n", "'", '"', "\n", "\n  ", "\t", "#",
     "---\n", "...\n", "%YAML 1.2\n", "<<", "~", "kind: Model\n", "name: x\n", "stages:", "1", "1e9999", "9" * 5000,
     "\\u", "\\ud800", "\r", "\ufeff", "\u2028", "\0", "信", "\U0001f600", "[key]", "int", "a" * 2000]
)  # fmt: skip


@given(st.binary(max_size=200), kinds)
def test_no_bytes_bring_the_reader_down(data: bytes, kind: type[Document]) -> None:
    accept_or_refuse(data, kind)


@settings(max_examples=200)
@given(st.lists(fragments | st.text(max_size=5), max_size=25), kinds)
def test_no_yaml_brings_the_reader_down(parts: list[str], kind: type[Document]) -> None:
    text = f"kind: {kind.model_fields['kind'].default}\n" + "".join(parts)
    accept_or_refuse(text.encode("utf-8", "surrogatepass"), kind)


@settings(max_examples=200)
@given(st.data(), st.sampled_from([(MODEL, Model), (VERSION, Version)]))
def test_no_mutation_of_a_manifest_brings_the_reader_down(data: st.DataObject, of: tuple[str, type[Document]]) -> None:
    text, kind = of
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(fragments | st.text(max_size=3)) + text[end:]
    accept_or_refuse(text.encode("utf-8", "surrogatepass"), kind)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150)
@given(st.data(), kinds)
def test_no_value_in_any_field_brings_the_reader_down(data: st.DataObject, kind: type[Document]) -> None:
    keys = [field.alias or name for name, field in kind.model_fields.items() if name != "kind"]
    chosen = data.draw(st.dictionaries(st.sampled_from(keys), json_values, max_size=4))
    tree = {"kind": kind.model_fields["kind"].default, **chosen}
    accept_or_refuse(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"), kind)
