"""A small project on real text, answered by experts who know each ad's hidden degree."""

import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.engine import Database
from app.db.tables import (
    Annotation,
    Assignment,
    ConsensusLabel,
    Evaluation,
    Item,
    Membership,
    ModelVersion,
    Prediction,
    Project,
    Round,
    RoundItem,
    StageRun,
    User,
)
from app.services import projects, queue, rounds
from tests.factories import make_items, make_member, make_user

ADS = Path(__file__).parents[2] / "app" / "simulate" / "sample" / "ads.jsonl"
EXAMPLES = {
    "fine": ["Waterproof hiking boots, 89 euros, free returns within 60 days.", "Learn Spanish in evening classes."],
    "clickbait": ["She opened the box and then this happened", "The one thing your bank hopes you never find out"],
}
# A prior that calls about half of these ads clickbait, so that there is a line to mine on a few dozen texts.
SETTINGS = {
    "strategy": "boundary",  # so that there are pairs to store
    "round_size": 12,
    "overlap": 2,
    "prelabel": {"provider": "few_shot", "prior": {"clickbait": 0.5}},
}
_LONGEST = 180.0


def ads(start: int, stop: int) -> list[str]:
    """Ads ``start`` to ``stop - 1``: mild and blatant ones by turns."""
    rows = [json.loads(line) for line in ADS.read_text().splitlines()]
    rows.sort(key=lambda row: row["text"][::-1])
    blatant = [row["text"] for row in rows if row["degree"] > 1.5]
    mild = [row["text"] for row in rows if row["degree"] <= 1.5]
    both = [text for pair in zip(mild, blatant, strict=False) for text in pair]
    return both[start:stop]


def is_clickbait(text: str) -> int:
    return int(text in _BLATANT)


_BLATANT = {row["text"] for row in map(json.loads, ADS.read_text().splitlines()) if row["degree"] > 1.5}


def make_loop(db: Database, *, items: int = 24, experts: int = 2, **settings: object) -> int:
    """The project's id."""
    with db.write() as session:
        project = projects.create_project(
            session,
            name="Clickbait",
            labels=["fine", "clickbait"],
            guideline="Clickbait promises and withholds.",
            examples=EXAMPLES,
            settings=projects.ProjectSettings.model_validate({**SETTINGS, **settings}),
        )
        for _ in range(experts):
            make_member(session, project, make_user(session))
        make_items(session, project, ads(0, items))
        return project.id


def start(db: Database, project_id: int) -> int:
    with db.write() as session:
        return rounds.start_round(session, session.get_one(Project, project_id)).id


def round_of(db: Database, round_id: int) -> Round:
    with db.read() as session:
        return session.get_one(Round, round_id)


def wait_for(db: Database, round_id: int, *states: str, seconds: float = _LONGEST) -> Round:
    """The round, once it is in one of ``states``; fails when it stops elsewhere or takes too long."""
    until = time.monotonic() + seconds
    while True:
        round_ = round_of(db, round_id)
        if round_.state in states:
            return round_
        stopped = round_.state in ("failed", "done", "cancelled")
        assert not stopped, f"the round is {round_.state}, not {states}: {round_.error}"
        assert time.monotonic() < until, f"after {seconds} s the round is still {round_.state}"
        time.sleep(0.02)


def run_round(db: Database, project_id: int) -> int:
    """A round from its start to its end, answered with the truth; its id."""
    round_id = start(db, project_id)
    wait_for(db, round_id, "review")
    answer_all(db, round_id)
    wait_for(db, round_id, "done")
    return round_id


def answer_all(db: Database, round_id: int, *, ties: Collection[int] = (), labels: Mapping[int, int] | None = None):
    """Every slot is answered with the truth (or with ``labels``); on the items in ``ties`` the experts differ."""

    def work(session: Session) -> None:
        round_ = session.get_one(Round, round_id)
        experts = rounds_experts(session, round_.project_id)
        chosen = select(Item).join(RoundItem, RoundItem.item_id == Item.id).where(RoundItem.round_id == round_id)
        texts = {item.id: item.text for item in session.scalars(chosen)}
        free = select(Assignment).where(Assignment.round_id == round_id, Assignment.state == "open")
        for slot in session.scalars(free.order_by(Assignment.id)):
            truth = (labels or {}).get(slot.item_id, is_clickbait(texts[slot.item_id]))
            give(session, round_, slot, experts[slot.slot], slot.slot % 2 if slot.item_id in ties else truth)
        session.flush()
        queue.close_if_answered(session, round_id)

    db.run_write(work)


def rounds_experts(session: Session, project_id: int) -> list[int]:
    return list(
        session.scalars(
            select(Membership.user_id).where(Membership.project_id == project_id).order_by(Membership.user_id)
        )
    )


def give(session: Session, round_: Round, slot: Assignment, expert: int, label: int, kind: str = "blind") -> None:
    slot.state, slot.expert_id, slot.done_at = "done", expert, utcnow()
    session.add(
        Annotation(
            round_id=round_.id,
            item_id=slot.item_id,
            assignment_id=slot.id,
            expert_id=expert,
            kind=kind,
            label=label,
            idempotency_key=uuid4().hex,
            guideline_version_id=round_.guideline_version_id,
        )
    )


def stages_of(db: Database, round_id: int) -> list[StageRun]:
    with db.read() as session:
        return list(session.scalars(select(StageRun).where(StageRun.round_id == round_id).order_by(StageRun.id)))


def outcome(db: Database, project_id: int) -> dict[str, list[tuple]]:
    """All that a project's rounds have left, free of ids and times, so that two databases can be compared."""
    with db.read() as session:
        ordinal = {i.id: i.ordinal for i in session.scalars(select(Item).where(Item.project_id == project_id))}
        version = {v.id: v.version for v in session.scalars(select(ModelVersion))}
        person = {user_id: place for place, user_id in enumerate(session.scalars(select(User.id).order_by(User.id)))}
        number = {r.id: r.number for r in session.scalars(select(Round).where(Round.project_id == project_id))}

        def subject(row: Evaluation) -> tuple:
            kind, _, model = row.subject.partition(":")
            detail = row.detail
            if detail.startswith("over:"):
                detail = f"over:{version[int(detail[5:])]}"
            elif detail:
                detail = "-".join(str(person[int(part)]) for part in detail.split("-"))
            return kind, version[int(model)] if model else None, row.slice, row.measure, detail

        return {
            "rounds": sorted((r.number, r.state, r.advice, r.advice_reason) for r in session.scalars(select(Round))),
            "items": sorted(
                (number[row.round_id], ordinal[row.item_id], row.reason, row.position, row.split, row.model_label)
                for row in session.scalars(select(RoundItem))
            ),
            "slots": sorted(
                (number[row.round_id], ordinal[row.item_id], row.slot, row.state)
                for row in session.scalars(select(Assignment))
            ),
            "consensus": sorted(
                (number[row.round_id], ordinal[row.item_id], row.source, row.label)
                for row in session.scalars(select(ConsensusLabel))
            ),
            "models": sorted(
                (v.version, v.kind, v.state, v.training_size, v.predicted_items)
                for v in session.scalars(select(ModelVersion))
            ),
            "predictions": sorted(
                (version[row.model_version_id], ordinal[row.item_id], row.label, row.scores)
                for row in session.scalars(select(Prediction))
            ),
            "figures": sorted(
                (number[row.round_id], *map(str, subject(row)), str(row.value), str(row.low), str(row.high), row.n)
                for row in session.scalars(select(Evaluation))
            ),
            "stages": sorted((s.stage, s.state, s.attempt, s.message) for s in session.scalars(select(StageRun))),
        }
