"""Every YAML kind of a registry as a frozen value; the two that commands alone write are in `facts`.

These classes say what a file may hold; they read nothing and write nothing. Order of fields is the order in
which they are written. A value that is valid here is valid on its own; rules that need two files (a stage that
the constitution does not have, a number used twice) belong to `policy`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from gitops_registry.manifest.columns import SignatureFile
from gitops_registry.manifest.facts import Evaluation, PinnedData, Version
from gitops_registry.manifest.members import Access as Access
from gitops_registry.manifest.members import Member as Member
from gitops_registry.manifest.parts import (
    Alias,
    Branch,
    Document,
    LanguageTag,
    Name,
    Number,
    Numbers,
    Part,
    Text,
)
from gitops_registry.manifest.policies import Policy, Waiver
from gitops_registry.manifest.profiles import Profile

# ── registry.yaml


class Stage(Part):
    """A governed slot. `from` lists the stages a version may come from; without it, any.

    `exclusive`: one version at most; the one it replaces goes to `replaced_to`. `serving`: customers see it, so
    moves into it are refused unless a policy speaks for them.
    """

    name: Name
    title: Text = ""
    from_: tuple[Name, ...] | None = Field(default=None, alias="from")
    serving: bool = False
    exclusive: bool = False
    replaced_to: Name = "archived"


DEFAULT_STAGES = (
    Stage(name="development"),
    Stage(name="staging", from_=("development", "production", "archived")),
    Stage(
        name="production",
        from_=("staging", "archived"),
        serving=True,
        exclusive=True,
    ),
    Stage(name="archived"),
)


class CardSettings(Part):
    """How cards are rendered: `language` is the one that their labels are in, as a tag like `en`, `ja` or `pt-BR`."""

    language: LanguageTag = "en"


class StorageSettings(Part):
    warn_above: Annotated[int, Field(ge=0)] = 10_000_000


class ForgeSettings(Part):
    """The forge that pull requests of this registry are on; `url` where git's address of it does not say the server's page."""

    kind: Literal["github", "gitlab", "gitea"]
    url: Annotated[str, StringConstraints(pattern=r"^(https?://[A-Za-z0-9.:/_-]+)?$", max_length=200)] = ""


class Constitution(Document):
    """registry.yaml: what holds for every model. Always read from the base of a change.

    `mlflow` says what a call of MLflow's that changes something becomes: a commit, or a proposal.
    """

    by_people: ClassVar[bool] = True
    schema_name: ClassVar[str] = "registry"
    kind: Literal["Registry"] = "Registry"
    schema_version: Literal[2] = 2
    name: Name = "registry"
    title: Text = ""
    description: Text = ""
    branch: Branch = "main"
    direct: bool = False
    approvals: Annotated[int, Field(ge=0, le=10)] = 1
    stages: Annotated[tuple[Stage, ...], Field(min_length=2)]
    card: CardSettings = CardSettings()
    storage: StorageSettings = StorageSettings()
    forge: ForgeSettings | None = None
    trusted_types: tuple[str, ...] = ()
    trusted_formats: tuple[Literal["joblib", "pickle"], ...] = ()
    interop: Literal["gto"] | None = None
    unmanaged: tuple[str, ...] = ()
    mlflow: Literal["commit", "propose"] = "commit"

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

    @property
    def ways_out(self) -> frozenset[str]:
        """The stages that a version goes back or out to, where nothing is served: the first and the last."""
        ends = (self.stages[0], self.stages[-1])
        return frozenset(stage.name for stage in ends if not stage.serving)

    def stage(self, name: str) -> Stage | None:
        """Return the stage of that name, without regard to case; None where there is none."""
        return next((stage for stage in self.stages if stage.name.lower() == name.lower()), None)


# ── models/<name>/model.yaml


class Model(Document):
    """The mutable state of one model. A version that no stage lists is in the first stage.

    `renamed_to` and `removed` make it a tombstone: the name is spent, and nothing is behind it.
    """

    by_people: ClassVar[bool] = True
    schema_name: ClassVar[str] = "model"
    kind: Literal["Model"] = "Model"
    schema_version: Literal[2] = 2
    name: Name
    title: Text = ""
    description: Text = ""
    owners: tuple[Text, ...] = ()
    tags: dict[str, Text] = {}
    stages: dict[Name, Numbers] = {}
    aliases: dict[Alias, Number] = {}
    evaluation: PinnedData | None = None
    deleted: Numbers = ()
    renamed_to: Name | None = None
    removed: bool = False

    @model_validator(mode="after")
    def _one_stage_each(self) -> Model:
        if self.is_gone and (any(self.stages.values()) or self.aliases or self.evaluation):
            raise ValueError("a model that was renamed or deleted has no stages, aliases or evaluation data")
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

    @property
    def is_gone(self) -> bool:
        """Whether this is the tombstone of a model that was renamed or deleted."""
        return self.removed or self.renamed_to is not None

    def stage_of(self, number: int) -> str | None:
        """Return the stage that lists the version; None means the registry's first stage."""
        return next((stage for stage, numbers in self.stages.items() if number in numbers), None)


# ── models/<name>/versions/<n>/card.yaml and evaluations


class Card(Document):
    """card.yaml: what people write about a version. Empty fields are allowed until it is to serve.

    `authors` are people beside the one who registered it, who is a fact and stands in version.yaml.
    """

    by_people: ClassVar[bool] = True
    schema_name: ClassVar[str] = "card"
    kind: Literal["ModelCard"] = "ModelCard"
    schema_version: Literal[1] = 1
    description: Text = ""
    intended_use: Text = ""
    out_of_scope: Text = ""
    architecture: Text = ""
    limitations: Text = ""
    biases: Text = ""
    training_data: Text = ""
    test_data: Text = ""
    ethical_considerations: Text = ""
    recommendations: Text = ""
    license: Text = ""
    contact: Text = ""
    authors: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    tags: dict[str, Text] = {}


KINDS: dict[str, type[Document]] = {
    "Registry": Constitution,
    "Model": Model,
    "ModelVersion": Version,
    "ModelCard": Card,
    "Evaluation": Evaluation,
    "Signature": SignatureFile,
    "Access": Access,
    "Policy": Policy,
    "Waiver": Waiver,
    "AuditProfile": Profile,
}
"""Every kind by the word in its `kind:` line."""
