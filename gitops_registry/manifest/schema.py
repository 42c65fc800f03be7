"""JSON Schemas of the kinds, so that editors complete and check the files people write.

A schema accepts every file the reader accepts and refuses unknown keys and wrong types; the rules that JSON
Schema cannot say (a version in two stages, a reserved alias) are left to the reader.
"""

from __future__ import annotations

import json
from typing import Any

from gitops_registry.manifest.kinds import KINDS
from gitops_registry.manifest.parts import Document

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(kind: type[Document]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one kind, with its keys spelled as in the file."""
    schema = kind.model_json_schema(by_alias=True, mode="validation")
    schema["title"] = f"{kind.schema_name} ({kind.model_fields['kind'].default})"
    schema["required"] = ["kind", *(key for key in schema.get("required", ()) if key != "kind")]
    return {"$schema": DIALECT, **schema}


def schema_files() -> dict[str, bytes]:
    """Return path in the repository and bytes of the schema of every kind that people write."""
    return {
        f".schemas/{kind.schema_name}.json": _pretty(json_schema(kind)) for kind in KINDS.values() if kind.by_people
    }


def _pretty(schema: dict[str, Any]) -> bytes:
    return (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode()
