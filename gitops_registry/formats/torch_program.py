"""A TorchScript archive as a whole: what of it torch may open, and how the same module becomes the same bytes."""

from __future__ import annotations

from collections.abc import Mapping

from gitops_registry.errors import RegistryError
from gitops_registry.formats import torch_code, torch_pickle
from gitops_registry.formats.torch_archive import Archive, damaged, library, pack, unpacked
from gitops_registry.formats.torch_operators import is_reviewed


def reviewed(archive: Archive, trusted: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Return the records of an archive that torch may open: nothing of them was not looked at."""
    definitions = torch_code.definitions(archive)
    known = {schema.name.partition("::")[2] for schema in library()._C._jit_get_all_schemas()}
    torch_code.review(archive.file, definitions, lambda name: is_reviewed(name, trusted), known)
    _check_objects(archive, definitions)
    return _records(
        archive, torch_code.written(definitions), archive.records["data.pkl"], archive.records["constants.pkl"]
    )


def _check_objects(archive: Archive, definitions: Mapping[str, torch_code.Definition]) -> None:
    root = torch_pickle.read(archive, "data.pkl", definitions)
    if not isinstance(root, torch_pickle.Object) or "forward" not in definitions[root.cls].methods:
        raise damaged(archive.file, "it holds no module that has a forward method")
    constants = torch_pickle.read(archive, "constants.pkl", definitions)
    if not isinstance(constants, tuple) or not all(isinstance(item, torch_pickle.StoredTensor) for item in constants):
        raise damaged(archive.file, "its constants are more than tensors")


def _records(archive: Archive, code: Mapping[str, bytes], data: bytes, constants: bytes) -> dict[str, bytes]:
    numbers = {n: d for n, d in archive.records.items() if n.startswith(("data/", "constants/"))}
    version = archive.records.get("version") or archive.records.get(".data/version") or b""
    if not version.strip().isdigit() or len(version) > 4:
        raise damaged(archive.file, "it does not say its version")
    if archive.records.get("byteorder", b"little") != b"little":
        raise RegistryError(f"{archive.file} was written on a big-endian machine", hint="save the module on this one")
    rest = {"constants.pkl": constants, "version": version, "byteorder": b"little"}
    return {**numbers, "data.pkl": data, **code, **rest}


def canonical(data: bytes, signature: Mapping[str, bytes]) -> bytes:
    """Return the archive that torch.jit.save wrote without what differs each time, and without paths of this machine.

    Names are numbered from their own, what torch kept of the source files is left out, and `signature` is kept beside.
    """
    archive = unpacked(data, "the module")
    definitions = torch_code.definitions(archive)
    roots = [name for record in ("data.pkl", "constants.pkl") for name in classes_in(archive, record)]
    names = torch_code.canonical_names(definitions, roots)
    data, constants = (rewritten(archive, record, names) for record in ("data.pkl", "constants.pkl"))
    records = _records(archive, torch_code.written(definitions, names), data, constants)
    return pack({**records, **signature})


def classes_in(archive: Archive, record: str) -> list[str]:
    """Return the archive's own classes that a pickle mentions, in that order, the outermost object's first."""
    mentioned = (
        str(argument).replace(" ", ".")
        for opcode, argument, _ in torch_pickle.instructions(archive, record)
        if opcode == "GLOBAL"
    )
    return list(dict.fromkeys(name for name in mentioned if name.startswith("__torch__.")))


def rewritten(archive: Archive, record: str, names: Mapping[str, str]) -> bytes:
    """Return a pickle with the new qualified names in place of the old ones, and nothing else changed."""
    data = archive.records[record]
    steps = list(torch_pickle.instructions(archive, record))
    parts: list[bytes] = []
    for (opcode, argument, start), end in zip(steps, [*(step[2] for step in steps[1:]), len(data)], strict=True):
        if opcode == "GLOBAL" and str(argument).startswith("__torch__"):
            module, _, name = torch_code.renamed(argument.replace(" ", "."), names).rpartition(".")
            parts.append(f"c{module}\n{name}\n".encode())
        elif opcode == "BINUNICODE" and "__torch__" in argument:
            text = torch_code.renamed(argument, names).encode()
            parts.append(b"X" + len(text).to_bytes(4, "little") + text)
        else:
            parts.append(data[start:end])
    return b"".join(parts)
