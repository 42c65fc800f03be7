"""Using what is registered: verified bytes, loaded models, predictions.

Bytes are compared with the registered SHA-256 before anything reads them, at every use.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gitops_registry import paths
from gitops_registry.artifact import Store
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.formats import FORMATS, open_model
from gitops_registry.formats.estimator import EstimatorModel
from gitops_registry.formats.loaded import LoadedModel, Trust, Unopened, Unreviewed
from gitops_registry.formats.scored import with_classes
from gitops_registry.manifest.columns import Signature
from gitops_registry.manifest.facts import Artifact, Version
from gitops_registry.pointer import pointer
from gitops_registry.reference import Reference
from gitops_registry.signature import Misfit, infer, misfits, ordered, parameters_of, problems
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace, digest_of

_PREFERRED = ("onnx", "skops", "joblib", "pickle", "torchscript", "torch-export", "mlflow", "bentoml")


@dataclass(frozen=True)
class Verified:
    """What `verify` found of one artifact: where it looked, and the problem in words; empty when all is well."""

    reference: Reference
    file: str
    cache: Literal["present", "missing", "damaged"]
    store: Literal["present", "missing", "damaged"] | None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "version": str(self.reference),
            "file": self.file,
            "cache": self.cache,
            "store": self.store,
            "problem": self.problem or None,
        }


class RegisteredModel:
    """A loaded version: `predict` and `predict_proba` on a table, after its columns were checked.

    `native` is what the format's own library gives: an estimator, or an onnxruntime session.
    """

    def __init__(self, reference: Reference, version: Version, loaded: LoadedModel) -> None:
        self.reference = reference
        self.version = version
        self._loaded = loaded

    @property
    def native(self) -> Any:
        """The model as its own library knows it."""
        return self._loaded.native

    @property
    def format(self) -> str:
        """The format it was loaded from."""
        return self._loaded.format

    @property
    def labels(self) -> list[Any] | None:
        """The classes in the order of the columns of `predict_proba`; None for a regressor."""
        return self._loaded.labels

    def predict(self, table: Any, *, parameters: Mapping[str, Any] | None = None) -> Any:
        """Return one label or value for each row.

        `parameters` are those of the signature, which says their defaults. Raises RegistryError where the table or the
        parameters do not fit the signature, and where the format takes none.
        """
        values = parameters_of(self.version.signature or Signature(), parameters or {})
        if isinstance(self._loaded, EstimatorModel) and values:
            return self._loaded.predict(self._fitting(table), **values)
        if parameters:
            raise RegistryError(
                f"a model in {self.format} takes no parameters",
                hint="load the original: format='skops' (--format skops)",
            )
        return self._loaded.predict(self._fitting(table))

    def predict_proba(self, table: Any) -> Any | None:
        """Return rows × classes of probabilities; None where the model has none."""
        return self._loaded.predict_proba(self._fitting(table))

    def _fitting(self, table: Any) -> Any:
        signature = self.version.signature
        if signature is None or not signature.inputs:
            return table
        found = problems(signature, table)
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise RegistryError(
                f"the data does not fit {self.reference}: {found[0]}{more}",
                hint=f"see all of it: gitops-registry validate {self.reference} DATA",
            )
        return ordered(signature, table) if hasattr(table, "columns") else table

    def __repr__(self) -> str:
        return f"<{self.reference} {self.version.model_type} from {self.format}>"


def load(place: Workplace, snapshot: Snapshot, reference: Reference, *, format: str | None = None) -> RegisteredModel:  # noqa: A002
    """Return a version ready to predict, from ONNX where it has it, else from skops, or from the format asked for.

    Raises Damaged before anything is read when the bytes are not the registered ones.
    """
    version = snapshot.known_version(reference)
    artifact = _artifact(version, reference, format)
    if artifact.files is None:
        opened = _opened(place, artifact, fetch(place, snapshot, reference, artifact))
    else:
        with tempfile.TemporaryDirectory(prefix="gitops-registry-") as folder:
            copy = Path(folder) / artifact.file
            place.store(snapshot).materialise(digest_of(artifact), copy, f"{reference} {artifact.file}")
            try:
                opened = _opened(place, artifact, copy)
            except Unopened as error:
                raise _is_a_folder(reference, artifact) from error
    return RegisteredModel(reference, version, with_classes(opened, version.classes))


def _opened(place: Workplace, artifact: Artifact, file: Path) -> LoadedModel:
    """Return the model in a verified file; what registry.yaml trusts is looked up only where the reviewed list is too short."""
    try:
        return open_model(artifact.format, file, trust=Trust())
    except Unreviewed:
        return open_model(artifact.format, file, trust=place.trust)


def predictions(model: RegisteredModel, file: Path, *, proba: bool = False) -> Any:
    """Return a table of what a model says of the rows of a table file: `prediction`, and `probability_<label>` with `proba`.

    Raises RegistryError where the file cannot be read, does not fit, or the model has no probabilities.
    """
    import pandas

    rows = data_in(file, model.version.signature)
    columns: dict[str, Any] = {"prediction": model.predict(rows)}
    if proba:
        probabilities = model.predict_proba(rows)
        if probabilities is None:
            raise RegistryError(f"{model.reference} has no probabilities", hint="ask for predictions only")
        columns |= {f"probability_{label}": probabilities[:, i] for i, label in enumerate(model.labels or ())}
    return pandas.DataFrame({name: list(values) for name, values in columns.items()})


def signature_of(snapshot: Snapshot, reference: Reference) -> Signature:
    """Return the signature of a version. Raises NotFound where it has none."""
    found = snapshot.known_version(reference).signature
    if found is None or not found.inputs:
        raise NotFound(
            f"{reference} has no signature, so nothing is known of its inputs",
            hint="register the next version with --data, or with --signature FILE: gitops-registry signature infer DATA",
        )
    return found


def validate(signature: Signature, data: Any) -> tuple[list[Misfit], int]:
    """Return everything in which data (a DataFrame, an array, arrays by name, or a file of one) misses a signature, and its rows."""
    if isinstance(data, str | Path):
        data = data_in(Path(data), signature)
    found = misfits(signature, data)
    some = next(iter(data.values()), ()) if isinstance(data, Mapping) else data
    return found, len(some) if getattr(some, "shape", None) != () else 1


def inferred(file: Path, *, target: str | None = None, ranges: bool = False) -> Signature:
    """Return the signature that the data in a file fits; the column `target` is an output of the model and no input."""
    from gitops_registry.measure import split_target

    data, outputs = data_in(file), {}
    if target is not None:
        if not hasattr(data, "columns"):
            raise RegistryError(f"{file.name} is an array, whose columns have no names", hint="leave out --target")
        data, outputs[target] = split_target(data, target)
    return infer(data, outputs, ranges=ranges)


def data_in(file: Path, signature: Signature | None = None) -> Any:
    """Return the DataFrame in a .csv or .parquet file, or the array in a .npy file; no object in it is ever unpickled.

    CSV has no types: what the signature calls string is read as text, and of a column that pandas takes for text because of
    some of its values, the others become what the signature calls it: numbers, truth values, dates of ISO 8601. Raises
    RegistryError where the file cannot be read.
    """
    from gitops_registry.measure import read_table

    if file.suffix.lower() == ".npy":
        return _array_in(file)
    table = read_table(file)
    return _with_types(table, file, signature) if signature and file.suffix.lower() == ".csv" else table


def _array_in(file: Path) -> Any:
    import numpy

    if not file.is_file():
        raise NotFound(f"there is no file {file}", hint="check the path")
    try:
        # Mapped, a header that promises more than the file holds reserves no memory.
        return numpy.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        told = str(error).partition("\n")[0]
        raise RegistryError(
            f"{file.name} is no array: {told}", hint="write it with numpy.save, without objects"
        ) from error


def _with_types(table: Any, file: Path, signature: Signature) -> Any:
    """Return a CSV's table whose columns hold what the signature says, wherever a value can be read so."""
    import pandas

    types = {column.name: column.type for column in signature.inputs if column.name in table.columns}
    text = [name for name, kind in types.items() if kind == "string" and table[name].dtype.kind in "biuf"]
    if text:
        table = table.assign(**pandas.read_csv(file, encoding="utf-8-sig", usecols=text, dtype="str"))
    for name, kind in types.items():
        if kind not in {"string", "binary"} and str(table[name].dtype) in {"str", "object"}:
            table = table.assign(**{name: _read_as(kind, table[name])})
    return table


