"""What an expert has been shown beside its contrast, and when the next pair is ready to be: asked with every answer."""

from collections.abc import Sequence

from sqlalchemy import or_, select, text
from sqlalchemy.orm import Session

from app.db.tables import BoundaryPair, PairView

_READY = text("""
    SELECT 1 FROM boundary_pairs p
    JOIN assignments other
      ON other.round_id = p.round_id AND other.expert_id = :expert AND other.state = 'done'
     AND other.item_id = CASE WHEN p.left_item_id = :item THEN p.right_item_id ELSE p.left_item_id END
    WHERE p.round_id = :round AND (p.left_item_id = :item OR p.right_item_id = :item)
      AND NOT EXISTS (SELECT 1 FROM pair_views seen
                      WHERE seen.pair_id = p.id AND seen.expert_id = :expert AND seen.outcome IS NOT NULL)
    LIMIT 1""")


_UNSETTLED = text("""
    SELECT 1 FROM boundary_pairs p
    JOIN assignments one ON one.round_id = p.round_id AND one.item_id = p.left_item_id AND one.state = 'done'
    JOIN assignments other ON other.round_id = p.round_id AND other.item_id = p.right_item_id
     AND other.state = 'done' AND other.expert_id = one.expert_id
    JOIN memberships m ON m.user_id = one.expert_id AND m.project_id = :project AND m.removed_at IS NULL
    WHERE p.round_id = :round
      AND NOT EXISTS (SELECT 1 FROM pair_views seen
                      WHERE seen.pair_id = p.id AND seen.expert_id = one.expert_id AND seen.outcome IS NOT NULL)
    LIMIT 1""")


def any_unsettled(session: Session, project_id: int, round_id: int) -> bool:
    """Whether a present expert has answered both sides of a pair of the round and not yet confirmed or revised them."""
    values = {"project": project_id, "round": round_id}
    return session.connection().execute(_UNSETTLED, values).first() is not None


def is_ready(session: Session, expert_id: int, round_id: int, item_id: int) -> bool:
    """Whether the expert, who has just answered this item, has now answered both sides of one of its pairs."""
    values = {"expert": expert_id, "round": round_id, "item": item_id}
    return session.connection().execute(_READY, values).first() is not None


def revealed(session: Session, expert_id: int, round_id: int, item_ids: Sequence[int]) -> set[int]:
    """Those of the items that the expert has seen side by side: their blind answers to these are fixed."""
    sides = or_(BoundaryPair.left_item_id.in_(item_ids), BoundaryPair.right_item_id.in_(item_ids))
    rows = session.execute(
        select(BoundaryPair.left_item_id, BoundaryPair.right_item_id)
        .join(PairView, PairView.pair_id == BoundaryPair.id)
        .where(BoundaryPair.round_id == round_id, PairView.expert_id == expert_id, sides)
    )
    return {item for row in rows for item in row if item in set(item_ids)}
