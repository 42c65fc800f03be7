"""A Bento: a folder that `bentoml serve` serves over HTTP, and that runs without this package and the registry.

Its service compares the model's SHA-256 before it opens it, answers rows in batches, and refuses those that do not fit the
signature. BentoML's own stores on this machine are left alone.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from shlex import quote
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.exports.carrying import MODULE, Carried, about_bytes, carried, must_be_there, python_of
from gitops_registry.exports.subject import Subject, Written

_SERVICE = "registered_service"
_SERVED = frozenset({"double", "float", "integer", "long", "boolean", "string", "datetime"})


def write(subject: Subject, target: Path) -> Written:
    """Write a folder with the Bento `NAME:NUMBER`, its files in `src`.

    Raises RegistryError without BentoML, without a signature of columns, and where BentoML cannot build it.
    """
    model = _served(subject)
    tag = _tag(subject.reference.name)
    model = replace(model, said={**model.said, "service": tag})
    with tempfile.TemporaryDirectory(prefix="gitops-registry-") as folder, _own_stores(Path(folder) / "home") as bentos:
        source = Path(folder) / "source"
        source.mkdir()
        model.write(source)
        model.write_module(source)
        template = resources.files("gitops_registry") / "templates" / "exports" / f"{_SERVICE}.py"
        (source / f"{_SERVICE}.py").write_bytes(template.read_bytes())
        (source / "README.md").write_text(subject.card_text, encoding="utf-8")
        target.mkdir()
        mode = target.stat().st_mode
        shutil.copytree(_built(subject, model, tag, source, bentos), target, dirs_exist_ok=True)
        target.chmod(mode)  # BentoML's own folder is for one user alone
    # BentoML 1.4 looks for a relative path inside of that path: only in the folder itself is one understood.
    serve = f"serve it: cd {quote(str(target))} && bentoml serve ."
    return Written(target, (*_notes(subject, model), serve))


def _served(subject: Subject) -> Carried:
    signature = subject.version.signature
    if signature is None or not signature.inputs:
        raise RegistryError(
            f"{subject.reference} has no signature, so a service could not check what it is sent",
            hint="register it with rows (--data), or export the file: --to onnx",
        )
    odd = next((column for column in signature.inputs if column.shape or column.type not in _SERVED), None)
    if odd is not None:
        what = "a tensor" if odd.shape else odd.type
        other = (
            "serve tensors by the Open Inference Protocol: --to openinference"
            if subject.artifact("onnx")
            else "register it with a table, a column for each number of a row; or: --to mlflow, which takes arrays"
        )
        raise RegistryError(
            f"the input {odd.name!r} of {subject.reference} is {what}, which rows of JSON here do not carry", hint=other
        )
    return carried(subject)


def _built(subject: Subject, model: Carried, tag: str, source: Path, bentos: Any) -> Path:
    import bentoml

    here, imports = Path.cwd(), list(sys.path)
    labels = {"model": tag, "version": str(subject.reference.number), "commit": subject.commit[:40]}
    try:
        bento = bentoml.bentos.build(
            service=f"{_SERVICE}:RegisteredService", name=tag, version=str(subject.reference.number),
            labels={key: value for key, value in labels.items() if value},
            include=["*"], build_ctx=str(source),
            python={"packages": list(model.requirements), "lock_packages": False},
            docker={"python_version": python_of(subject)}, _bento_store=bentos,
        )  # fmt: skip
    except Exception as error:  # BentoML's own classes, and whatever it stumbles over
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise RegistryError(
            f"BentoML cannot build a Bento of {subject.reference}: {lines[0]}", hint="see: gitops-registry doctor"
        ) from error
    finally:
        # A build that fails leaves this process in its folder, and the folder, which is about to go, in the path of imports.
        os.chdir(here)
        sys.path[:] = imports
        for module in (_SERVICE, MODULE):  # the next Bento has modules of the same names
            sys.modules.pop(module, None)
    return Path(bento.path)


@contextmanager
def _own_stores(home: Path) -> Iterator[Any]:
    """Yield a store of Bentos in a folder of ours; BentoML uses it and nothing of the user's as long as this lasts."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    try:
        from bentoml._internal.bento import BentoStore
        from bentoml._internal.configuration.containers import BentoMLContainer
        from bentoml._internal.models import ModelStore
    except ImportError as error:
        raise RegistryError("a Bento needs BentoML", hint="pip install 'gitops-registry[bentoml]'") from error
    for name in ("bentos", "models", "tmp"):
        (home / name).mkdir(parents=True)
    store = BentoStore(str(home / "bentos"))
    ours = {
        BentoMLContainer.bentoml_home: str(home),
        BentoMLContainer.tmp_bento_store_dir: str(home / "tmp"),
        BentoMLContainer.bento_store: store,
        BentoMLContainer.model_store: ModelStore(str(home / "models")),
    }
    for provider, value in ours.items():
        provider.set(value)
    try:
        yield store
    finally:
        for provider in ours:
            provider.reset()


def _tag(name: str) -> str:
    """Return a model's name as BentoML takes one: lower case, at most 63 signs, its ends letters or digits."""
    return re.sub(r"[^a-z0-9]+$", "", name.lower()[:63]) or "model"


def _notes(subject: Subject, model: Carried) -> tuple[str, ...]:
    signature = subject.version.signature
    assert signature is not None
    notes = list(about_bytes(model))
    filled = [
        column.name
        for column in signature.inputs
        if must_be_there(column, model.artifact.format, model.said["missing"])
        and (column.may_be_missing or not column.required)
    ]
    if filled:
        notes.append(f"text may not be missing in ONNX, so the service insists on {', '.join(map(repr, filled))}")
    if signature.parameters:
        names = ", ".join(parameter.name for parameter in signature.parameters)
        notes.append(f"parameters of prediction are no part of the service: {names}")
    notes.append("it knows nothing of stages and aliases: a Bento is this version for ever")
    return tuple(notes)