def _read_as(kind: str, texts: Any) -> Any:
    """Return a column of text as a type; where some of it cannot be read so, that stays text among the others."""
    import pandas

    def read(some: Any) -> Any:
        if kind == "datetime":
            return pandas.to_datetime(some, errors="coerce", format="ISO8601")
        if kind == "boolean":
            return some.map({"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False})
        return pandas.to_numeric(some, errors="coerce")

    found = read(texts)
    fine = found.notna()
    if fine.equals(texts.notna()):
        return found
    mixed = texts.astype(object)
    mixed[fine] = read(texts[fine]).astype(object)  # again, for beside a missing value integers would be rounded
    return mixed


def _artifact(version: Version, reference: Reference, wanted: str | None) -> Artifact:
    there = {artifact.format: artifact for artifact in version.artifacts if artifact.format in FORMATS}
    order = (wanted,) if wanted else _PREFERRED
    found = next((there[name] for name in order if name in there), None)
    if found is None and not wanted and all(artifact.files is not None for artifact in version.artifacts):
        raise _is_a_folder(reference, version.artifacts[0])
    if found is None:
        raise NotFound(
            f"{reference} has nothing in {wanted or 'a format that can be loaded'}",
            hint=f"it has: {', '.join(a.format for a in version.artifacts)}",
        )
    return found


def _is_a_folder(reference: Reference, artifact: Artifact) -> NotFound:
    return NotFound(
        f"{reference} is a folder ({artifact.format}), which cannot be loaded here",
        hint=f"get its files, and open them with the library that wrote them: gitops-registry pull {reference} --to FOLDER",
    )


def fetch(place: Workplace, snapshot: Snapshot, reference: Reference, artifact: Artifact) -> Path:
    """Return verified bytes of an artifact in the cache, fetched if they are not there."""
    return place.store(snapshot).fetch(digest_of(artifact), f"{reference} {artifact.file}")


def pull(place: Workplace, snapshot: Snapshot, reference: Reference, *, folder: Path | None = None) -> list[Path]:
    """Write the artifacts of a version into a folder and return where they are: files, and folders that appear whole.

    Without a folder they go where DVC puts them: beside their pointers in the work tree. A different file that is
    there already is never overwritten.
    """
    version = snapshot.known_version(reference)
    target = folder or _beside_pointers(place, reference)
    if target.exists() and not target.is_dir():
        raise RegistryError(f"{target} is a file, and a version has several", hint="name a folder")
    store = place.store(snapshot)
    files = []
    for artifact in version.artifacts:
        store.materialise(digest_of(artifact), target / artifact.file, f"{reference} {artifact.file}")
        files.append(target / artifact.file)
    return files


def _beside_pointers(place: Workplace, reference: Reference) -> Path:
    tree = place.repository.work_tree
    if tree is None:
        raise RegistryError(
            "a bare repository has no work tree to pull into",
            hint="name a folder: gitops-registry pull NAME@REF --to FOLDER",
        )
    return tree / paths.version_folder(*reference)


def verify(
    place: Workplace, snapshot: Snapshot, references: Sequence[Reference], *, deep: bool = False
) -> list[Verified]:
    """Look at every artifact of the versions: its pointer, the copy in the cache, the copy in the store.

    Of a store on another machine the sizes are compared; with `deep` every byte there is read.
    """
    store = place.store(snapshot)
    return [
        _verified(store, snapshot, reference, artifact, deep=deep)
        for reference in references
        for artifact in snapshot.known_version(reference).artifacts
    ]


def _verified(store: Store, snapshot: Snapshot, reference: Reference, artifact: Artifact, *, deep: bool) -> Verified:
    digest = digest_of(artifact)
    cache = store.held(digest)
    remote = store.presence(digest, deep=deep)
    path = paths.pointer_path(*reference, artifact.file)
    problem = ""
    if snapshot.read(path) != pointer(artifact):
        problem = f"{path} does not agree with version.yaml"
    elif remote is None:
        problem = f"the store cannot be reached ({store.location or 'none is configured'})"
    elif remote != "present":
        problem = f"{remote} in the store {store.location}"
        problem += "; the cache has good bytes: dvc push" if cache == "present" else ""
    elif cache == "damaged":
        problem = "damaged in the cache; the next use fetches it again"
    return Verified(reference, artifact.file, cache, remote, problem)
