"""torch.export (.pt2): a module as a graph of operators, with its numbers, shapes and dynamic sizes.

Torch's own reader evaluates, imports and unpickles parts of such a file. So it is given an archive made anew: the graph
as it was reviewed, and numbers that were measured against what is said of them (`torch_exported`). No pickle is left.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from pydantic import ValidationError

from gitops_registry.formats.loaded import Description, LoadedModel, Trust
from gitops_registry.formats.torch_archive import damaged, library, listing, pack, read, said, why
from gitops_registry.formats.torch_exported import GRAPH, class_of, columns_of, compiled_in, graph_of, reviewed
from gitops_registry.formats.torch_graph import version_of
from gitops_registry.formats.torch_model import TorchModel
from gitops_registry.manifest.facts import Framework

OTHERWISE = "save the module with torch.export.save, or give the module itself to Registry.register"
"""What to do about a .pt2 file that is in another format."""


def is_format(path: Path) -> bool:
    """True for a zip of the layout that torch.export.save writes. Reads the directory of the zip only."""
    return {"archive_format", "archive_version", GRAPH} <= listing(path)


def describe(path: Path) -> Description:
    """Return what a .pt2 file says: the class of the module, torch's version, and the tensors that go in and come out."""
    archive = read(path)
    program = graph_of(archive)
    try:
        inputs, outputs = columns_of(program, "input"), columns_of(program, "output")
        name = said(archive).model_type or class_of(program)
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise damaged(path.name, "its graph lacks a part, or has one of another kind") from error
    notes = ("some inputs or outputs are no tensors of a known type",) if None in (*inputs, *outputs) else ()
    if compiled_in(archive):
        notes = (*notes, "it holds machine code, which is never loaded")
    made_by = Framework(name="torch", version=version_of(program))
    known_in, known_out = (tuple(filter(None, columns)) for columns in (inputs, outputs))
    return Description("torch-export", name, made_by, ("torch",), known_in, known_out, notes)


def load(path: Path, trust: Trust = Trust()) -> LoadedModel:  # noqa: B008 - a frozen value
    """Return the module in a .pt2 file, ready to predict on the CPU.

    Raises Unreviewed before torch sees any of it if the graph calls an operator that neither the reviewed list nor
    `trust.types` (`aten::name`) allows, or if torch would unpickle a part or load machine code; and for damaged files.
    """
    torch = library()
    inputs = describe(path).inputs
    data = rewritten(path, trust)
    try:
        module = torch.export.load(BytesIO(data)).module()
    except Exception as error:  # the file decides what the reader stumbles over
        raise damaged(path.name, why(error)) from error
    return TorchModel(module, "torch-export", inputs=inputs)


def rewritten(path: Path, trust: Trust) -> bytes:
    """Return the archive written anew of what was reviewed, which is all that torch may be given. Raises as `load` does."""
    return pack(reviewed(read(path), trust.types))
