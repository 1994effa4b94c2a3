"""Which items an export has, and what is known of each. docs/export.md describes the columns; a test holds it to
``COLUMNS``."""

import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Row, Select, and_, or_, select
from sqlalchemy.orm import Session

from app.db.tables import Annotation, ConsensusLabel, Item, ModelVersion, Prediction, Project, Round, RoundItem, User
from app.services.answers import effective_answers
from app.services.rounds import current_model

Scope = Literal["all", "labelled"]
SCOPES: tuple[Scope, ...] = ("all", "labelled")
ExportRow = dict[str, Any]  # keys are COLUMNS, in that order

COLUMNS = (
    "ordinal",
    "external_id",
    "text",
    "meta",
    "model_version",
    "model_label",
    "model_score",
    "model_scores",
    "round",
    "reason",
    "reason_detail",
    "split",
    "annotations",
    "consensus_label",
    "consensus_source",
)
_PAGE_ITEMS = 1000


class _Page(NamedTuple):
    """What is known of one page's items, by item id; each asked for once."""

    chosen: dict[int, Row[Any]]
    annotations: dict[int, list[dict[str, Any]]]
    consensus: dict[int, Row[Any]]


def export_rows(
    session: Session, project: Project, scope: Scope = "all", *, names: bool = False, page_items: int = _PAGE_ITEMS
) -> Iterator[ExportRow]:
    """The project's items by ordinal, one dict of plain values each.

    ``labelled`` leaves out items that have neither a standing answer nor a consensus label. Experts appear as
    ``expert-<id>``, or by name with ``names``. A few queries per page of ``page_items``, none per item. On SQLite use
    a reading session: a writing one would keep everybody else waiting until the file is complete.
    """
    model = current_model(session, project.id)
    rounds = dict(session.execute(select(Round.id, Round.number).where(Round.project_id == project.id)).all())
    people = _names(session, rounds) if names else {}
    for items in _pages(session, project.id, model, scope, rounds, page_items):
        page = _page(session, [item.id for item in items], rounds, project.labels, people)
        for item in items:
            if scope == "all" or item.id in page.annotations or item.id in page.consensus:
                yield _row(item, page, project.labels, model)


def _names(session: Session, rounds: dict[int, int]) -> dict[int, str]:
    answered = select(Annotation.expert_id).where(Annotation.round_id.in_(rounds), Annotation.kind == "blind")
    return dict(session.execute(select(User.id, User.name).where(User.id.in_(answered))).all())


def _pages(
    session: Session, project_id: int, model: ModelVersion | None, scope: Scope, rounds: dict[int, int], size: int
) -> Iterator[Sequence[Row[Any]]]:
    query = _items_with_prediction(project_id, model)
    if scope == "labelled":
        answered = select(Annotation.item_id).where(Annotation.round_id.in_(rounds), Annotation.kind == "blind")
        settled = select(ConsensusLabel.item_id).where(ConsensusLabel.round_id.in_(rounds))
        query = query.where(or_(Item.id.in_(answered), Item.id.in_(settled)))
    query, last = query.order_by(Item.ordinal).limit(size), -1
    while rows := session.execute(query.where(Item.ordinal > last)).all():
        yield rows
        last = rows[-1].ordinal


def _items_with_prediction(project_id: int, model: ModelVersion | None) -> Select[*tuple[Any, ...]]:
    items = (Item.id, Item.ordinal, Item.external_id, Item.text, Item.meta)
    of_model = and_(Prediction.item_id == Item.id, Prediction.model_version_id == (model.id if model else None))
    return (
        select(*items, Prediction.label, Prediction.score, Prediction.scores)
        .outerjoin(Prediction, of_model)
        .where(Item.project_id == project_id)
    )


def _page(
    session: Session, item_ids: list[int], rounds: dict[int, int], labels: list[str], people: dict[int, str]
) -> _Page:
    if not rounds:
        return _Page({}, {}, {})
    # In the order of rounds, so that the last one that chose or settled an item stays.
    chosen = (
        select(RoundItem.item_id, Round.number, RoundItem.reason, RoundItem.reason_detail, RoundItem.split)
        .join(Round, Round.id == RoundItem.round_id)
        .where(RoundItem.item_id.in_(item_ids), Round.state != "cancelled")
        .order_by(Round.number)
    )
    settled = (
        select(ConsensusLabel.item_id, ConsensusLabel.label, ConsensusLabel.source)
        .join(Round, Round.id == ConsensusLabel.round_id)
        .where(ConsensusLabel.item_id.in_(item_ids))
        .order_by(Round.number)
    )
    return _Page(
        {row.item_id: row for row in _rows(session, chosen)},
        _annotations(session, item_ids, rounds, labels, people),
        {row.item_id: row for row in _rows(session, settled)},
    )


def _annotations(
    session: Session, item_ids: list[int], rounds: dict[int, int], labels: list[str], people: dict[int, str]
) -> dict[int, list[dict[str, Any]]]:
    annotations: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for answer in effective_answers(session, list(rounds), item_ids=item_ids):
        annotations[answer.item_id].append(
            {
                "expert": people.get(answer.expert_id, f"expert-{answer.expert_id}"),
                "round": rounds[answer.round_id],
                "blind": _name(labels, answer.blind_label),
                "final": _name(labels, answer.final_label),
                "flagged": answer.flagged,
                "note": answer.note,
            }
        )
    return annotations


def _rows(session: Session, query: Select[*tuple[Any, ...]]) -> Sequence[Row[Any]]:
    return session.execute(query).all()


def _row(item: Row[Any], page: _Page, labels: list[str], model: ModelVersion | None) -> ExportRow:
    chosen, settled = page.chosen.get(item.id), page.consensus.get(item.id)
    predicted = model is not None and item.label is not None
    values = (
        item.ordinal,
        item.external_id,
        item.text,
        item.meta,
        model.version if model is not None and predicted else None,
        _name(labels, item.label),
        _rounded(item.score) if predicted else None,
        _scores(labels, item.scores) if predicted else None,
        chosen.number if chosen else None,
        chosen.reason if chosen else None,
        chosen.reason_detail if chosen else None,
        chosen.split if chosen else None,
        page.annotations.get(item.id, []),
        _name(labels, settled.label) if settled else None,
        settled.source if settled else None,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _name(labels: list[str], label: int | None) -> str | None:
    return None if label is None else labels[label]


def _rounded(score: float) -> float:
    """Scores are float32: six digits are all that they hold."""
    return round(score, 6)


def _scores(labels: list[str], raw: bytes) -> dict[str, float]:
    return dict(zip(labels, map(_rounded, struct.unpack(f"<{len(labels)}f", raw)), strict=True))
