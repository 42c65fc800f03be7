"""Every YAML kind of a registry as a frozen value.

These classes say what a file may hold; they read nothing and write nothing. Order of fields is the order in
which they are written. A value that is valid here is valid on its own; rules that need two files (a stage that
the constitution does not have, a number used twice) belong to `rules`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from gitops_registry.paths import name_problem


def _name(value: str) -> str:
    if problem := name_problem(value):
        raise ValueError(f"name {value!r} {problem}")
    return value


def _alias(value: str) -> str:
    if value.lower() == "latest" or value.lower().removeprefix("v").isdigit():
        raise ValueError(f"alias {value!r} is reserved: it would be read as a version")
    return _name(value)


def _file_name(value: str) -> str:
    if "/" in value or "\\" in value or value in {"", ".", ".."} or value.startswith("."):
        raise ValueError(f"file {value!r} must be a plain file name inside the version's folder")
    if not value.isprintable() or value != value.strip() or value.endswith("."):
        raise ValueError(f"file {value!a} must be a plain file name: no control characters, no space or dot at its end")
    if value.lower().endswith(".dvc") or value.lower() in {"version.yaml", "card.yaml", "evaluations"}:
        raise ValueError(f"file {value!r} is a name the registry uses itself")
    return value


def _unique(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(value)) != len(value):
        raise ValueError("a version is listed twice")
    return value


Name = Annotated[str, AfterValidator(_name)]
Alias = Annotated[str, AfterValidator(_alias)]
FileName = Annotated[str, StringConstraints(max_length=255), AfterValidator(_file_name)]
Number = Annotated[int, Field(ge=1, le=999_999_999)]
Numbers = Annotated[tuple[Number, ...], AfterValidator(_unique)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Scalar = bool | int | Finite | str | None
Param = Scalar | tuple[Scalar, ...]
Text = Annotated[str, StringConstraints(max_length=100_000)]
Permission = Literal["read", "write", "deploy", "delete", "administer", "attest"]
Task = Literal["binary-classification", "multiclass-classification", "regression", "other"]


class Part(BaseModel):
    """A piece of a manifest. `flow` asks the writer for one line instead of a block."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, protected_namespaces=(), defer_build=True
    )
    flow: ClassVar[bool] = False


class Document(Part):
    """A whole file. `by_people` files name their JSON Schema, so that editors complete and check them."""

    by_people: ClassVar[bool] = False
    schema_name: ClassVar[str]


# ── registry.yaml


class Stage(Part):
    """A governed slot. `from` lists the stages a version may come from; without it, any.

    `exclusive`: one version at most; the one it replaces goes to `replaced_to`. `serving`: customers see it, so
    moves into it are refused unless something allows them. `minimum_metrics`: per task, what a version must have
    reached; a serving stage refuses tasks that are not named here.
    """

    name: Name
    title: Text = ""
    from_: tuple[Name, ...] | None = Field(default=None, alias="from")
    serving: bool = False
    exclusive: bool = False
    replaced_to: Name = "archived"
    minimum_metrics: dict[Task, dict[str, Finite]] = {}


DEFAULT_STAGES = (
    Stage(name="development"),
    Stage(name="staging", from_=("development", "production", "archived")),
    Stage(
        name="production",
        from_=("staging", "archived"),
        serving=True,
        exclusive=True,
        minimum_metrics={
            "binary-classification": {"accuracy": 0.9},
            "multiclass-classification": {"accuracy": 0.9},
            "regression": {"r2": 0.4},
        },
    ),
    Stage(name="archived"),
)


class CardSettings(Part):
    language: Literal["en", "ja"] = "en"


class StorageSettings(Part):
    warn_above: Annotated[int, Field(ge=0)] = 10_000_000


