"""TorchScript: a module as a program in a language of its own, with its numbers, traced or scripted by torch.

Torch would run whatever operators the program calls, among them some that write files. So the program and its objects
are reviewed first (`torch_program`), and torch is given an archive written anew of what was reviewed.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import Description, LoadedModel, Trust, shown
from gitops_registry.formats.torch_archive import Archive, damaged, library, listing, pack, read, said, why
from gitops_registry.formats.torch_model import TorchModel
from gitops_registry.formats.torch_program import classes_in, reviewed
from gitops_registry.manifest.facts import Framework

OTHERWISE = (
    "a state dict or a pickled module alone is no program: save it with torch.jit.save or torch.export.save, or give the "
    "module itself to Registry.register"
)
"""What to do about a .pt or .pth file that is in another format."""


def is_format(path: Path) -> bool:
    """True for a zip with a TorchScript program in it. Reads the directory of the zip only.

    A file of torch.save is none: it holds numbers, or a pickle, and no program.
    """
    names = listing(path)
    has_code = any(name.startswith("code/") and name.endswith(".py") for name in names)
    return has_code and {"data.pkl", "constants.pkl"} <= names and bool({"version", ".data/version"} & names)


def describe(path: Path) -> Description:
    """Return what a TorchScript archive says of itself: the class of the module. Nothing is run or built.

    The language has no shapes; inputs are known where the file was saved by this package.
    """
    archive = _archive(path)
    classes = classes_in(archive, "data.pkl")
    words = said(archive)
    notes = () if words.inputs else ("TorchScript does not say the shapes of its inputs and outputs",)
    name = shown(classes[0].rpartition(".")[2]) if classes else ""
    made_by = Framework(name="torch", version=words.version)
    return Description("torchscript", name, made_by, ("torch",), words.inputs, words.outputs, notes)


def load(path: Path, trust: Trust = Trust()) -> LoadedModel:  # noqa: B008 - a frozen value
    """Return the module in a TorchScript archive, ready to predict on the CPU.

    Raises Unreviewed before torch sees any of it if the program calls an operator, or holds an object, that neither the
    reviewed list nor `trust.types` (`aten::name`) allows; and for damaged files.
    """
    torch = library()
    data, inputs = rewritten(path, trust), said(_archive(path)).inputs
    try:
        module = torch.jit.load(BytesIO(data), map_location="cpu").eval()
    except Exception as error:  # the file decides what the compiler stumbles over
        raise damaged(path.name, why(error)) from error
    return TorchModel(module, "torchscript", inputs=inputs)


def rewritten(path: Path, trust: Trust) -> bytes:
    """Return the archive written anew of what was reviewed, which is all that torch may be given. Raises as `load` does."""
    return pack(reviewed(_archive(path), trust.types))


def _archive(path: Path) -> Archive:
    archive = read(path)
    if "data.pkl" in archive.records and not any(name.startswith("code/") for name in archive.records):
        raise RegistryError(f"{path.name} is a file of torch.save, which holds no program", hint=OTHERWISE)
    return archive
