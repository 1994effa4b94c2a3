"""The guideline's examples as items of the pool. Their label is on show, so no expert is asked for it and no model
is judged by it. Texts are compared as an import compares them."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.db.tables import Assignment, GuidelineVersion, Item, Round
from app.errors import Conflict
from app.services.pool.rows import content_hash


def texts_of(examples: Mapping[str, Sequence[str]]) -> set[str]:
    return {text for texts in examples.values() for text in texts}


def on_show(session: Session, project_id: int) -> set[str]:
    """The example texts of the project's present guideline; none where there is no guideline yet."""
    newest = select(GuidelineVersion.examples).where(GuidelineVersion.project_id == project_id)
    return texts_of(session.scalar(newest.order_by(GuidelineVersion.version.desc()).limit(1)) or {})


def items_with(project_id: int, texts: Iterable[str]) -> Select[int]:
    """The ids of the project's items that have one of these texts."""
    hashes = {content_hash(text) for text in texts}
    return select(Item.id).where(Item.project_id == project_id, Item.content_hash.in_(hashes))


def ordinals_on_show(session: Session, project_id: int) -> list[int]:
    items = items_with(project_id, on_show(session, project_id))
    return list(session.scalars(select(Item.ordinal).where(Item.id.in_(items))))


def require_answered(session: Session, project_id: int, texts: Iterable[str]) -> None:
    """Raises Conflict if an expert has still to answer one of these texts in the open review."""
    waiting = session.scalar(
        select(Item.text)
        .join(Assignment, Assignment.item_id == Item.id)
        .join(Round, Round.id == Assignment.round_id)
        .where(
            Item.id.in_(items_with(project_id, texts)),
            Round.state == "review",
            Assignment.state.in_(("open", "claimed")),
        )
        .limit(1)
    )
    if waiting is not None:
        raise Conflict(
            f"Experts have still to answer “{waiting[:100]}” in the open round, and as an example it would tell them "
            "how. Publish it once they have.",
            field="examples",
        )
