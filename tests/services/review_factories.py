"""An open review, written straight to the tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from app.db.engine import Database
from app.db.tables import Assignment, GuidelineVersion, Project, Round, RoundItem
from tests.factories import make_items, make_member, make_project, make_user


@dataclass(frozen=True)
class Review:
    project_id: int
    round_id: int
    experts: Sequence[int]
    items: Sequence[int]


def open_review(db: Database, *, items: int = 4, experts: int = 2, overlap: int = 2) -> Review:
    with db.write() as session:
        people = [make_user(session) for _ in range(experts)]
        project = make_project(session, experts=people, settings={"overlap": overlap})
        rows = make_items(session, project, items)
        review = add_round(session, project, [row.id for row in rows], overlap=overlap)
        return Review(project.id, review.id, [p.id for p in people], [r.id for r in rows])


def add_expert(db: Database, review: Review) -> int:
    with db.write() as session:
        person = make_user(session)
        make_member(session, session.get_one(Project, review.project_id), person)
        return person.id


def add_round(session, project: Project, item_ids: Sequence[int], *, overlap: int, number: int = 1) -> Round:
    guideline = session.scalars(
        select(GuidelineVersion).where(GuidelineVersion.project_id == project.id).order_by(GuidelineVersion.id)
    ).first()
    round_ = Round(
        project_id=project.id,
        number=number,
        state="review",
        settings={"overlap": overlap},
        seed=0,
        guideline_version_id=guideline.id,
    )
    session.add(round_)
    session.flush()
    for position, item_id in enumerate(item_ids):
        session.add(
            RoundItem(
                round_id=round_.id,
                item_id=item_id,
                reason="boundary",
                group_key=position,
                position=position,
                model_label=0,
                model_score=0.9,
            )
        )
        for slot in range(overlap):
            session.add(Assignment(round_id=round_.id, item_id=item_id, slot=slot, position=position))
    session.flush()
    return round_
