"""Looking through the pool."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.tables import Item


def list_items(session: Session, project_id: int, *, after_ordinal: int = -1, limit: int = 50) -> Sequence[Item]:
    """The next items by ordinal. The page after begins after the last one's: as quick at the end as at the start."""
    page = (
        select(Item)
        .where(Item.project_id == project_id, Item.ordinal > after_ordinal)
        .order_by(Item.ordinal)
        .limit(limit)
    )
    return session.scalars(page).all()
