"""Model cards: one version's facts and words as Markdown.

A rendered card is a function of the version's folder, the template and the language, and of nothing else, so
that anybody can render it again and compare. Stages and aliases, which move, are not on it; what was measured later is on
one that is shown, and not on the committed one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gitops_registry.manifest.facts import Evaluation, Version
from gitops_registry.manifest.kinds import Card
from gitops_registry.manifest.parts import plain
from gitops_registry.reference import Reference

if TYPE_CHECKING:
    from jinja2 import Template

REQUIRED = ("description", "intended_use", "limitations", "training_data")
"""The words a version must have before it serves."""
_PLACEHOLDER = re.compile(
    r"^\W*((to[- ]?do|fixme|placeholder)\b([ \t]*[^\w\s].*|\s+(write|describe|fill|add|complete|ask)\b.*)?"
    r"|tb[ad]|tbc|n/?a|none|null|xx+|foo(bar)?|lorem ipsum.*"
    r"|(\[?more|add|insert) information needed\]?|to be (done|decided|determined|defined|completed|written|filled in|added|confirmed|announced)"
    r"|(write|describe|fill in|insert|add|enter) (me|this|it|text|something|here|your \w+|the \w+)( here)?|coming soon|not (yet )?(written|available|specified|provided)( yet)?"
    r"|未記入|要記入|未定|未設定|未入力|記入してください|ここに.*(記入|入力)(してください)?|後で(記入|書く)|なし|準備中|作成中|仮"
    r"|à (compléter|définir|remplir)|non renseigné|por (completar|definir)|pendiente|sin definir|zu (ergänzen|definieren)|noch offen|folgt|keine angabe"
    r"|a completare|da (completare|definire)|a (preencher|definir)|nog in te vullen|待定|待填写|待补充|暂无|未填写|미정|작성 예정|추후 작성|не указано|заполнить|будет добавлено)\W*$",
    re.IGNORECASE,
)
"""What people leave in a field that they mean to write later, in the languages that users have."""

_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]<>|#&~"})
_BLANK_LINES = re.compile(r"\n{3,}")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)$")
_HEADING = re.compile(r"^( {0,3})(?=#|(=+|-+)\s*$)")

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "facts": "Facts", "metrics": "Metrics", "params": "Parameters", "artifacts": "Artifacts", "signature": "Inputs and outputs",
        "confusion_matrix": "Confusion matrix", "environment": "Environment", "created": "Created", "author": "Author", "task": "Task",
        "model_type": "Model type", "framework": "Framework", "release": "Release", "evaluation": "Evaluated on", "rows": "rows",
        "trained_on": "Trained on", "true_class": "true \\ predicted", "name": "Name", "value": "Value", "type": "Type", "file": "File",
        "size": "Bytes", "required": "required", "optional": "optional", "inputs": "Inputs", "outputs": "Outputs", "parity": "Agreement",
        "description": "Description", "intended_use": "Intended use", "out_of_scope": "Out of scope", "limitations": "Limitations",
        "training_data": "Training data", "ethical_considerations": "Ethical considerations", "license": "Licence", "contact": "Contact",
        "missing": "Not written yet.", "version": "version", "claimed": "claimed, not measured",
        "by": "Metrics by", "none": "(none)", "later": "Measured later", "formats": "Formats compared", "format": "Format",
        "save": "Save, ms", "load": "Load, ms", "predict_1": "1 row, ms", "predict_100": "100 rows, ms",
    },
    "ja": {
        "facts": "概要", "metrics": "評価指標", "params": "パラメータ", "artifacts": "成果物", "signature": "入出力",
        "confusion_matrix": "混同行列", "environment": "実行環境", "created": "作成日時", "author": "作成者", "task": "タスク",
        "model_type": "モデル種別", "framework": "フレームワーク", "release": "リリース", "evaluation": "評価データ", "rows": "行",
        "trained_on": "学習データ", "true_class": "正解 \\ 予測", "name": "名前", "value": "値", "type": "型", "file": "ファイル",
        "size": "バイト数", "required": "必須", "optional": "任意", "inputs": "入力", "outputs": "出力", "parity": "一致率",
        "description": "説明", "intended_use": "想定用途", "out_of_scope": "対象外の用途", "limitations": "制限事項",
        "training_data": "学習データの説明", "ethical_considerations": "倫理的配慮", "license": "ライセンス", "contact": "連絡先",
        "missing": "まだ書かれていません。", "version": "バージョン", "claimed": "申告値、未測定",
        "by": "グループ別の評価指標:", "none": "(なし)", "later": "登録後の測定", "formats": "保存形式の比較", "format": "形式",
        "save": "保存 ms", "load": "読込 ms", "predict_1": "1行の推論 ms", "predict_100": "100行の推論 ms",
    },
}  # fmt: skip
"""The card's own words per language."""

