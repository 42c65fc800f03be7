"""The table of facts: everything an expression may read, with its type, an example and its meaning.

One table says it all. The examples are the facts that tests of policies start from, so a policy is tried on a version that
meets what one would ask for. `null` marks what may be absent: comparing that is an error, which never passes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

Gathered = Literal["", "history", "actor", "approvals", "now"]
"""Who must have found a fact out: empty for what the registry's files say."""


class Fact(NamedTuple):
    """One line of the table. In a path `[]` stands for an item of the list before it."""

    path: str
    type: str
    example: Any
    meaning: str
    gathered: Gathered = ""


_SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_DAY = datetime(2026, 1, 10, 9, 30, tzinfo=UTC)


def _column(name: str) -> dict[str, Any]:
    unsaid = ("dtype", "nullable", "shape", "minimum", "maximum", "categories")
    return {"name": name, "type": "long", "required": True, **dict.fromkeys(unsaid)}


_VERSION = (
    Fact("name", "string", "credit-risk", "the model's name"),
    Fact("version", "int", 3, "the version's number"),
    Fact("stage", "string", "staging", "where the base has it; for a version that is new, the first stage"),
    Fact("release", "string | null", "1.2.0", "its semantic version"),
    Fact("created", "timestamp", _DAY, "when it was registered, by its author's clock"),
    Fact("author.name", "string", "Alice", "who registered it, as the commit says: nobody verified it"),
    Fact("author.email", "string", "alice@example.com", "their address, as the commit says"),
    Fact("task", "string", "binary-classification", "binary-classification, multiclass-classification, regression or other"),
    Fact("model_type", "string", "RandomForestClassifier", "class of the estimator, or kind of file"),
    Fact("framework", "record | null", ..., "what it was made with"),
    Fact("framework.name", "string", "scikit-learn", "the library's name"),
    Fact("framework.version", "string", "1.9.1", "the library's version"),
    Fact("params", "map(string, dyn)", {"n_estimators": 100}, "hyperparameters"),
    Fact("metrics", "map(string, double)", {"accuracy": 0.95, "f1": 0.94, "r2": 0.8}, "all metrics it was registered with"),
    Fact("claimed", "list(string)", [], "names of those metrics that somebody gave and nobody measured"),
    Fact("measured", "map(string, double)", {"accuracy": 0.95, "f1": 0.94, "r2": 0.8},
         "metrics that count: the worst (of a champion the best) that earlier decisions recorded on the data its model pins; without pinned data, what register measured itself"),
    Fact("slices", "map(string, dyn)", {"region": {"north": {"rows": 20.0, "accuracy": 0.95}, "south": {"rows": 30.0, "accuracy": 0.93}}},
         "metrics it was registered with, by column, group and name; rows is how many there were"),
    Fact("measured_slices", "map(string, dyn)", {"region": {"north": {"rows": 20.0, "accuracy": 0.95}, "south": {"rows": 30.0, "accuracy": 0.93}}},
         "those that count, as measured does: by column, group and name"),
    Fact("measured_on", "string", "pinned", "pinned: the model's evaluation data; registered: the author's rows; nothing: not measured"),
    Fact("measured_at", "timestamp | null", _DAY, "when what counts was measured, the oldest of several"),
    Fact("measured_rows", "int | null", 500, "rows it was measured on, the fewest of several"),
    Fact("evaluation", "record | null", ..., "the rows it was registered with"),
    Fact("evaluation.dataset", "string", "holdout", "their name"),
    Fact("evaluation.rows", "int | null", 500, "how many"),
    Fact("evaluation.target", "string", "label", "the column of truth"),
    Fact("evaluation.sha256", "string | null", _SHA, "their digest"),
    Fact("evaluation.artifact", "string | null", None, "the artifact of the version that holds them"),
    Fact("training", "record | null", ..., "what it was trained on, as its author says"),
    Fact("training.dataset", "string", "applications-2025", "its name"),
    Fact("training.rows", "int | null", 800, "how many rows"),
    Fact("training.features", "int | null", 20, "how many columns"),
    Fact("training.data_sha256", "string | null", _SHA[::-1], "digest of the data"),
    Fact("training.code", "record | null", ..., "the code that trained it"),
    Fact("training.code.repository", "string", "https://example.com/credit.git", "its repository"),
    Fact("training.code.commit", "string", "0123456789abcdef0123456789abcdef01234567", "its commit"),
    Fact("training.code.dirty", "bool | null", False, "whether it had changes that were not committed"),
    Fact("signature", "record | null", ..., "what goes in and comes out"),
    Fact("signature.inputs", "list(record)", [_column("age")], "columns or tensors in"),
    Fact("signature.inputs.[].name", "string", "age", "its name"),
    Fact("signature.inputs.[].type", "string", "long", "MLflow's name of its type"),
    Fact("signature.inputs.[].dtype", "string | null", None, "NumPy's name of it, where the type does not say it"),
    Fact("signature.inputs.[].required", "bool", True, "whether it must be there"),
    Fact("signature.inputs.[].nullable", "bool | null", None, "whether values may be missing; null: they may where it is not required"),
    Fact("signature.inputs.[].shape", "list(int) | null", None, "of a tensor; -1 for any length"),
    Fact("signature.inputs.[].minimum", "double | null", None, "the least value there may be"),
    Fact("signature.inputs.[].maximum", "double | null", None, "the greatest value there may be"),
    Fact("signature.inputs.[].categories", "list(dyn) | null", None, "all the values there may be"),
    Fact("signature.outputs", "list(record)", [_column("label")], "columns or tensors out"),
    Fact("signature.outputs.[].name", "string", "label", "its name"),
    Fact("signature.outputs.[].type", "string", "long", "MLflow's name of its type"),
    Fact("signature.outputs.[].dtype", "string | null", None, "NumPy's name of it, where the type does not say it"),
    Fact("signature.outputs.[].required", "bool", True, "whether it is always there"),
    Fact("signature.outputs.[].nullable", "bool | null", None, "whether values may be missing"),
    Fact("signature.outputs.[].shape", "list(int) | null", None, "of a tensor; -1 for any length"),
    Fact("signature.outputs.[].minimum", "double | null", None, "the least value there may be"),
    Fact("signature.outputs.[].maximum", "double | null", None, "the greatest value there may be"),
    Fact("signature.outputs.[].categories", "list(dyn) | null", None, "all the values there may be"),
    Fact("signature.parameters", "list(record)", [], "parameters of prediction"),
    Fact("signature.parameters.[].name", "string", "threshold", "its name"),
    Fact("signature.parameters.[].type", "string", "double", "MLflow's name of its type"),
    Fact("signature.parameters.[].default", "dyn", 0.5, "what it is where nobody says it"),
    Fact("signature.parameters.[].shape", "list(int) | null", None, "-1 for a list of values"),
    Fact("artifacts", "list(record)", [
        {"name": "model", "file": "model.skops", "format": "skops", "size": 3_205_120, "files": None, "sha256": _SHA, "derived_from": None, "parity": None},
        {"name": "onnx", "file": "model.onnx", "format": "onnx", "size": 699_000, "files": None, "sha256": _SHA[::-1], "derived_from": "model",
         "parity": {"rows": 500, "agreement": 1.0, "max_difference": 1e-6}},
    ], "its files"),
    Fact("artifacts.[].name", "string", "model", "its name"),
    Fact("artifacts.[].file", "string", "model.skops", "its file"),
    Fact("artifacts.[].format", "string", "skops", "skops, onnx, mlflow, folder, …: what version.yaml says it is; a loader refuses a file that is none"),
    Fact("artifacts.[].size", "int", 3_205_120, "bytes"),
    Fact("artifacts.[].files", "int | null", None, "how many files a folder has"),
    Fact("artifacts.[].sha256", "string", _SHA, "its digest"),
    Fact("artifacts.[].derived_from", "string | null", "model", "the artifact it was converted from"),
    Fact("artifacts.[].parity", "record | null", ..., "how far its predictions are from that one's"),
    Fact("artifacts.[].parity.rows", "int", 500, "rows compared"),
    Fact("artifacts.[].parity.agreement", "double", 1.0, "share of equal answers"),
    Fact("artifacts.[].parity.max_difference", "double", 1e-6, "largest difference"),
    Fact("classes", "record | null", ..., "the classes of a model whose file does not say them"),
    Fact("classes.labels", "list(dyn)", [0, 1], "in the order of its scores"),
    Fact("classes.scores", "string", "probabilities", "probabilities or logits"),
    Fact("formats", "list(string)", ["onnx", "skops"], "the formats of its files, each once"),
    Fact("environment", "record | null", ..., "where it was registered"),
    Fact("environment.python", "string", "3.11.7", "version of Python"),
    Fact("environment.platform", "string", "linux-x86_64", "system and processor"),
    Fact("environment.cpu", "string", "", "the processor's name"),
    Fact("environment.gpu", "string | null", None, "the graphics card's name"),
    Fact("environment.blas", "string", "openblas 0.3.30", "the library NumPy computes with"),
    Fact("environment.providers", "list(string)", ["CPUExecutionProvider"], "what onnxruntime computes with"),
    Fact("environment.requirements", "list(string)", ["scikit-learn==1.9.1"], "pinned packages that the model needs"),
    Fact("lineage", "record | null", ..., "where it comes from"),
    Fact("lineage.parents", "list(string)", [], "versions it was made from"),
    Fact("lineage.run", "string | null", "mlflow:0a1b2c", "the run that made it"),
    Fact("lineage.source", "string | null", None, "where its files were taken from, as MLflow was told"),
    Fact("lineage.link", "string | null", None, "the page of that run, as MLflow was told"),
    Fact("card.description", "string", "Predicts whether a loan of a private customer is repaid.", "words of card.yaml"),
    Fact("card.intended_use", "string", "Ranking of applications before a person decides.", "words of card.yaml"),
    Fact("card.out_of_scope", "string", "Loans to companies.", "words of card.yaml"),
    Fact("card.architecture", "string", "Gradient boosting over thirty columns.", "words of card.yaml"),
    Fact("card.limitations", "string", "Few applicants under 21 were in the data.", "words of card.yaml"),
    Fact("card.biases", "string", "Applicants under 25 are refused more often.", "words of card.yaml"),
    Fact("card.training_data", "string", "Applications of 2025, without those that were withdrawn.", "words of card.yaml"),
    Fact("card.test_data", "string", "A fifth of the applications of 2025, drawn at random.", "words of card.yaml"),
    Fact("card.ethical_considerations", "string", "Age is an input; see the slices by age.", "words of card.yaml"),
    Fact("card.recommendations", "string", "Look at the slices by region every quarter.", "words of card.yaml"),
    Fact("card.license", "string", "Apache-2.0", "words of card.yaml"),
    Fact("card.contact", "string", "risk-team@example.com", "words of card.yaml"),
    Fact("card.tags", "map(string, string)", {}, "tags of the version"),
    Fact("card.unfinished", "list(string)", [], "fields that are empty, a placeholder in some language, or too short to say anything; of the voluntary ones (architecture, biases, test_data, recommendations) those with a placeholder"),
)  # fmt: skip