class Constitution(Document):
    """registry.yaml: what holds for every model. Always read from the base of a change."""

    by_people: ClassVar[bool] = True
    schema_name: ClassVar[str] = "registry"
    kind: Literal["Registry"] = "Registry"
    schema_version: Literal[1] = 1
    name: Name = "registry"
    title: Text = ""
    description: Text = ""
    branch: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,200}$")] = "main"
    direct: bool = False
    approvals: Annotated[int, Field(ge=0, le=10)] = 1
    stages: Annotated[tuple[Stage, ...], Field(min_length=2)]
    card: CardSettings = CardSettings()
    storage: StorageSettings = StorageSettings()
    trusted_types: tuple[str, ...] = ()
    unmanaged: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _stages_agree(self) -> Constitution:
        names = [stage.name for stage in self.stages]
        if len({name.lower() for name in names}) != len(names):
            raise ValueError("two stages have the same name")
        if self.stages[0].serving:
            raise ValueError(f"stage {names[0]!r} is the first one, where every new version is, and cannot serve")
        for stage in self.stages:
            for other in (*(stage.from_ or ()), *((stage.replaced_to,) if stage.exclusive else ())):
                if other not in names:
                    raise ValueError(f"stage {stage.name!r} names a stage {other!r} that is not listed")
        return self

    @property
    def first_stage(self) -> str:
        """The stage of a version that no stage lists."""
        return self.stages[0].name

    def stage(self, name: str) -> Stage | None:
        """Return the stage of that name, without regard to case; None where there is none."""
        return next((stage for stage in self.stages if stage.name.lower() == name.lower()), None)


# ── models/<name>/model.yaml


class Model(Document):
    """The mutable state of one model. A version that no stage lists is in the first stage."""

    by_people: ClassVar[bool] = True
    schema_name: ClassVar[str] = "model"
    kind: Literal["Model"] = "Model"
    schema_version: Literal[1] = 1
    name: Name
    title: Text = ""
    description: Text = ""
    owners: tuple[Text, ...] = ()
    tags: dict[str, Text] = {}
    stages: dict[Name, Numbers] = {}
    aliases: dict[Alias, Number] = {}
    deleted: Numbers = ()

    @model_validator(mode="after")
    def _one_stage_each(self) -> Model:
        seen: dict[int, str] = {}
        for stage, numbers in self.stages.items():
            for number in numbers:
                if number in seen:
                    raise ValueError(f"version {number} is in two stages, {seen[number]!r} and {stage!r}")
                if number in self.deleted:
                    raise ValueError(f"stage {stage!r} names version {number}, which is deleted")
                seen[number] = stage
        for alias, number in self.aliases.items():
            if number in self.deleted:
                raise ValueError(f"alias {alias!r} names version {number}, which is deleted")
        if len({alias.lower() for alias in self.aliases}) != len(self.aliases):
            raise ValueError("two aliases differ only in case")
        return self

    def stage_of(self, number: int) -> str | None:
        """Return the stage that lists the version; None means the registry's first stage."""
        return next((stage for stage, numbers in self.stages.items() if number in numbers), None)


# ── models/<name>/versions/<n>/version.yaml


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
    dataset: Text = ""
    rows: Annotated[int, Field(ge=0)] | None = None
    target: Text = ""
    sha256: Sha256 | None = None


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


class Column(Part):
    """One input or output. `type` is MLflow's name of it; `shape` is for tensors, -1 for any length."""

    flow: ClassVar[bool] = True
    name: Text
    type: Literal["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"]
    required: bool = True
    shape: tuple[int, ...] | None = None


class Signature(Part):
    inputs: tuple[Column, ...] = ()
    outputs: tuple[Column, ...] = ()


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
    name: Name
    file: FileName
    format: Text
    size: Annotated[int, Field(ge=0)]
    md5: Md5
    sha256: Sha256
    derived_from: Name | None = None
    parity: Parity | None = None


class Environment(Part):
    python: str
    platform: str
    cpu: str = ""
    gpu: str | None = None
    requirements: tuple[str, ...] = ()


class Lineage(Part):
    parents: tuple[str, ...] = ()
    run: str | None = None


