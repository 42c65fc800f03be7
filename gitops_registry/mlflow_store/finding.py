"""MLflow's searches: its filters, its orders and its pages, over what is registered.

The grammar is read by MLflow's own parsers; what a filter holds for is what SqlAlchemyStore would find with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY as IS_PROMPT
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.model_registry import (
    SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD,
    SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD,
)
from mlflow.utils.search_utils import SearchModelUtils, SearchModelVersionUtils, SearchUtils

from gitops_registry.mlflow_store.refusing import refuse

T = TypeVar("T")
Clause = Mapping[str, Any]
Order = list[tuple[str, bool]]
"""Keys to sort by, the first one first, and whether each ascends."""

_TAG_OPERATORS = ("=", "!=", "LIKE", "ILIKE")
_NAME_OPERATORS = ("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN")
_DEFAULT_ORDER = ["last_updated_timestamp DESC", "name ASC", "version_number DESC"]


class Query(NamedTuple):
    """A search that can be made: what is to hold, in which order, and which page of it."""

    clauses: Sequence[Clause]
    order: Order
    most: int
    offset: int

    @property
    def is_of_prompts(self) -> bool:
        """Whether it asks for prompts; else there are none among what it finds."""
        return asks_for_prompts(self.clauses)

    def page(self, items: Sequence[T], value: Callable[[T, str], Any]) -> tuple[Sequence[T], str | None]:
        """Return the items of its page, and the token of the next one; `value` says what an item has for a key."""
        return page(in_order(items, self.order, value), self.most, self.offset)


def model_query(text: str | None, most: Any, order_by: Sequence[str] | None, token: str | None) -> Query:
    """Return a search for models. Raises MlflowException as MLflow's own store does."""
    _check_most(most, SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD)
    return Query(_model_clauses(text), _model_order(order_by), most, _offset_of(token))


def version_query(text: str | None, most: Any, order_by: Sequence[str] | None, token: str | None) -> Query:
    """Return a search for versions; those that changed last come first where nobody says. Raises MlflowException."""
    if not isinstance(most, int) or most < 1:
        refuse(f"Invalid value for max_results. It must be a positive integer, but got {most}")
    _check_most(most, SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD)
    return Query(_version_clauses(text), _version_order(order_by), most, _offset_of(token))


# ── filters


def _model_clauses(text: str | None) -> list[Clause]:
    clauses: list[Clause] = SearchModelUtils.parse_search_filter(text)
    for clause in clauses:
        if clause["type"] == "attribute":
            if clause["key"] != "name":
                refuse(f"Invalid attribute name: {clause['key']}")
            if clause["comparator"] not in _NAME_OPERATORS:
                refuse(f"Invalid comparator for attribute: {clause['comparator']}")
            _check_list(clause)
        else:
            _check_tag(clause)
    return clauses


def _version_clauses(text: str | None) -> list[Clause]:
    return [_version_clause(clause) for clause in SearchModelVersionUtils.parse_search_filter(text)]


def _version_clause(clause: Clause) -> Clause:
    key, comparator, value = clause["key"], clause["comparator"], clause["value"]
    if clause["type"] != "attribute":
        _check_tag(clause)
        return clause
    if key not in SearchModelVersionUtils.VALID_SEARCH_ATTRIBUTE_KEYS:
        refuse(f"Invalid attribute name: {key}")
    if key in SearchModelVersionUtils.NUMERIC_ATTRIBUTES:
        if comparator not in SearchModelVersionUtils.VALID_NUMERIC_ATTRIBUTE_COMPARATORS:
            refuse(f"Invalid comparator for attribute {key}: {comparator}")
        try:
            if isinstance(value, float):
                raise ValueError
            return {**clause, "value": int(value)}
        except (TypeError, ValueError):
            refuse(f"Invalid value for numeric attribute '{key}': {value!r}")
    is_list = comparator in ("IN", "NOT IN") and key not in ("run_id", "name")
    if comparator not in SearchModelVersionUtils.VALID_STRING_ATTRIBUTE_COMPARATORS or is_list:
        refuse(f"Invalid comparator for attribute: {comparator}")
    _check_list(clause)
    return clause


def _check_list(clause: Clause) -> None:
    """Raise what a database says of `name = ('a', 'b')`, which MLflow's parser lets through."""
    if isinstance(clause["value"], tuple) and clause["comparator"] not in ("IN", "NOT IN"):
        refuse(f"{clause['comparator']} takes one value, not the list {clause['value']}", codes.BAD_REQUEST)