_OTHERS = (
    Fact("model.name", "string", "credit-risk", "its name"),
    Fact("model.title", "string", "Credit risk", "its title"),
    Fact("model.description", "string", "Repayment of private loans", "its description"),
    Fact("model.owners", "list(string)", ["risk-team"], "who answers for it"),
    Fact("model.tags", "map(string, string)", {"domain": "credit"}, "its tags"),
    Fact("model.is_new", "bool", False, "whether the base does not have it"),
    Fact("model.versions", "list(int)", [1, 2, 3], "the numbers there are"),
    Fact("model.stages", "map(string, list(int))", {"production": [2], "staging": [3]}, "who is in which stage"),
    Fact("model.aliases", "map(string, int)", {"champion": 2}, "its aliases"),
    Fact("model.evaluation", "record | null", ..., "the data its versions are measured on"),
    Fact("model.evaluation.dataset", "string", "holdout", "its name"),
    Fact("model.evaluation.file", "string", "holdout.csv", "its file"),
    Fact("model.evaluation.target", "string", "label", "the column of truth"),
    Fact("model.evaluation.rows", "int", 500, "how many rows"),
    Fact("model.evaluation.sha256", "string", _SHA, "its digest"),
    Fact("model.evaluation.slices", "list(string)", [], "the columns by whose groups they are measured, too"),
    Fact("change.kind", "string", "stage_transition", "the event that is judged"),
    Fact("change.from", "string", "staging", "the stage the version comes from"),
    Fact("change.to", "string", "production", "the stage it goes to or is in"),
    Fact("change.alias", "string", "", "the alias that is set"),
    Fact("change.is_rerun", "bool", False, "whether the version is in the stage already and something about it changes"),
    Fact("change.is_rollback", "bool", False, "whether an earlier decision put it there, of a stage that serves while it served", "history"),
    Fact("change.actor", "record | null", ..., "the verified member who decides", "actor"),
    Fact("change.actor.name", "string", "bob", "their name in access.yaml", "actor"),
    Fact("change.actor.kind", "string", "person", "person or service", "actor"),
    Fact("change.actor.role", "string", "ml_engineer", "their role", "actor"),
    Fact("change.approvals", "list(record)", [{"name": "carol", "kind": "person", "role": "ml_engineer"}], "approvals that hold", "approvals"),
    Fact("change.approvals.[].name", "string", "carol", "who approves", "approvals"),
    Fact("change.approvals.[].kind", "string", "person", "person or service", "approvals"),
    Fact("change.approvals.[].role", "string", "ml_engineer", "their role", "approvals"),
    Fact("registry.name", "string", "credit", "the registry's name"),
    Fact("registry.approvals", "int", 1, "approvals that a serving stage asks for"),
    Fact("registry.direct", "bool", False, "whether changes may be committed without a proposal"),
    Fact("registry.language", "string", "en", "language of the cards"),
    Fact("registry.stages", "list(string)", ["development", "staging", "production", "archived"], "its stages in order"),
    Fact("registry.trusted_types", "list(string)", [], "types, beyond the reviewed lists, that a skops file or a pickle may hold"),
    Fact("registry.trusted_formats", "list(string)", [], "formats that could run code and are opened all the same: joblib, pickle"),
    Fact("now", "timestamp", datetime(2026, 1, 15, 12, tzinfo=UTC), "the moment of the check", "now"),
)  # fmt: skip

FACTS: tuple[Fact, ...] = (
    *(row._replace(path=f"candidate.{row.path}") for row in _VERSION),
    Fact(
        "champion",
        "record | null",
        ...,
        "the last holder of the stage in history, of an alias what it named before; null where there was none",
        "history",
    ),
    *(row._replace(path=f"champion.{row.path}", gathered="history") for row in _VERSION),
    *_OTHERS,
)
"""Everything an expression sees but its policy's own `params` and `variables`, in the order of the documentation."""
