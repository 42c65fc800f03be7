"""What is written is canonical, says the same to every reader, and leaves people's own text alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitops_registry.manifest.columns import Parameter
from gitops_registry.manifest.facts import (
    Artifact,
    Code,
    Column,
    ConfusionMatrix,
    Environment,
    Evaluation,
    EvaluationData,
    Framework,
    Parity,
    Person,
    Signature,
    Training,
    Version,
)
from gitops_registry.manifest.figures import Classes, FormatFigures, Group, Slice
from gitops_registry.manifest.kinds import DEFAULT_STAGES, Access, Card, Constitution, Member, Model, Stage
from gitops_registry.manifest.parts import Document, plain
from gitops_registry.manifest.reading import parse
from gitops_registry.manifest.writing import dump, revise

PATH = "models/credit-risk/model.yaml"
FOLDER = "models/credit-risk/versions/3"
NOON = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
MODEL_ARTIFACT = Artifact(name="model", file="model.skops", format="skops", size=12, md5="0" * 32, sha256="b" * 64)
NASTY = [
    "", " ", "no", "No", "y", "n", "on", "yes", "true", "True", "null", "~", "1e5",
    "1E+5", "0x1F", "0o17", "0b1", "0012",
    "089", "1_000", "12:30:45", "2026-01-01", "2026-11-22T10:00:00Z", "1.9", ".5",
    "1.", "-", "---", "...", "- a", "? a",
    ": a", "a: b", "a:", "a #x", "#x", "'", '"', "it's", "'no'", "\\", "a\\nb",
    " a", "a ", "\ta", "a\tb", "\n", "a\n",
    "a\nb", "a\n\n b\n\n", "a\n  \n", " a\nb", "\na", "a\r\nb", "a\rb", "a \nb",
    "a\n#b", "a\n---\n", "\u2028", "a\u2028b",
    "a\u2029\nb", "\x85", "\ufeff", "\x00", "\x1b[2J", "\x7f", "\ufffe",
    "\u202eabc", "\u3000a", "\xa0", "😀", "👩\u200d🔬",
    "信用リスク", "=", "<<", "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "[a]", "{a}",
    "a, b", "[", "a]", "a?b", "a::b", ".inf",
    ".nan", "nan", "x" * 3000, "word " * 100, "https://x.example/y?z=1#a", "a:b",
    "a: 1\nb: 2", "+1", "+", "1__0", "0.",
]  # fmt: skip


def test_a_version_is_written_in_the_order_and_style_of_its_kind() -> None:
    version = Version(
        release="1.2.0",
        created=NOON.astimezone(timezone(timedelta(hours=9))),
        author=Person(name="Alice", email="alice@example.com"),
        task="binary-classification",
        framework=Framework(name="scikit-learn", version="1.9"),
        params={"n_estimators": 100, "rate": 1e-05, "gpu": None, "layers": (1, "no"), "note": "one\ntwo\n"},
        metrics={"accuracy": 0.892, "n": 1.0},
        confusion_matrix=ConfusionMatrix(labels=("reject", "no"), counts=((89, 11), (10, 90))),
        training=Training(rows=800, code=Code(repository="https://example.com/x", dirty=False)),
        signature=Signature(
            inputs=(Column(name="age", type="long"), Column(name="信用", type="double", required=False)),
            outputs=(Column(name="p", type="double", shape=(-1, 2)),),
        ),
        artifacts=(MODEL_ARTIFACT,),
        environment=Environment(python="3.11.7", platform="linux-x86_64", requirements=("numpy==2.4.6",)),
    )
    assert (
        dump(version, f"{FOLDER}/version.yaml").decode()
        == f"""kind: ModelVersion
schema_version: 1
release: 1.2.0
created: 2026-11-22T10:00:00Z
author: {{name: Alice, email: alice@example.com}}
task: binary-classification
framework: {{name: scikit-learn, version: '1.9'}}
params:
  n_estimators: 100
  rate: 1.0e-05
  gpu: null
  layers: [1, 'no']
  note: |
    one
    two
metrics:
  accuracy: 0.892
  'n': 1.0
confusion_matrix:
  labels: [reject, 'no']
  counts: [[89, 11], [10, 90]]
