"""What was found out about a version, as frozen values: `version.yaml`, and the measurements that come later.

Written by commands, never by hand, and immutable for ever. Order of fields is the order in which they are written.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field, model_validator

from gitops_registry.manifest.columns import Column as Column
from gitops_registry.manifest.columns import Signature as Signature
from gitops_registry.manifest.figures import Classes, FormatFigures, Slice
from gitops_registry.manifest.parts import (
    Document,
    FileName,
    Finite,
    Md5,
    Name,
    Param,
    Part,
    Release,
    Scalar,
    Sha256,
    Task,
    Text,
)


class Person(Part):
    flow: ClassVar[bool] = True
    name: Text
    email: Text = ""


class Framework(Part):
    flow: ClassVar[bool] = True
    name: str
    version: str = ""


class ConfusionMatrix(Part):
    """`counts[i][j]`: rows of true class `labels[i]` predicted as `labels[j]`."""

    labels: tuple[Scalar, ...]
    counts: tuple[tuple[int, ...], ...]

    @model_validator(mode="after")
    def _square(self) -> ConfusionMatrix:
        size = len(self.labels)
        if len(self.counts) != size or any(len(row) != size for row in self.counts):
            raise ValueError(f"counts must be {size} rows of {size} numbers, one for each label")
        return self


class EvaluationData(Part):
    """The rows something was measured on; `artifact` is the artifact of the version that holds them, where one does."""

    dataset: Text = ""
    rows: Annotated[int, Field(ge=0)] | None = None
    target: Text = ""
    sha256: Sha256 | None = None
    artifact: Name | None = None


class PinnedData(Part):
    """The data a model's versions are measured on: a table file tracked by DVC, pinned by digest, and its column of truth.

    `slices` are columns by whose groups they are measured, too.
    """

    dataset: Text = ""
    file: FileName
    target: Text
    rows: Annotated[int, Field(ge=1)]
    size: Annotated[int, Field(ge=0)]
    md5: Md5
    sha256: Sha256
    slices: Annotated[tuple[Text, ...], Field(max_length=20)] = ()

    def as_artifact(self) -> Artifact:
        """Return its file as an artifact is told: what its pointer is made from."""
        form = self.file.rpartition(".")[2].lower()
        return Artifact(
            name="evaluation", file=self.file, format=form, size=self.size, md5=self.md5, sha256=self.sha256
        )


class Code(Part):
    flow: ClassVar[bool] = True
    repository: Text = ""
    commit: Text = ""
    dirty: bool | None = None


class Training(Part):
    dataset: Text = ""
    rows: Annotated[int, Field(ge=0)] | None = None
    features: Annotated[int, Field(ge=0)] | None = None
    data_sha256: Sha256 | None = None
    code: Code | None = None


class Parity(Part):
    """How far a converted artifact's predictions are from the original's, on the evaluation rows.

    `agreement`: share of equal labels (1.0 for regressors whose values agree within the tolerance);
    `max_difference`: largest absolute difference of probabilities or values.
    """

    flow: ClassVar[bool] = True
    rows: Annotated[int, Field(ge=1)]
    agreement: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    max_difference: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Artifact(Part):
    """A file of a version, or a folder of `files` files.

    Of a folder `file` is its name, `size` the sum of its files', `md5` DVC's name of it (`….dir`), and `sha256` that of
    its listing: for each file, in byte order of path, a line of SHA-256, size and path with spaces between.
    """

    name: Name
    file: FileName
    format: Text
    size: Annotated[int, Field(ge=0)]
    files: Annotated[int, Field(ge=1)] | None = None
    md5: Md5
    sha256: Sha256
    derived_from: Name | None = None
    parity: Parity | None = None

    @model_validator(mode="after")
    def _folder(self) -> Artifact:
        if self.md5.endswith(".dir") != (self.files is not None):
            raise ValueError("an artifact with an md5 that ends in .dir is a folder and says how many files it has")
        return self


class Environment(Part):
    """Where a version was made. `providers` are what onnxruntime computes with there; `requirements` what the model needs."""

    python: str
    platform: str
    cpu: str = ""
    gpu: str | None = None
    blas: str = ""
    providers: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()


class Lineage(Part):
    """Where a version comes from: versions it was made from, the run that trained it (`mlflow:…`), the run's page (`link`), and
    where its files were taken from, as whoever registered it said it (`source`).
    """

    parents: tuple[str, ...] = ()
    run: str | None = None
    source: Text = ""
    link: Text = ""


class Version(Document):
    """version.yaml: the facts of one release, written once by `register`, immutable for ever.

    `metrics` were measured on the evaluation rows, but for those that `claimed` names: somebody gave their values.
    """

    schema_name: ClassVar[str] = "version"
    kind: Literal["ModelVersion"] = "ModelVersion"
    schema_version: Literal[1] = 1
    release: Release | None = None
    created: AwareDatetime
    author: Person
    task: Task = "other"
    model_type: Text = ""
    framework: Framework | None = None
    params: dict[str, Param] = {}
    metrics: dict[str, Finite] = {}
    claimed: tuple[str, ...] = ()
    confusion_matrix: ConfusionMatrix | None = None
    slices: tuple[Slice, ...] = ()
    evaluation: EvaluationData | None = None
    training: Training | None = None
    signature: Signature | None = None
    classes: Classes | None = None
    artifacts: Annotated[tuple[Artifact, ...], Field(min_length=1)]
    environment: Environment | None = None
    lineage: Lineage | None = None

    @model_validator(mode="after")
    def _artifacts_agree(self) -> Version:
        names = [artifact.name for artifact in self.artifacts]
        files = [artifact.file.lower() for artifact in self.artifacts]
        if len(set(names)) != len(names) or len(set(files)) != len(files):
            raise ValueError("two artifacts have the same name or file")
        for name in self.claimed:
            if name not in self.metrics:
                raise ValueError(f"claimed names the metric {name!r}, which is not listed")
        for artifact in self.artifacts:
            if artifact.derived_from is not None and artifact.derived_from not in names:
                raise ValueError(
                    f"artifact {artifact.name!r} is derived from {artifact.derived_from!r}, which is not listed"
                )
        return self


class Evaluation(Document):
    """A later measurement of a version: append-only, one file each.

    Of one that compared the formats of a model, `formats` are the figures, and there need be no metrics.
    """

    schema_name: ClassVar[str] = "evaluation"
    kind: Literal["Evaluation"] = "Evaluation"
    schema_version: Literal[1] = 1
    created: AwareDatetime
    author: Person
    dataset: EvaluationData
    metrics: dict[str, Finite]
    confusion_matrix: ConfusionMatrix | None = None
    slices: tuple[Slice, ...] = ()
    formats: tuple[FormatFigures, ...] = ()
