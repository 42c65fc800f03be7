"""Every YAML kind of a registry: read strictly with line numbers, written canonically, described by JSON Schema."""

from gitops_registry.manifest.facts import Evaluation, Version
from gitops_registry.manifest.kinds import KINDS, Access, Card, Constitution, Model
from gitops_registry.manifest.parts import Document
from gitops_registry.manifest.reading import Parsed, kind_at, parse
from gitops_registry.manifest.schema import json_schema, schema_files
from gitops_registry.manifest.writing import dump, revise

__all__ = [
    "KINDS",
    "Access",
    "Card",
    "Constitution",
    "Document",
    "Evaluation",
    "Model",
    "Parsed",
    "Version",
    "dump",
    "json_schema",
    "kind_at",
    "parse",
    "revise",
    "schema_files",
]
