"""The little language of `search`: what it reads, and what it says where it cannot."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_registry.errors import RegistryError
from gitops_registry.query import Compare, Every, Field, Opposite, Order, Some, Value, parse_filter, parse_order


def compare(field: str, operator: str, *values: str, quoted: bool = False) -> Compare:
    name, _, key = field.partition(".")
    return Compare(Field(name, key), operator, tuple(Value(value, quoted) for value in values))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Every()),
        ("  ", Every()),
        ("stage = production", compare("stage", "=", "production")),
        ("stage='production'", compare("stage", "=", "production", quoted=True)),
        ('stage == "it""s"', compare("stage", "=", 'it"s', quoted=True)),
        ("metrics.accuracy>=.9", compare("metrics.accuracy", ">=", ".9")),
        ("metrics.a <> -1e-3", compare("metrics.a", "!=", "-1e-3")),
        ("created > 2026-11-01", compare("created", ">", "2026-11-01")),
        ("release = 1.2.0", compare("release", "=", "1.2.0")),
        ("model = a", compare("name", "=", "a")),
        ("VERSION IN (1, 2)", compare("number", "in", "1", "2")),
        ("name not like 'a%'", Opposite(compare("name", "like", "a%", quoted=True))),
        ("alias is null", Compare(Field("alias"), "null")),
        ("alias IS NOT NULL", Opposite(Compare(Field("alias"), "null"))),
        ('params."max depth" = 3', Compare(Field("params", "max depth"), "=", (Value("3", is_quoted=False),))),
        ("tags.a.b = x", Compare(Field("tags", "a.b"), "=", (Value("x", is_quoted=False),))),
        ("tags.種類 = 信用", compare("tags.種類", "=", "信用")),
        ("not (name = a or name = b) and number = 1",
         Every((Opposite(Some((compare("name", "=", "a"), compare("name", "=", "b")))), compare("number", "=", "1")))),
        ("name = a or name = b and number = 1",
         Some((compare("name", "=", "a"), Every((compare("name", "=", "b"), compare("number", "=", "1")))))),
    ],
)  # fmt: skip
def test_a_filter_says_what_it_reads_like(text: str, wanted: object) -> None:
    assert parse_filter(text) == wanted


def test_an_order_names_fields_and_directions() -> None:
    assert parse_order("metrics.f1 desc, name, created ASC") == (
        Order(Field("metrics", "f1"), is_descending=True), Order(Field("name")), Order(Field("created")),
    )  # fmt: skip
    assert parse_order("") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metrics = 1", "metrics needs a key at character 1"),
        ("accuracy > 0.9", "there is no field 'accuracy'"),
        ("nam = a", "there is no field 'nam'"),
        ("name.x = a", "there is no field 'name.x'"),
        ("name =", "it ends where a value is expected"),
        ("name", "where a comparison"),
        ("name = a b", "character 10: there is 'b' where and, or, or the end is expected"),
        ("(name = a", "it ends where ')' is expected"),
        ("name = a)", "there is ')'"),
        ("name in ()", "where a value is expected"),
        ("name is a", "where null is expected"),
        ("= 1", "where the name of a field is expected"),
        ("name = 'a", "cannot be read at character 8"),
        ("name ~ a", "where a comparison"),
        ("name = ; drop table version", "there is 'drop'"),
        ("not " * 60 + "name = a", "nested deeper"),
        ("(" * 60 + "name = a" + ")" * 60, "nested deeper"),
        ("name = a and " * 1000, "characters; at most"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place_and_an_example(text: str, said: str) -> None:
    with pytest.raises(RegistryError) as told:
        parse_filter(text)
    assert said in told.value.message
    assert told.value.hint


@given(st.text(alphabet="()=<>!'\",. \nabcnotdrAND_0159é\x00-", max_size=60))
def test_any_text_is_a_filter_or_one_line_of_error(text: str) -> None:
    for parse in (parse_filter, parse_order):
        with suppress(RegistryError):
            parse(text)
