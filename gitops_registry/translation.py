"""What another registry says about a model and its versions, as fields of our manifests.

Whatever the values are, the result is a valid manifest: what does not fit is left out and named. Nothing here opens a
file; the model's own description (MLmodel) comes as plain data.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitops_registry.foreign import ForeignModel, ForeignRun, ForeignVersion
from gitops_registry.manifest.facts import Code, Column, Environment, Framework, Lineage, Person, Signature, Training
from gitops_registry.manifest.kinds import Card, Constitution
from gitops_registry.manifest.parts import Param
from gitops_registry.paths import name_problem

_LONGEST_TEXT = 20_000
_LONGEST_VALUE = 5_000
_LONGEST_KEY = 250
_ROOM = 200_000
"""Characters of tags, of params or of metrics in one manifest, which may have 1 MiB."""
_NAMED = 5
"""As many keys are named one by one where something is left out."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?")
_WORDS: dict[str, Param] = {"True": True, "False": False, "None": None}

_DTYPES = {
    "bool": "boolean", "int8": "integer", "int16": "integer", "int32": "integer", "uint8": "integer", "uint16": "integer",
    "int64": "long", "uint32": "long", "uint64": "long", "float16": "float", "float32": "float", "float64": "double",
    "object": "string", "str": "string", "bytes": "binary",
}  # fmt: skip
_TYPES = frozenset({"boolean", "integer", "long", "float", "double", "string", "binary", "datetime"})
_CARD_FIELDS = (
    "intended_use", "out_of_scope", "limitations", "training_data", "ethical_considerations", "license", "contact",
)  # fmt: skip
"""Tags that are words of a card: MLflow has no other place for them."""
_LIBRARIES = {"sklearn": "scikit-learn", "pytorch": "torch", "tensorflow": "tensorflow", "keras": "keras"}
_PICKLES = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".pth", ".pt")
_GENERIC = frozenset({"python_function", "python_function_no_conda"})


@dataclass(frozen=True)
class Described:
    """What a model folder says about itself: MLmodel as plain data, its requirements, and what could not be read."""

    mlmodel: Mapping[str, Any]
    requirements: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Translation:
    """Fields of version.yaml (all but its artifacts), the words of its card, and what was left out."""

    facts: Mapping[str, Any]
    card: Card
    notes: tuple[str, ...] = ()


