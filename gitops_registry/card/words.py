"""The words of a card: which there are, which a version needs before it serves, and which of them say nothing yet.

What is looked for is what people leave behind: an empty field, a placeholder in some language, the name of the field
said again, or so little that nobody learns anything. Whether the words are true no rule can know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitops_registry.manifest.kinds import Card

REQUIRED = ("description", "intended_use", "limitations", "training_data")
"""The words a version must have before it serves."""
PROSE = (
    "description",
    "intended_use",
    "out_of_scope",
    "architecture",
    "limitations",
    "biases",
    "training_data",
    "test_data",
    "ethical_considerations",
    "recommendations",
    "license",
    "contact",
)
"""The fields of `card.yaml` that hold people's words, in the order of the card."""
VOLUNTARY = frozenset({"architecture", "biases", "test_data", "recommendations"})
"""Fields that came later: nobody is asked for them, so that no card is unfinished for want of a field it never had."""
_FEWEST = {"description": (2, 5), "intended_use": (3, 10), "limitations": (3, 10), "training_data": (3, 10)}
"""Words and letters that a required field has at least; what a model is can be said in two words."""
_FEWEST_SIGNS = 4
"""Signs that are enough in a script that writes no spaces between words."""

_PLACEHOLDER = re.compile(
    r"^\W*((to[- ]?do|fixme|placeholder)\b([ \t]*[^\w\s].*|\s+(write|describe|fill|add|complete|ask|later|soon)\b.*)?"
    r"|tb[ad]\b(\s+(by|from|with|later|soon)\b.*)?|tbc|n/?a|none|null|xx[x ,.]*|foo(bar)?|lorem ipsum.*|wip|(still )?(a )?work in progress|unknown( yet| so far| at this time)?"
    r"|(\[?more|add|insert) information needed\]?|(still )?(to|will) be (done|decided|determined|defined|completed|written|filled in|added|confirmed|announced|provided|updated)( soon| later| here)?"
    r"|(please )?(write|describe|fill in|fill|insert|add|enter) (me|this|it|text|something|here|your \w+|the \w+)( in)?( here| later| please){0,2}|coming soon|not (yet )?(written|available|specified|provided)( yet)?"
    r"|(please )?(write|describe|enter|insert|put|explain)( \w+){0,6} here|(please )?(write|describe|enter|insert|explain) here\b.*|(\w+ ){1,4}goes here|your \w+( \w+)?"
    r"|see (the )?(above|below|readme|wiki|paper|code|docs?|documentation|notebook|repo(sitory)?|link|previous( version)?)"
    r"|(same )?as (above|before|previously|usual)|same as (the )?(last|previous)( one| version)?|ditto|(bla(h)?[ ,.]*)+|asdf\w*|qwerty|test(ing)?( test(ing)?)*|some text|your text( here)?|\.\.\."
    r"|(現在|ただいま|まだ|特に|今後)?[、 ]?(なし|ありません|ない|該当(なし|せず)|同上|上記参照|前回と同じ|前バージョンと同じ|未作成|未検討|確認中|検討中|調査中|追記予定|記載予定|作成予定|後述|テスト|ほげ"
    r"|未記入|要記入|未定|未設定|未入力|記入してください|ここに.*(記入|入力)(してください)?|準備中|作成中|執筆中|工事中|仮|(後で|あとで|後日|のちほど|後ほど|これから|追って)[、 ]?(記入|記載|追記|更新|補足|作成|書)(予定|く|きます|する|します|いたします)?)"
    r"(です|でございます|となります|とします|とする|しています|しております)?"
    r"|à (compléter|définir|remplir)|non renseigné|por (completar|definir)|pendiente|sin definir|(noch )?zu (ergänzen|definieren|schreiben)|wird (noch |später )?(ergänzt|nachgereicht|nachgetragen|ausgefüllt)|in arbeit|noch offen|folgt|keine angabe"
    r"|a completare|da (completare|definire)|a (preencher|definir)|nog in te vullen|ska fyllas i|att göra|待定|待填写|待补充|待完善|暂无|(暂|尚)?未填写|(稍后|后续|以后)(填写|补充|完善)"
    r"|(미정|(작성|준비|검토) ?중|작성 예정|추후 (작성|보완|추가)( 예정)?)(임|입니다)?|не указано|(нужно |надо )?(заполнить|дописать|дополнить)( позже)?|(ещё|еще) не (написано|заполнено|готово)|будет (добавлено|дополнено|позже))\W*$",
    re.IGNORECASE,
)
"""What people leave in a field that they mean to write later, in the languages that users have."""
_LONGEST_PLACEHOLDER = 2_000
"""Signs that are looked at: of a text of marks and nothing else, each costs."""
_UNSPACED = re.compile(
    "[\u0e01-\u0e30\u0e40-\u0e46\u0e81-\u0eb0\u0ec0-\u0ec6\u1000-\u102a\u1780-\u17b3\u3005\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""A sign of Thai, Lao, Burmese, Khmer, Japanese, Chinese or Korean."""
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_FILLERS = re.compile(
    r"\b(the|a|an|of|for|this|that|our|its|my|is|are|model('s)?|version('s)?|card|see|here|field|section|text|about)\b"
    r"|モデル|この|その|本|カード|項目|について|に関する|です|ます|[はのをがにと、。]",
    re.IGNORECASE,
)


def unfinished(card: Card, fields: Sequence[str] = REQUIRED) -> list[str]:
    """Return the fields (without a list, the required ones) that are empty, hold a placeholder or are too short, in order.

    A field that nobody is asked for is unfinished only where somebody began it.
    """
    found = {*empty(card, fields), *thin(card, fields)}
    return [field for field in fields if field in found]


def empty(card: Card, fields: Sequence[str] = REQUIRED) -> list[str]:
    """Return the fields that say nothing: empty, a placeholder, or the name of the field again."""
    return [field for field in fields if not _says_something(field, getattr(card, field).strip())]


def thin(card: Card, fields: Sequence[str] = REQUIRED) -> list[str]:
    """Return the required fields among `fields` that say something, and too little of it to tell anybody anything."""
    told = ((field, getattr(card, field).strip()) for field in fields if field in _FEWEST)
    return [field for field, text in told if _says_something(field, text) and not _has_substance(field, text)]


def _says_something(field: str, text: str) -> bool:
    if not text:
        return field in VOLUNTARY
    begun = text[:_LONGEST_PLACEHOLDER]
    return any(sign.isalnum() for sign in text) and not _PLACEHOLDER.match(begun) and not _is_its_name(field, text)


def _is_its_name(field: str, text: str) -> bool:
    """Whether a text only repeats what the field is called, in any language that has labels here."""
    if len(text) > 200:
        return False
    rest = text.casefold().replace("_", " ")
    for name in sorted(_NAMES[field], key=len, reverse=True):
        rest = rest.replace(name, " ")
    return rest != text.casefold() and not any(sign.isalnum() for sign in _FILLERS.sub(" ", rest))


def _has_substance(field: str, text: str) -> bool:
    """Whether a text has enough different words, or signs of a script that does not part them."""
    signs = len(_UNSPACED.findall(text))
    words = {word.casefold() for word in _WORD.findall(_UNSPACED.sub(" ", text))}
    letters = sum(map(len, words))
    if signs >= _FEWEST_SIGNS:
        return True
    fewest_words, fewest_letters = _FEWEST[field]
    return len(words) + signs >= fewest_words and letters + 2 * signs >= fewest_letters


def _names(*more: Iterable[str]) -> dict[str, tuple[str, ...]]:
    told = dict(zip(PROSE, more, strict=True))
    return {field: (field.replace("_", " "), *told[field]) for field in PROSE}


_NAMES = _names(
    ("説明", "概要"), ("use", "intended uses", "想定用途", "用途"), ("out-of-scope use", "対象外の用途", "対象外"),
    ("アーキテクチャ", "構成"), ("limits", "limitation", "制限事項", "制限", "限界"), ("bias", "偏り", "バイアス"),
    ("data", "学習データの説明", "学習データ", "訓練データ"), ("evaluation data", "評価データの説明", "評価データ", "テストデータ"),
    ("ethics", "considerations", "倫理的配慮", "倫理"), ("recommendation", "推奨事項", "推奨"), ("licence", "ライセンス"), ("連絡先",),
)  # fmt: skip
"""Field → what it is called, in small letters."""
