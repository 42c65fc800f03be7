"""The JSON Schemas accept what we write and refuse what the reader refuses."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from gitops_registry.auditing.compliance import shipped
from gitops_registry.manifest.kinds import DEFAULT_STAGES, KINDS, Access, Card, Constitution, Member, Model, Stage
from gitops_registry.manifest.parts import Document
from gitops_registry.manifest.schema import json_schema, schema_files
from gitops_registry.manifest.writing import dump

DOCUMENTS: list[Document] = [
    Constitution(stages=(Stage(name="a"), Stage(name="b", from_=("a",), serving=True))),
    Constitution(stages=DEFAULT_STAGES),
    Model(name="credit-risk", title="信用", owners=("a", "b"), stages={"production": (2,)}, aliases={"champion": 2}),
    Card(intended_use="one\ntwo", tags={"no": "yes"}),
    Access(members=(Member(name="alice", role="admin"),)),
]
BAD: list[tuple[type[Document], dict[str, Any]]] = [
    (Model, {"kind": "Model", "schema_version": 2, "name": "x", "titel": "y"}),
    (Model, {"kind": "ModelCard", "schema_version": 1, "name": "x"}),
    (Model, {"schema_version": 1, "name": "x"}),
    (Model, {"kind": "Model", "schema_version": 3, "name": "x"}),
    (Model, {"kind": "Model", "schema_version": 2}),
    (Model, {"kind": "Model", "name": "x", "stages": {"production": [0]}}),
    (Model, {"kind": "Model", "name": "x", "owners": "a"}),
    (Constitution, {"kind": "Registry", "stages": [{"name": "a", "from_": []}, {"name": "b"}]}),
    (Access, {"kind": "Access", "members": [{"name": "a", "role": "b", "kind": "robot"}]}),
]


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_kind_has_a_valid_schema_that_says_what_it_is(kind: type[Document]) -> None:
    schema = json_schema(kind)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert kind.__doc__ is not None
    assert schema["title"]
    assert schema["description"] == inspect.cleandoc(kind.__doc__)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_we_write_satisfies_the_schema(document: Document) -> None:
    written = yaml.safe_load(dump(document, "registry.yaml"))
    Draft202012Validator(json_schema(type(document))).validate(written)


@pytest.mark.parametrize(("kind", "bad"), BAD)
def test_what_the_reader_refuses_for_its_keys_and_types_the_schema_refuses_too(
    kind: type[Document], bad: dict[str, Any]
) -> None:
    assert not Draft202012Validator(json_schema(kind)).is_valid(bad)


def test_the_schema_files_are_those_of_the_kinds_people_write() -> None:
    files = schema_files()
    assert set(files) == {
        f".schemas/{name}.json" for name in ("registry", "model", "card", "access", "policy", "waiver", "audit-profile")
    }
    for path, data in files.items():
        assert data.endswith(b"}\n")
        kind = next(kind for kind in KINDS.values() if path == f".schemas/{kind.schema_name}.json")
        assert json.loads(data) == json_schema(kind)


def test_profiles_that_are_shipped_satisfy_the_schema_that_auditors_write_by() -> None:
    validator = Draft202012Validator(json_schema(KINDS["AuditProfile"]))
    for text in shipped().values():
        validator.validate(yaml.safe_load(text))
    nobody = {"id": "a", "title": "b", "approvals": {"count": 0}}
    assert not validator.is_valid({"kind": "AuditProfile", "name": "ours", "requirements": [nobody]})
    assert not validator.is_valid({"kind": "AuditProfile", "name": "ours", "requirements": []})


def test_the_schema_files_are_the_same_every_time() -> None:
    assert schema_files() == schema_files()


def test_every_file_that_names_a_schema_names_one_that_is_written() -> None:
    for document in DOCUMENTS:
        first = dump(document, "registry.yaml").decode().splitlines()[0]
        assert first.removeprefix("# yaml-language-server: $schema=") in schema_files()
