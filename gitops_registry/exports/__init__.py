"""What a version can be given to other systems as: one module for each, none of which knows another.

The table below is the whole list of targets. Each is a function `(subject, target) -> Written` in a module that is imported
when it is first needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from gitops_registry.exports.subject import Subject, Written


@dataclass(frozen=True)
class Target:
    """One target: the module and the function that write it, what it is called without a word, what it is for people.

    `file` is the file or folder's name, in which `{name}` and `{number}` are those of the version; `{plain}` is the name
    without dots. `options` are the names in `Subject.options` that a caller may give it.
    """

    module: str
    function: str
    file: str
    what: str
    options: tuple[str, ...] = ()

    def write(self, subject: Subject, target: Path) -> Written:
        """Write the version as a file or folder that is not there yet, and return it with what it cannot say."""
        written: Written = getattr(import_module(f"{__name__}.{self.module}"), self.function)(subject, target)
        return written


TARGETS = {
    "bentoml": Target("bentoml", "write", "{name}-v{number}-bentoml", "a Bento that serves it over HTTP"),
    "mlflow": Target("mlflow", "write", "{name}-v{number}-mlflow", "an MLflow model folder"),
    "onnx": Target("files", "write_onnx", "{name}-v{number}.onnx", "its ONNX file"),
    "torchscript": Target("files", "write_torchscript", "{name}-v{number}.pt", "its TorchScript file"),
    "openinference": Target(
        "openinference", "write", "{name}-v{number}-openinference", "a model repository of Triton and MLServer"
    ),
    "huggingface": Target("huggingface", "write", "{name}-v{number}-huggingface", "a repository of Hugging Face's hub", ("language",)),
    "cyclonedx": Target("cyclonedx", "write", "{name}-v{number}-cyclonedx.json", "an ML-BOM of CycloneDX"),
    "sigstore": Target("sigstore", "write", "{name}-v{number}-sigstore", "its files, signed with model-signing", ("key",)),
    "conda": Target("requirements", "write_conda", "{name}-v{number}-conda.yaml", "its environment for conda"),
    "requirements": Target(
        "requirements", "write_requirements", "{name}-v{number}-requirements.txt", "its environment for pip"
    ),
    "pylock": Target("requirements", "write_pylock", "pylock.{plain}-v{number}.toml", "its environment, locked (PEP 751)"),
}  # fmt: skip