def our_model(model: ForeignModel, name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the first state of a model that is called `name` here (title, description, tags), and what was left out."""
    notes: list[str] = []
    fields: dict[str, Any] = {
        "description": _text(model.description, "description", notes),
        "tags": _tags(model.tags, notes),
    }
    if name != model.name:
        fields["title"] = _text(model.name, "name", notes)
    return {key: value for key, value in fields.items() if value}, tuple(notes)


def our_aliases(law: Constitution, model: ForeignModel, kept: Mapping[str, int]) -> tuple[dict[str, int], list[str]]:
    """Return alias → version for the aliases that can be taken over beside those that are `kept`, and what was left out.

    An alias that is here already stays as it is: whoever moved it here meant it.
    """
    found: dict[str, int] = {}
    notes: list[str] = []
    here = {alias.lower(): number for alias, number in kept.items()}
    for alias, number in sorted(model.aliases.items()):
        folded = alias.lower()
        is_word = folded == "latest" or folded.removeprefix("v").isdigit() or law.stage(alias) is not None
        if name_problem(alias) or is_word:
            notes.append(f"the alias {_shown(alias)} of version {number} is no name that an alias can have here")
        elif folded in here:
            if here[folded] != number:
                notes.append(f"the alias {alias} names version {here[folded]} here and {number} there; it stays")
        else:
            found[alias] = here[folded] = number
    return found, notes


def our_version(
    version: ForeignVersion, run: ForeignRun, described: Described, importer: tuple[str, str]
) -> Translation:
    """Return the facts and words of a version. `importer` is the name and mail of who imports it.

    All metrics are claims: nothing was measured here.
    """
    notes = [*described.notes, *_pickles(described.mlmodel)]
    metrics = _metrics(run.metrics, notes)
    author = _line(version.user or run.user, _LONGEST_KEY)
    framework = framework_of(described.mlmodel)
    commit = _line(run.tags.get("mlflow.source.git.commit", ""), 64)
    facts = {
        "created": version.created,
        "author": Person(name=author) if author else Person(name=importer[0], email=importer[1]),
        "model_type": _model_type(described.mlmodel, run),
        "framework": framework,
        "params": _params(run.params, notes),
        "metrics": metrics,
        "claimed": tuple(metrics),
        "training": Training(code=Code(commit=commit)) if commit else None,
        "signature": signature_of(described.mlmodel.get("signature"), notes),
        "environment": _environment(described),
        "lineage": Lineage(run=lineage(version)) if version.run else None,
    }
    words = {field: _text(version.tags[field], field, notes) for field in _CARD_FIELDS if field in version.tags}
    tags = {key: value for key, value in version.tags.items() if key not in _CARD_FIELDS}
    words["description"] = _text(version.description, "description", notes)
    card = Card.model_validate({**words, "tags": _tags(tags, notes)})
    return Translation({key: value for key, value in facts.items() if value is not None}, card, tuple(notes))


def lineage(version: ForeignVersion) -> str:
    """Return what `lineage.run` says of a version; empty without a run."""
    return f"mlflow:{_line(version.run, _LONGEST_KEY)}" if version.run else ""


# ── words, tags, numbers


def _text(text: str, what: str, notes: list[str]) -> str:
    """Return text of several lines without control characters, cut where it is too long."""
    clean = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    if clean != text.replace("\r\n", "\n").replace("\r", "\n"):
        notes.append(f"control characters of the {what} were left out")
    if len(clean) > _LONGEST_TEXT:
        notes.append(f"the {what} has {len(clean):,} characters and was cut at {_LONGEST_TEXT:,}")
    return clean[:_LONGEST_TEXT].strip()


def _line(text: str, limit: int) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)[:limit].strip()


def _shown(text: str) -> str:
    line = _line(text, 60)
    return repr(line) + ("…" if len(text) > 60 else "")


def _tags(tags: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """Return the tags that fit: a printable key, a value without control characters, not too long."""
    good = {
        key: value
        for key, value in tags.items()
        if _is_key(key) and len(value) <= _LONGEST_VALUE and not _CONTROL.search(value)
    }
    return _within(good, tags, "tag", notes)


def _metrics(metrics: Mapping[str, float], notes: list[str]) -> dict[str, float]:
    """Return the metrics that are finite numbers, under keys that fit. MLflow keeps the infinite as the largest number."""
    finite = {key: float(value) for key, value in metrics.items() if abs(value) < sys.float_info.max}
    lost = sorted(set(metrics) - set(finite))
    if lost:
        notes.append(f"left out, for it is no finite number: {_some('metric', lost)}")
    return _within({key: value for key, value in finite.items() if _is_key(key)}, finite, "metric", notes)


def _params(params: Mapping[str, str], notes: list[str]) -> dict[str, Param]:
    """Return the parameters that fit; what is spelled as Python spells a number or a truth value becomes one."""
    good = {
        key: _value(value)
        for key, value in params.items()
        if _is_key(key) and len(value) <= _LONGEST_VALUE and not _CONTROL.search(value)
    }
    return _within(good, params, "param", notes)


def _value(text: str) -> Param:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if len(text) <= 32 and _FLOAT.fullmatch(text) and repr(float(text)) == text:
        return float(text)
    return text


def _is_key(key: str) -> bool:
    return 0 < len(key) <= _LONGEST_KEY and key.isprintable() and key == key.strip()


def _within(good: dict[str, Any], all_of: Mapping[str, Any], what: str, notes: list[str]) -> dict[str, Any]:
    """Return what there is room for, in order of key, and name what of the whole is left out."""
    kept: dict[str, Any] = {}
    room = _ROOM
    for key in sorted(good):
        room -= len(key) + len(str(good[key])) + 8
        if room < 0:
            break
        kept[key] = good[key]
    lost = sorted(set(all_of) - set(kept))
    if lost:
        notes.append(f"left out, for it does not fit: {_some(what, lost)}")
    return kept


def _some(what: str, keys: Sequence[str]) -> str:
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return f"{what} {', '.join(map(_shown, keys[:_NAMED]))}{more}"


# ── what the model folder says


def flavor_of(mlmodel: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the flavor that says most: the first that is not the generic one; an empty name without any."""
    flavors = mlmodel.get("flavors")
    known = {k: v for k, v in flavors.items() if isinstance(v, dict)} if isinstance(flavors, dict) else {}
    name = next((name for name in sorted(known, key=lambda name: (name in _GENERIC, name == "onnx", name))), "")
    return (name, known[name]) if name else ("", {})


def _pickles(mlmodel: Mapping[str, Any]) -> list[str]:
    """Say which files run code when somebody opens them, as far as the flavors name them."""
    flavors = mlmodel.get("flavors")
    told = [flavor for flavor in flavors.values() if isinstance(flavor, dict)] if isinstance(flavors, dict) else []
    values = {value for flavor in told for value in flavor.values() if isinstance(value, str)}
    found = sorted(value for value in values if value.lower().endswith(_PICKLES))
    return [f"{_shown(found[0])} is a pickle, which nothing here opens"] if found else []


def framework_of(mlmodel: Mapping[str, Any]) -> Framework | None:
    """Return the library that made a model and its version; None where no flavor says."""
    name, flavor = flavor_of(mlmodel)
    if not name:
        return None
    name = "pyfunc" if name in _GENERIC else name
    keys = sorted(
        key for key in flavor if key.endswith("_version") and key not in {"python_version", "cloudpickle_version"}
    )
    version = next((flavor[key] for key in keys if isinstance(flavor[key], str | int | float)), "")
    return Framework(name=_line(_LIBRARIES.get(name, name), _LONGEST_KEY), version=_line(str(version), _LONGEST_KEY))


def _model_type(mlmodel: Mapping[str, Any], run: ForeignRun) -> str:
    """Return the class of the model where its flavor names one, or the run that fitted it does."""
    named = flavor_of(mlmodel)[1].get("model_class")
    text = named if isinstance(named, str) else run.tags.get("estimator_name", "")
    return _line(text.rpartition(".")[2], _LONGEST_KEY)


def _environment(described: Described) -> Environment | None:
    flavors = described.mlmodel.get("flavors")
    generic = flavors.get("python_function") if isinstance(flavors, dict) else None
    python = generic.get("python_version") if isinstance(generic, dict) else None
    if not isinstance(python, str | int | float) and not described.requirements:
        return None
    version = _line(str(python), 40) if isinstance(python, str | int | float) else "unknown"
    return Environment(python=version, platform="unknown", requirements=described.requirements)


def signature_of(told: Any, notes: list[str]) -> Signature | None:
    """Return the signature where every type of it is one of ours; else None, with a note that says why."""
    if not isinstance(told, dict):
        return None
    sides: dict[str, tuple[Column, ...]] = {}
    for side, alone in (("inputs", "input"), ("outputs", "output")):
        try:
            columns = json.loads(told[side][:_ROOM]) if isinstance(told.get(side), str) else []
            sides[side] = _columns(columns, alone)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            notes.append(f"the signature was left out: its {side} are of types that a signature here has not")
            return None
    return Signature(inputs=sides["inputs"], outputs=sides["outputs"]) if any(sides.values()) else None


def _columns(told: Sequence[Mapping[str, Any]], alone: str) -> tuple[Column, ...]:
    """Return columns in order; those without a name are called by what they are. Raises ValueError for other types."""
    if not isinstance(told, list) or len(told) > 10_000:
        raise ValueError
    columns = []
    for place, column in enumerate(told):
        name = column.get("name") or (alone if len(told) == 1 else f"{alone}_{place}")
        shape = None
        kind = column["type"]
        if kind == "tensor":
            spec = column["tensor-spec"]
            kind, shape = _DTYPES.get(spec["dtype"], ""), tuple(spec["shape"])
        is_shape = shape is None or all(type(size) is int and -1 <= size < 2**31 for size in shape)
        if kind not in _TYPES or not isinstance(name, str) or not _is_key(name) or not is_shape:
            raise ValueError
        required = column.get("required", not column.get("optional", False)) is not False
        columns.append(Column(name=name, type=kind, required=required, shape=None if shape == (-1,) else shape))
    if len({column.name for column in columns}) != len(columns):
        raise ValueError
    return tuple(columns)
