"""Pointer files: the `<file>.dvc` beside a version, byte for byte as `dvc add` writes it for a file or a folder.

Hides DVC's YAML. A pointer says where bytes are stored (MD5), never whether they are right: SHA-256 in
`version.yaml` decides that. Both directions use the YAML library that DVC uses, so quoting agrees with DVC for
every file name; the everyday form takes a short cut that gives the same bytes.
"""

from __future__ import annotations

import io
import re
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from gitops_registry.errors import ManifestError, RegistryError
from gitops_registry.manifest.facts import Artifact
from gitops_registry.manifest.parts import FileName

_LONGEST = 16_384
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_TAG = "tag:yaml.org,2002:"
_NAMES: TypeAdapter[str] = TypeAdapter(FileName)

# Names that YAML can read as nothing but text, and MD5s that it cannot take for a number: no quotes, no folding.
_EASY_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,50}\.[a-z][a-z0-9]{0,11}"
_EASY_MD5 = r"(?=[0-9a-f]*[acdf])[0-9a-f]{32}"
_EASY = re.compile(
    rf"outs:\n- md5: ({_EASY_MD5})\n  size: (0|[1-9][0-9]{{0,18}})\n  hash: md5\n  path: ({_EASY_NAME})\n", re.ASCII
)


class Pointer(NamedTuple):
    """What a pointer says: the MD5 (of a folder `….dir`), bytes in all, the name, and of a folder how many files."""

    md5: str
    size: int
    file: str
    files: int | None = None


def pointer(artifact: Artifact) -> bytes:
    """Return the pointer file of an artifact, as `dvc add` would write it for the same file or folder.

    Raises RegistryError for a file name that DVC's own YAML cannot carry (it would read back as another name).
    """
    text = f"outs:\n- md5: {artifact.md5}\n  size: {artifact.size}\n  hash: md5\n  path: {artifact.file}\n"
    if artifact.files is None and _EASY.fullmatch(text):
        return text.encode()
    count = {} if artifact.files is None else {"nfiles": artifact.files}
    out = {"md5": artifact.md5, "size": artifact.size, **count, "hash": "md5", "path": artifact.file}
    try:
        data = _dump({"outs": [out]})
        wanted = Pointer(artifact.md5, artifact.size, artifact.file, artifact.files)
        readable = read_pointer(data, "pointer") == wanted
    except (UnicodeError, ManifestError):
        readable = False
    if not readable:
        raise RegistryError(
            f"DVC cannot track a file named {artifact.file!r}", hint="rename the file to plain letters and digits"
        )
    return data


def read_pointer(data: bytes, path: str) -> Pointer:
    """Return what the one file or folder is that a pointer tracks.

    Strict: exactly one plain file or folder beside it, stored under its MD5. Everything else DVC allows (stages,
    dependencies, other remotes, uncached or outside outputs) raises ManifestError, which names `path`.
    """
    if match := _EASY.fullmatch(data.decode("ascii", "replace")):
        return Pointer(match[1], int(match[2]), _file_name(match[3], path, None))
    fields = _fields(_one_out(_compose(data, path), path), path)
    missing = [key for key in ("md5", "size", "hash", "path") if key not in fields]
    if missing:
        raise _refused(path, None, f"the output has no {missing[0]!r}")
    for key, node in fields.items():
        if key not in {"md5", "size", "nfiles", "hash", "path"}:
            raise _refused(path, node, f"{key!r} is not allowed here")
    md5 = _text(fields["md5"], path, "str", _MD5)
    size = _text(fields["size"], path, "int", _SIZE)
    _text(fields["hash"], path, "str", re.compile("md5"))
    name = _text(fields["path"], path, "str", re.compile(r"(?s).+"))
    count = _text(fields["nfiles"], path, "int", _SIZE) if "nfiles" in fields else None
    if md5.endswith(".dir") != (count is not None):
        raise _refused(path, fields["md5"], "a folder has an md5 that ends in .dir and `nfiles`, and a file neither")
    return Pointer(md5, int(size), _file_name(name, path, fields["path"]), None if count is None else int(count))


def _dump(document: dict[str, Any]) -> bytes:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue().encode()


def _compose(data: bytes, path: str) -> Any:
    """Return the YAML node of the file, with the types DVC would see (YAML 1.2)."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(data) > _LONGEST:
        raise _refused(path, None, f"longer than {_LONGEST} bytes")
    try:
        return YAML(typ="safe", pure=True).compose(data.decode())
    except (YAMLError, UnicodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ManifestError("not valid YAML", path=path, line=line, column=column, hint=_HINT) from error


def _one_out(node: Any, path: str) -> Any:
    document = _fields(node, path)
    for key, value in document.items():
        if key != "outs":
            raise _refused(path, value, f"{key!r} is not allowed here")
    outs = document.get("outs")
    if outs is None or outs.tag != _TAG + "seq" or outs.anchor or len(outs.value) != 1:
        raise _refused(path, outs or node, "must have exactly one output")
    return outs.value[0]


def _fields(node: Any, path: str) -> dict[str, Any]:
    """Return the values of a mapping by key; refuses anything else, anchors and keys given twice."""
    if getattr(node, "tag", None) != _TAG + "map" or node.anchor:
        raise _refused(path, node, "must be a mapping without an anchor")
    fields: dict[str, Any] = {}
    for key, value in node.value:
        if key.tag != _TAG + "str" or key.anchor or value.anchor:
            raise _refused(path, key, "anchors, aliases and keys that are not text are not allowed")
        if key.value in fields:
            raise _refused(path, key, f"{key.value!r} is given twice")
        fields[key.value] = value
    return fields


def _text(node: Any, path: str, kind: str, form: re.Pattern[str]) -> str:
    if node.tag != _TAG + kind or not form.fullmatch(node.value):
        raise _refused(path, node, f"{str(node.value)[:80]!r} is not what belongs here")
    return str(node.value)


def _file_name(name: str, path: str, node: Any) -> str:
    try:
        return _NAMES.validate_python(name, strict=True)
    except ValidationError as error:
        raise _refused(path, node, error.errors()[0]["msg"].removeprefix("Value error, ")) from error


_HINT = "a pointer is written by `gitops-registry register` and never edited; restore it with `git checkout`"


def _refused(path: str, node: Any, problem: str) -> ManifestError:
    mark = getattr(node, "start_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return ManifestError(f"not a plain pointer: {problem}", path=path, line=line, column=column, hint=_HINT)