def _check_tag(clause: Clause) -> None:
    if clause["type"] != "tag":
        refuse(f"Invalid token type: {clause['type']}")
    if clause["comparator"] not in _TAG_OPERATORS:
        refuse(f"Invalid comparator for tag: {clause['comparator']}")


def asks_for_prompts(clauses: Sequence[Clause]) -> bool:
    """Whether a filter is about prompts; else there are none among what it finds."""
    for clause in clauses:
        if clause["type"] == "tag" and clause["key"] == IS_PROMPT:
            wanted = "true" if clause["comparator"] == "=" else "false"
            return clause["comparator"] in ("=", "!=") and clause["value"].lower() == wanted
    return False


def holds(clauses: Sequence[Clause], attribute: Callable[[str], Any], tags: Mapping[str, str]) -> bool:
    """Say whether everything holds that a filter asks for. Of a tag or an attribute that is not there, nothing does.

    `attribute` returns one by its name in MLflow's grammar; it is asked for those only that the filter names.
    """
    if not asks_for_prompts(clauses):
        clauses = [c for c in clauses if c["type"] != "tag" or c["key"] != IS_PROMPT]
    return all(
        _holds(clause, tags.get(clause["key"]) if clause["type"] == "tag" else attribute(clause["key"]))
        for clause in clauses
    )


def _holds(clause: Clause, value: Any) -> bool:
    if value is None:
        return False
    comparator, wanted = clause["comparator"], clause["value"]
    if comparator in ("IN", "NOT IN"):
        return (value in wanted) is (comparator == "IN")
    found: bool = SearchUtils.get_comparison_func(comparator)(value, wanted)
    return bool(found)


def named_exactly(clauses: Sequence[Clause]) -> str | None:
    """Return the name that a filter insists on; None where it leaves more than one open."""
    return next((c["value"] for c in clauses if c["type"] == "attribute" and c["key"] == "name" and c["comparator"] == "="), None)  # fmt: skip


# ── orders


def _model_order(wanted: Sequence[str] | None) -> Order:
    found: Order = []
    for text in wanted or ():
        key, ascending = SearchUtils.parse_order_by_for_search_registered_models(text)
        if key in SearchUtils.VALID_TIMESTAMP_ORDER_BY_KEYS:
            key = "last_updated_timestamp"
        elif key != "name":
            keys = SearchUtils.RECOMMENDED_ORDER_BY_KEYS_REGISTERED_MODELS
            refuse(f"Invalid order by key '{key}' specified.Valid keys are '{keys}'")
        _add(found, key, ascending, wanted)
    return _tied(found, ("name", True))


def _version_order(wanted: Sequence[str] | None) -> Order:
    found: Order = []
    for text in wanted or _DEFAULT_ORDER:
        _, key, ascending = SearchModelVersionUtils.parse_order_by_for_search_model_versions(text)
        keys = SearchModelVersionUtils.VALID_ORDER_BY_ATTRIBUTE_KEYS
        if key not in keys:
            refuse(f"Invalid order by key '{key}' specified. Valid keys are {keys}")
        _add(found, key, ascending, wanted)
    return _tied(found, ("name", True), ("version_number", False))


def _add(found: Order, key: str, ascending: bool, wanted: Any) -> None:
    if key in dict(found):
        raise MlflowException(f"`order_by` contains duplicate fields: {wanted}")
    found.append((key, ascending))


def _tied(found: Order, *ties: tuple[str, bool]) -> Order:
    return found + [tie for tie in ties if tie[0] not in dict(found)]


def in_order(items: Sequence[T], order: Order, value: Callable[[T, str], Any]) -> list[T]:
    """Return items sorted; `value` says what one has for a key."""
    found = list(items)
    for key, ascending in reversed(order):
        found.sort(key=lambda item: value(item, key), reverse=not ascending)
    return found


# ── pages


def _check_most(wanted: Any, most: int) -> None:
    if wanted > most:
        refuse(f"Invalid value for request parameter max_results. It must be at most {most}, but got value {wanted}")


def _offset_of(token: str | None) -> int:
    return int(SearchUtils.parse_start_offset_from_page_token(token))


def page(items: Sequence[T], most: int, offset: int) -> tuple[Sequence[T], str | None]:
    """Return the items of a page and the token of the next one; None where there is none.

    Numbers below zero mean what they mean to a database: an offset is none, and so is a limit.
    """
    rest = items[max(offset, 0) :]
    rows = rest[: most + 1] if most >= -1 else rest
    token = SearchUtils.create_page_token(offset + most) if len(rows) == most + 1 else None
    return rows[:most], token
