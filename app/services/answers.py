"""What an expert's answers to an item amount to, after every undo and revision: one rule for every figure and file."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Label, Select, and_, case, func, select
from sqlalchemy.orm import Session, aliased

from app.db.tables import Annotation


class EffectiveAnswer(NamedTuple):
    """What counts of one expert's rows on one item in one round.

    ``blind_label`` counts for agreement: None when the expert took back the blind answer and answered again only
    after something had been revealed. ``final_label`` counts for training. ``flagged`` and ``note`` are those of the
    row that gave ``final_label``.
    """

    round_id: int
    item_id: int
    expert_id: int
    blind_label: int | None
    final_label: int
    flagged: bool
    note: str | None


def effective_answers(
    session: Session, round_ids: Sequence[int], *, item_ids: Sequence[int] | None = None
) -> list[EffectiveAnswer]:
    """One row per (round, item, expert) that stands answered, in that order.

    An answer that was undone and not given again has no row. ``item_ids`` narrows it to those items. The rule is in
    ``app.db.tables.review.Annotation``.
    """
    if not round_ids or (item_ids is not None and not item_ids):
        return []
    return [EffectiveAnswer._make(row) for row in session.execute(_effective(round_ids, item_ids))]


def _effective(round_ids: Sequence[int], item_ids: Sequence[int] | None) -> Select[*tuple[Any, ...]]:
    """Rows are only added, so ids tell their order: compare the last id of each kind."""
    key = (Annotation.round_id, Annotation.item_id, Annotation.expert_id)
    last_rows = (
        select(*key, func.max(Annotation.id).label("last"), _last("blind"), _last("undone"))
        .where(Annotation.round_id.in_(round_ids))
        .group_by(*key)
    )
    if item_ids is not None:
        last_rows = last_rows.where(Annotation.item_id.in_(item_ids))
    last = last_rows.subquery()
    rows = last.c
    final, blind = aliased(Annotation), aliased(Annotation)
    stands = and_(blind.id == rows.blind, rows.blind > func.coalesce(rows.undone, 0))
    return (
        select(final.round_id, final.item_id, final.expert_id, blind.label, final.label, final.flagged, final.note)
        .join_from(last, final, final.id == rows.last)
        .outerjoin(blind, stands)
        .where(final.kind != "undone")
        .order_by(final.round_id, final.item_id, final.expert_id)
    )


def _last(kind: str) -> Label[int | None]:
    return func.max(case((Annotation.kind == kind, Annotation.id))).label(kind)