class Version(Document):
    """version.yaml: the facts of one release, written once by `register`, immutable for ever."""

    schema_name: ClassVar[str] = "version"
    kind: Literal["ModelVersion"] = "ModelVersion"
    schema_version: Literal[1] = 1
    release: Text | None = None
    created: AwareDatetime
    author: Person
    task: Task = "other"
    model_type: Text = ""
    framework: Framework | None = None
    params: dict[str, Param] = {}
    metrics: dict[str, Finite] = {}
    confusion_matrix: ConfusionMatrix | None = None
    evaluation: EvaluationData | None = None
    training: Training | None = None
    signature: Signature | None = None
    artifacts: Annotated[tuple[Artifact, ...], Field(min_length=1)]
    environment: Environment | None = None
    lineage: Lineage | None = None

    @model_validator(mode="after")
    def _artifacts_agree(self) -> Version:
        names = [artifact.name for artifact in self.artifacts]
        files = [artifact.file.lower() for artifact in self.artifacts]
        if len(set(names)) != len(names) or len(set(files)) != len(files):
            raise ValueError("two artifacts have the same name or file")
        for artifact in self.artifacts:
            if artifact.derived_from is not None and artifact.derived_from not in names:
                raise ValueError(
                    f"artifact {artifact.name!r} is derived from {artifact.derived_from!r}, which is not listed"
                )
        return self

    def artifact(self, name: str) -> Artifact | None:
        """Return the artifact of that name; None where the version has none."""
        return next((artifact for artifact in self.artifacts if artifact.name == name), None)


# ── models/<name>/versions/<n>/card.yaml and evaluations


class Card(Document):
    """card.yaml: what people write about a version. Empty fields are allowed until it is to serve."""

    by_people: ClassVar[bool] = True
    schema_name: ClassVar[str] = "card"
    kind: Literal["ModelCard"] = "ModelCard"
    schema_version: Literal[1] = 1
    description: Text = ""
    intended_use: Text = ""
    out_of_scope: Text = ""
    limitations: Text = ""
    training_data: Text = ""
    ethical_considerations: Text = ""
    license: Text = ""
    contact: Text = ""
    tags: dict[str, Text] = {}


class Evaluation(Document):
    """A later measurement of a version: append-only, one file each."""

    schema_name: ClassVar[str] = "evaluation"
    kind: Literal["Evaluation"] = "Evaluation"
    schema_version: Literal[1] = 1
    created: AwareDatetime
    author: Person
    dataset: EvaluationData
    metrics: dict[str, Finite]
    confusion_matrix: ConfusionMatrix | None = None


# ── policies/access.yaml


class Member(Part):
    """Somebody who may do something. `models`: patterns of model names; empty means all of them."""

    name: Name
    kind: Literal["person", "service"] = "person"
    role: Name
    email: Text = ""
    models: tuple[str, ...] = ()


DEFAULT_ROLES: dict[str, tuple[Permission, ...]] = {
    "viewer": ("read",),
    "data_scientist": ("read", "write"),
    "ml_engineer": ("read", "write", "deploy"),
    "admin": ("read", "write", "deploy", "delete", "administer"),
}


class Access(Document):
    """policies/access.yaml: roles and the members who hold them. Always read from the base of a change."""

    by_people: ClassVar[bool] = True
    schema_name: ClassVar[str] = "access"
    kind: Literal["Access"] = "Access"
    schema_version: Literal[1] = 1
    roles: dict[Name, tuple[Permission, ...]] = DEFAULT_ROLES
    members: tuple[Member, ...] = ()
    protected_aliases: tuple[Alias, ...] = ("champion",)

    @model_validator(mode="after")
    def _members_agree(self) -> Access:
        names = [member.name.lower() for member in self.members]
        if len(set(names)) != len(names):
            raise ValueError("two members have the same name")
        for member in self.members:
            if member.role not in self.roles:
                raise ValueError(f"member {member.name!r} has the role {member.role!r}, which is not listed")
            if member.models and "administer" in self.roles[member.role]:
                raise ValueError(f"member {member.name!r} is limited to some models and cannot administer")
        return self


KINDS: dict[str, type[Document]] = {
    "Registry": Constitution,
    "Model": Model,
    "ModelVersion": Version,
    "ModelCard": Card,
    "Evaluation": Evaluation,
    "Access": Access,
}
"""Every kind by the word in its `kind:` line."""


def plain(part: Part) -> dict[str, Any]:
    """Return a manifest as JSON-ready data: aliases of fields applied, datetimes as ISO strings, nothing left out."""
    return part.model_dump(mode="json", by_alias=True)
