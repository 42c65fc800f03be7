"""Putting an export where it belongs: a new file or a new folder, whole or not at all, and the files of a version in it."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from gitops_registry.errors import RegistryError
from gitops_registry.exports.subject import Subject


def new_file(target: Path, text: str) -> None:
    """Write a new file in UTF-8. Raises RegistryError where there is one already or it cannot be written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise _refused(target, error) from error


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a new folder to fill; it is gone again where filling it fails. Raises RegistryError as `new_file` does."""
    try:
        target.mkdir(parents=True)
    except OSError as error:
        raise _refused(target, error) from error
    try:
        yield target
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise _refused(target, error) from error
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def copy_files(subject: Subject, folder: Path, *, reserved: Collection[str]) -> None:
    """Copy every artifact into a folder under the name it has in the registry.

    Raises RegistryError where the bytes of one are not here, and where one has a name, in whatever case, that the export
    needs for a file of its own.
    """
    taken = {name.lower() for name in reserved}
    for artifact in subject.version.artifacts:
        if artifact.name not in subject.files:
            raise RegistryError(
                f"{artifact.file} of {subject.reference} is not here", hint=f"gitops-registry pull {subject.reference}"
            )
        if artifact.file.lower() in taken:
            raise RegistryError(
                f"{subject.reference} has a file {artifact.file}, whose name this export needs for a file of its own",
                hint="register the version again with the file under another name",
            )
        source, target = subject.files[artifact.name], folder / artifact.file
        if source.is_dir():
            shutil.copytree(source, target, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, target)


def _refused(target: Path, error: OSError) -> RegistryError:
    if isinstance(error, FileExistsError):
        return RegistryError(f"{target} is there already", hint="name another file or folder, or move that one away")
    return RegistryError(
        f"cannot write {target}: {error.strerror or error}", hint="check its folder and the free space"
    )