PROSE = (
    "description",
    "intended_use",
    "out_of_scope",
    "limitations",
    "training_data",
    "ethical_considerations",
    "license",
    "contact",
)
"""The fields of `card.yaml` that hold people's words, in the order of the card."""


def unfinished(card: Card, fields: Sequence[str] = REQUIRED) -> list[str]:
    """Return the fields (without a list, the required ones) that are empty or hold a placeholder, in order."""
    return [field for field in fields if not _says_something(getattr(card, field).strip())]


def _says_something(text: str) -> bool:
    return any(sign.isalnum() for sign in text) and not _PLACEHOLDER.match(text)


def card_data(reference: Reference, version: Version, card: Card, later: Sequence[Evaluation] = ()) -> dict[str, Any]:
    """Return everything that is on a card as JSON-ready data."""
    told = {"name": reference.name, "number": reference.number, "version": plain(version), "card": plain(card)}
    return {**told, "later": [plain(one) for one in later]}


def render(
    reference: Reference, version: Version, card: Card,
    *, template: str, language: str, later: Sequence[Evaluation] = (),
) -> bytes:  # fmt: skip
    """Return the card as Markdown in UTF-8. Text of the version is escaped, so it cannot become markup of ours.

    What was measured `later` stands at its end. The committed card has none of it: two measurements are never a conflict.
    """
    data = card_data(reference, version, card, later)
    words = WORDS.get(language, WORDS["en"])
    text = _compiled(template).render(words=words, prose=PROSE, **data)
    return (_BLANK_LINES.sub("\n\n", text).strip() + "\n").encode()


@lru_cache(maxsize=8)
def _compiled(template: str) -> Template:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class OfData(ImmutableSandboxedEnvironment):
        """Looks into plain data first: most of what a card costs is looking for attributes that dicts do not have."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            return obj[attribute] if type(obj) is dict and attribute in obj else super().getattr(obj, attribute)

    environment = OfData(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["cell"] = cell
    environment.filters["number"] = _number
    environment.filters["text"] = prose_text
    environment.filters["metric_names"] = _metric_names
    return environment.from_string(template)


def cell(value: Any) -> str:
    """Return a value as the text of one table cell: one line, no markup."""
    if not isinstance(value, str):
        if value is None:
            return ""
        if isinstance(value, Mapping):
            return ", ".join(f"{cell(key)}: {cell(item)}" for key, item in value.items())
        if isinstance(value, list | tuple):
            return ", ".join(cell(item) for item in value)
        value = str(value).lower() if isinstance(value, bool) else str(value)
    text = value if value.isprintable() else "".join(sign if sign.isprintable() else " " for sign in value)
    return text.translate(_ESCAPED)


def prose_text(value: str) -> str:
    """Return people's words as they wrote them, without HTML: Markdown is theirs to use, tags are not.

    Nor are headings, which would look like ours, or a code block without an end, which would swallow what follows.
    """
    shown, fence = [], ""
    for line in value.split("\n"):
        text = line
        if not line.isprintable():
            text = "".join(sign if sign.isprintable() or sign == "\t" else " " for sign in line)
        mark = _FENCE.match(text)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) and not mark[2].strip() else fence
        elif mark:
            fence = mark[1]
        else:
            text = _HEADING.sub(r"\1\\", text)
        shown.append(text.replace("&", "&amp;").replace("<", "&lt;"))
    return "\n".join([*shown, *([fence] if fence else [])])


def _metric_names(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the first metrics of groups, in order: a table on a card has no room for more."""
    return list(dict.fromkeys(name for group in groups for name in group["metrics"]))[:6]


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 1e6 else f"{value:.6g}"