training:
  rows: 800
  code: {{repository: https://example.com/x, dirty: false}}
signature:
  inputs:
    - {{name: age, type: long}}
    - {{name: 信用, type: double, required: false}}
  outputs:
    - {{name: p, type: double, shape: [-1, 2]}}
artifacts:
  - name: model
    file: model.skops
    format: skops
    size: 12
    md5: '{"0" * 32}'
    sha256: {"b" * 64}
environment:
  python: 3.11.7
  platform: linux-x86_64
  requirements: [numpy==2.4.6]
"""
    )


def test_fields_at_their_default_are_left_out_but_for_kind_schema_version_and_name() -> None:
    stages = (Stage(name="a"), Stage(name="b"))
    assert dump(Constitution(stages=stages), "registry.yaml").decode().splitlines()[1:] == [
        "kind: Registry", "schema_version: 2", "name: registry", "stages:", "  - name: a", "  - name: b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "path", "schema"),
    [
        (Constitution(stages=DEFAULT_STAGES), "registry.yaml", ".schemas/registry.json"),
        (Access(), "policies/access.yaml", "../.schemas/access.json"),
        (Model(name="x"), "models/x/model.yaml", "../../.schemas/model.json"),
        (Card(), "models/x/versions/3/card.yaml", "../../../../.schemas/card.json"),
    ],
)
def test_files_for_people_start_with_the_way_to_their_schema(document: Document, path: str, schema: str) -> None:
    assert dump(document, path).decode().startswith(f"# yaml-language-server: $schema={schema}\nkind: ")


def test_blocks_of_parts_are_indented_below_their_key() -> None:
    constitution = Constitution(stages=(Stage(name="a"), Stage(name="b", from_=("a",), serving=True)))
    assert dump(constitution, "registry.yaml").decode().endswith(
        "stages:\n  - name: a\n  - name: b\n    from: [a]\n    serving: true\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    "number", [1e-05, 1e16, 1e300, 5e-324, 0.1 + 0.2, -0.0, 1.0, 123456789.123, 1.7976931348623157e308]
)
def test_a_float_comes_back_exactly_and_as_a_float_from_every_reader(number: float) -> None:
    version = Version(created=NOON, author=Person(name="A"), metrics={"x": number}, artifacts=(MODEL_ARTIFACT,))
    data = dump(version, f"{FOLDER}/version.yaml")
    for found in (parse(data, "v", Version).document.metrics["x"], yaml.safe_load(data)["metrics"]["x"]):
        assert repr(found) == repr(number)


def every_reader_agrees(document: Document, path: str = PATH) -> None:
    data = dump(document, path)
    back = parse(data, path, type(document)).document
    assert back == document
    assert {**plain(back), "created": 0} == {**plain(document), "created": 0}
    assert dump(back, path) == data
    loaded = yaml.safe_load(data)
    expected = plain(document)
    for key, value in loaded.items():
        if isinstance(value, datetime):
            assert value == datetime.fromisoformat(expected[key])
        else:
            contains(expected[key], value)


def contains(full: Any, part: Any) -> None:
    """`part` is `full`, perhaps without fields at their default; numbers and texts are of the same type."""
    if isinstance(part, dict):
        for key, value in part.items():
            contains(full[key], value)
    elif isinstance(part, list):
        assert len(full) == len(part)
        for one, other in zip(full, part, strict=True):
            contains(one, other)
    else:
        assert (type(full), full) == (type(part), part)


@pytest.mark.parametrize("text", NASTY)
def test_any_text_comes_back_unchanged_wherever_it_stands(text: str) -> None:
    every_reader_agrees(
        Model(name="x", title=text, owners=(text, "a", text), tags={text: text, "z": "z"}, deleted=(1,))
    )
    version = Version(
        created=NOON,
        author=Person(name=text, email=text),
        params={text: (text, 1, text), "a": text},
        artifacts=(MODEL_ARTIFACT,),
    )
    every_reader_agrees(version)


names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True).filter(lambda name: name != "templates")
aliases = names.filter(lambda name: name != "latest" and not name.removeprefix("v").isdigit())
texts = st.sampled_from(NASTY) | st.text(st.characters(codec="utf-8"), max_size=12)
lines = texts | st.lists(texts, max_size=4).map("\n".join)
numbers = st.integers(1, 999_999_999)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers() | floats | texts
params = scalars | st.lists(scalars, max_size=3).map(tuple)
metrics = st.dictionaries(texts, floats, max_size=3)
times = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(-timedelta(hours=12))]))
people = st.builds(Person, name=texts, email=texts)
counts = st.integers(0, 10**12)
columns = st.lists(
    st.builds(
        Column,
        name=texts,
        type=st.sampled_from(["long", "string"]),
        required=st.booleans(),
        nullable=st.none() | st.booleans(),
        shape=st.none() | st.lists(st.integers(-1, 2**40), max_size=2).map(tuple),
    )
    | st.builds(
        Column,
        name=texts,
        type=st.just("string"),
        categories=st.none() | st.lists(texts, min_size=1, max_size=2, unique=True).map(tuple),
    )
    | st.builds(
        Column,
        name=texts,
        type=st.just("integer"),
        dtype=st.none() | st.just("uint8"),
        minimum=st.none() | st.integers(-9, 0) | st.floats(-9, 0),
        maximum=st.none() | st.integers(1, 9),
    ),
    max_size=2,
).map(tuple)
matrices = st.integers(0, 3).flatmap(
    lambda size: st.builds(
        ConfusionMatrix,
        labels=st.tuples(*[scalars] * size),
        counts=st.tuples(*[st.tuples(*[counts] * size)] * size),
    )
)
data_sets = st.builds(EvaluationData, dataset=lines, rows=st.none() | counts, target=texts)
parities = st.builds(Parity, rows=numbers, agreement=st.floats(0, 1), max_difference=st.floats(0, 1e9))
slices = st.lists(
    st.builds(
        Slice,
        column=texts,
        groups=st.tuples(
            st.builds(Group, value=scalars, rows=numbers, metrics=st.dictionaries(names, floats, max_size=2))
        ),
    ),
    max_size=2,
).map(tuple)
parameters = st.lists(
    st.builds(Parameter, name=texts, type=st.just("double"), default=st.none() | floats),
    max_size=2,
).map(tuple)
figures = st.lists(
    st.builds(FormatFigures, format=texts, size=counts, save_ms=st.none() | st.floats(0, 1e6), runs=numbers), max_size=2
).map(tuple)
models = st.builds(
    Model, name=names, title=lines, description=lines, owners=st.lists(texts, max_size=3).map(tuple),
    tags=st.dictionaries(texts, lines, max_size=3), aliases=st.dictionaries(aliases, numbers, max_size=3),
    stages=st.dictionaries(names, st.just(()), max_size=3)
    | st.builds(lambda a, b: {a: (b, b + 1)}, names, st.integers(1, 99)),
)  # fmt: skip
versions = st.builds(
    Version, release=st.none() | st.just("1.2.0-rc.1+5"), created=times, author=people, model_type=texts, metrics=metrics,
    framework=st.none() | st.builds(Framework, name=texts, version=texts),
    params=st.dictionaries(texts, params, max_size=4),
    confusion_matrix=st.none() | matrices, evaluation=st.none() | data_sets,
    training=st.none()
    | st.builds(Training, dataset=lines, code=st.none() | st.builds(Code, repository=texts, commit=texts)),
    signature=st.none() | st.builds(Signature, inputs=columns, outputs=columns, parameters=parameters),
    classes=st.none() | st.builds(Classes, labels=st.tuples(scalars, scalars), scores=st.just("logits")), slices=slices,
    artifacts=st.tuples(
        st.builds(Artifact, name=names, file=st.just("model.bin"), format=lines, size=counts, md5=st.just("1" * 32),
                  sha256=st.just("2" * 64), parity=st.none() | parities)
    ),
    environment=st.none() | st.builds(Environment, python=texts, platform=texts, requirements=st.tuples(texts, texts), blas=texts),
)  # fmt: skip
cards = st.builds(Card, description=lines, intended_use=lines, limitations=lines, tags=st.dictionaries(texts, lines))
evaluations = st.builds(
    Evaluation,
    created=times,
    author=people,
    dataset=data_sets,
    metrics=metrics,
    confusion_matrix=st.none() | matrices,
    slices=slices,
    formats=figures,
)
constitutions = st.builds(
    Constitution, name=names, title=lines, direct=st.booleans(), approvals=st.integers(0, 10),
    stages=st.just(DEFAULT_STAGES)
    | st.builds(lambda title, to: (Stage(name="a", title=title), Stage(name="b", replaced_to=to)), lines, names),
    trusted_types=st.lists(texts, max_size=2).map(tuple), unmanaged=st.lists(texts, max_size=2).map(tuple),
)  # fmt: skip
accesses = st.builds(
    Access,
    members=st.lists(
        st.builds(Member, name=names, role=st.just("viewer")).flatmap(
            lambda m: st.sampled_from([m, m.model_copy(update={"email": f"{m.name}@x.example"})])
        ),
        max_size=3,
        unique_by=lambda m: m.name.lower(),
    ).map(tuple),
)  # fmt: skip
documents = models | versions | cards | evaluations | constitutions | accesses


@settings(max_examples=150)
@given(documents)
@example(Card(description="a\n" * 3, tags={"k" * 2000: "one\ntwo"}))
@example(Version(created=datetime.min.replace(tzinfo=timezone(timedelta(hours=9))), author=Person(name="A"),
                 artifacts=(MODEL_ARTIFACT,)))  # fmt: skip
def test_writing_and_reading_give_the_same_value_and_the_same_bytes(document: Document) -> None:
    every_reader_agrees(document)


# ── edits of what people wrote

PEOPLE = """\
# Talk to the risk team before you touch this.
kind: Model   # see the handbook
name: credit-risk
schema_version: 2
title: '信用'   # Japanese
description: |
  first

  second
# the owners
owners: [a,  b]   # who
tags: {domain: credit, "no": "yes"}   # free
stages:
    # what customers see
    production: [2]  # since May
    # next
    staging: [1, 3]

aliases: {champion: 2}
deleted: []     # never reused
"""


def edited(old: str, **changes: Any) -> str:
    document = parse(old.encode(), PATH, Model).document
    after = Model.model_validate({**document.model_dump(), **changes})
    result = revise(old.encode(), after, PATH)
    assert parse(result, PATH, Model).document == after
    return result.decode()


def test_an_edit_changes_only_the_lines_of_what_changed() -> None:
    new = edited(PEOPLE, stages={"production": (3,), "staging": (1,)}, aliases={"champion": 3})
    expected = PEOPLE.replace("[2]", "[3]").replace("[1, 3]", "[1]").replace("champion: 2", "champion: 3")
    assert new == expected


def test_an_edit_that_changes_nothing_gives_the_same_bytes() -> None:
    assert edited(PEOPLE) == PEOPLE


def test_a_new_key_is_put_where_the_kind_has_it() -> None:
    new = edited(PEOPLE, stages={"production": (2,), "archived": (1,), "staging": (3,)})
    assert "    production: [2]  # since May\n    archived: [1]\n    # next\n    staging: [3]\n" in new


def test_a_key_that_went_leaves_with_its_line_only() -> None:
    new = edited(PEOPLE, aliases={}, stages={"production": (2,)})
    assert new == PEOPLE.replace("aliases: {champion: 2}\n", "").replace("    staging: [1, 3]\n", "")


def test_a_default_that_somebody_wrote_out_stays() -> None:
    assert "deleted: []     # never reused\n" in edited(PEOPLE, title="x")


STAGED = """\
kind: Registry
schema_version: 2
name: x
stages:
# first
- name: development
- name: staging   # half way
  from: [development]  # only
# last
- {name: production, serving: true}  # customers
- name: archived
unmanaged: []  # nothing
"""


def restaged(*stages: Stage, old: str = STAGED) -> str:
    document = parse(old.encode(), "registry.yaml", Constitution).document
    after = document.model_copy(update={"stages": (*stages, ARCHIVED)})
    result = revise(old.encode(), after, "registry.yaml")
    assert parse(result, "registry.yaml", Constitution).document == after
    return result.decode()


DEVELOPMENT, STAGING, PRODUCTION, ARCHIVED = parse(STAGED.encode(), "registry.yaml", Constitution).document.stages


def test_an_item_that_comes_goes_or_changes_leaves_the_comments_of_the_others() -> None:
    new = Stage(name="shadow")
    assert restaged(DEVELOPMENT, new, STAGING, PRODUCTION) == STAGED.replace("- name: staging ", "- name: shadow\n- name: staging ")  # fmt: skip
    assert restaged(DEVELOPMENT, STAGING) == STAGED.replace("- {name: production, serving: true}  # customers\n", "")
    changed = STAGING.model_copy(update={"from_": ("production",), "exclusive": True})
    assert restaged(DEVELOPMENT, changed, PRODUCTION) == STAGED.replace("[development]  # only\n", "[production]  # only\n  exclusive: true\n")  # fmt: skip
    longer = PRODUCTION.model_copy(update={"exclusive": True})
    assert restaged(DEVELOPMENT, STAGING, longer).endswith("- name: production  # customers\n  serving: true\n  exclusive: true\n- name: archived\nunmanaged: []  # nothing\n")  # fmt: skip
    assert restaged(DEVELOPMENT, new, old=STAGED.replace("\n", "\r\n")).count("\r\n") == 10


def test_items_in_another_order_are_written_anew() -> None:
    assert "- name: production\n  serving: true\n- name: staging\n" in restaged(DEVELOPMENT, PRODUCTION, STAGING)


def test_text_of_several_lines_replaces_text_of_one_and_the_comment_stays() -> None:
    assert "title: |-  # Japanese\n  one\n  two\ndescription: |\n" in edited(PEOPLE, title="one\ntwo")
    assert "description: one\n# the owners\n" in edited(PEOPLE, description="one")
    assert "description: |-\n  1\n  2\n# the owners\n" in edited(PEOPLE, description="1\n2")


def test_a_mapping_on_one_line_stays_on_one_line() -> None:
    assert "tags: {domain: credit, more: 'no'}   # free\n" in edited(PEOPLE, tags={"domain": "credit", "more": "no"})


def test_long_lines_are_not_wrapped() -> None:
    old = PEOPLE + f"# {'x ' * 200}\n"
    old = old.replace("'信用'", "word " * 100 + "end")
    assert edited(old, deleted=(9,)) == old.replace("deleted: []", "deleted: [9]")


def test_a_list_of_lines_stays_a_list_of_lines() -> None:
    old = PEOPLE.replace("owners: [a,  b]   # who", "owners:\n- a\n- b")
    assert "owners:\n- a\n- c\ntags" in edited(old, owners=("a", "c"))


def test_windows_line_ends_stay() -> None:
    old = PEOPLE.replace("\n", "\r\n")
    new = edited(old, title="one\ntwo", aliases={"champion": 2, "x": 1}, deleted=(8,))
    assert new.count("\n") == new.count("\r\n")


def test_a_file_without_a_last_line_break_gets_one() -> None:
    assert edited("kind: Model # x\nschema_version: 2\nname: a", title="b") == (
        "kind: Model # x\nschema_version: 2\nname: a\ntitle: b\n"
    )


def test_canonical_bytes_stay_canonical() -> None:
    before, after = Model(name="x", title="a", tags={"k": "v"}), Model(name="x", aliases={"champion": 1})
    assert revise(dump(before, PATH), after, PATH) == dump(after, PATH)


@pytest.mark.parametrize("old", [b"", b"\xff", b"kind: Model\nname: x\nzzz: 1\n", b"{kind: Model, name: x}\n"])
def test_what_cannot_be_edited_is_written_anew(old: bytes) -> None:
    assert revise(old, Model(name="y"), PATH) == dump(Model(name="y"), PATH)


def test_a_number_that_became_true_is_a_change() -> None:
    before = Version(created=NOON, author=Person(name="A"), params={"x": 1}, artifacts=(MODEL_ARTIFACT,))
    after = Version(created=NOON, author=Person(name="A"), params={"x": True}, artifacts=(MODEL_ARTIFACT,))
    old = "# facts\n" + dump(before, "v").decode()
    assert revise(old.encode(), after, "v").decode() == old.replace("x: 1\n", "x: true\n")


@settings(max_examples=120)
@given(models, models)
def test_any_edit_gives_exactly_the_value_asked_for_and_keeps_the_comments(old: Model, new: Model) -> None:
    text = b"# ours\n" + dump(old, PATH)
    result = revise(text, new, PATH)
    assert plain(parse(result, PATH, Model).document) == plain(new)
    assert result.startswith(b"# ours\n")
    assert revise(result, new, PATH) == result
