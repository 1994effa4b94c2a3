"""One large project for every benchmark that needs one, from a seed, written by bulk inserts into an empty database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from app.db import migrate
from app.db.engine import Database
from app.db.tables import (
    Annotation,
    Assignment,
    ConsensusLabel,
    Evaluation,
    GuidelineVersion,
    Item,
    Membership,
    ModelVersion,
    Prediction,
    Project,
    Round,
    RoundItem,
    User,
)
from app.services.alignment import CONTROL, EVALUATION

ROUNDS = 6
ROUND_ITEMS = 500
_WORDS = np.array([f"word{i}" for i in range(20_000)])


@contextmanager
def database(kind: str, folder: str) -> Iterator[Database]:
    if kind == "sqlite":
        url = f"sqlite:///{folder}/big.sqlite"
        migrate.upgrade(url)
        yield Database(url)
        return
    from tests.postgres import Server

    server = Server(Path(folder) / "pg", "benchmark")
    try:
        url = _named(server.url)
        migrate.upgrade(url)
        yield Database(url)
    finally:
        server.close()


def _named(url_of: Callable[[str], str]) -> str:
    """The URL of the one database in the folder's server, made where it is not there yet."""
    with psycopg.connect(url_of("postgres"), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'big'").fetchone() is None:
            connection.execute("CREATE DATABASE big TEMPLATE template0")
    return url_of("big")


def filled(db: Database, n: int) -> int:
    """``fill``, or the project of ``n`` items that an earlier run has left in a kept folder."""
    with db.read() as session:
        known = session.scalars(select(Project)).one_or_none()
    if known is None:
        return fill(db, n, np.random.default_rng(0))
    assert known.item_count == n, f"the kept pool has {known.item_count:,} items"
    return known.id


def fill(db: Database, n: int, rng: np.random.Generator) -> int:
    """A project of ``n`` items of some 30 words each, whose frequencies fall as Zipf's do, with finished rounds
    (choices, answers, consensus labels, model versions, figures) and the newest version's predictions on all.

    The same ``rng``, the same pool.
    """
    with db.write() as session:
        project = Project(slug="big", name="Big", labels=["no", "yes"], settings={}, item_count=n)
        session.add(project)
        session.flush()
        session.add(GuidelineVersion(project_id=project.id, version=1, text="", examples={}))
        version = ModelVersion(version=ROUNDS, **_trained(project.id, ROUNDS))  # its round comes last
        session.add(version)
        session.flush()
        project_id, version_id = project.id, version.id
    for start in range(0, n, 10_000):
        count = min(10_000, n - start)
        with db.write() as session:
            session.execute(insert(Item), list(_items(project_id, start, count, rng)))
            ids = session.scalars(select(Item.id).where(Item.project_id == project_id, Item.ordinal >= start)).all()
            session.execute(insert(Prediction), _predictions(version_id, list(ids), rng))
    with db.write() as session:
        _history(session, project_id, version_id, n, rng)
        session.execute(text("ANALYZE"))
    return project_id


def _items(project_id: int, start: int, count: int, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    places = np.minimum(rng.zipf(1.3, size=(count, 30)) - 1, len(_WORDS) - 1)
    for i, row in enumerate(places):
        number = start + i
        yield {
            "project_id": project_id,
            "ordinal": number,
            "content_hash": number.to_bytes(16, "big"),
            "text": " ".join(_WORDS[row]),
        }


def _predictions(version_id: int, ids: list[int], rng: np.random.Generator) -> list[dict[str, object]]:
    positive = rng.beta(0.5, 4, size=len(ids))
    return [
        {
            "model_version_id": version_id,
            "item_id": item_id,
            "label": int(p > 0.5),
            "score": float(max(p, 1 - p)),
            "scores": np.array([1 - p, p], "<f4").tobytes(),
        }
        for item_id, p in zip(ids, positive, strict=True)
    ]


def _history(session: Session, project_id: int, newest: int, n: int, rng: np.random.Generator) -> None:
    guideline = session.scalars(select(GuidelineVersion.id)).one()
    experts = [_member(session, project_id, name, "expert") for name in ("Ada", "Bo")]
    _member(session, project_id, "Root", "admin")
    first = session.scalars(select(Item.id).order_by(Item.id).limit(1)).one()
    chosen = rng.choice(n, min(n, ROUNDS * ROUND_ITEMS), replace=False) + first
    versions = [_version(session, project_id, 0).id]
    for number, of_round in enumerate(np.array_split(chosen, ROUNDS), start=1):
        round_ = Round(
            project_id=project_id,
            number=number,
            state="done",
            settings={},
            seed=number,
            guideline_version_id=guideline,
            advice="continue",
            advice_reason="It still gains.",
        )
        session.add(round_)
        session.flush()
        version = session.get_one(ModelVersion, newest) if number == ROUNDS else _version(session, project_id, number)
        version.round_id = round_.id
        session.flush()
        versions.append(version.id)
        _labelled(session, round_.id, guideline, sorted(of_round.tolist()), experts, rng)
        _figures(session, project_id, round_.id, versions, experts)


def _trained(project_id: int, number: int) -> dict[str, Any]:
    common = {"project_id": project_id, "engine": "linear", "config": {}, "state": "ready"}
    return common | {"kind": "trained" if number else "prelabel", "training_size": 300 * number}


def _version(session: Session, project_id: int, number: int) -> ModelVersion:
    version = ModelVersion(version=number, **_trained(project_id, number))
    session.add(version)
    session.flush()
    return version


def _member(session: Session, project_id: int, name: str, role: str) -> int:
    user = User(email=f"{name.lower()}@example.org", name=name)
    session.add(user)
    session.flush()
    session.add(Membership(project_id=project_id, user_id=user.id, role=role))
    return user.id


def _labelled(
    session: Session, round_id: int, guideline: int, items: list[int], experts: list[int], rng: np.random.Generator
) -> None:
    votes = rng.random((len(items), 2)) < 0.4
    for position, (item_id, (one, other)) in enumerate(zip(items, votes.tolist(), strict=True)):
        common = {"round_id": round_id, "item_id": item_id}
        session.add(
            RoundItem(
                **common,
                reason="control" if position % 5 == 0 else "boundary",
                group_key=position // 2,
                position=position,
                model_label=0,
                model_score=0.9,
                split="evaluation" if position % 3 == 0 else "train",
            )
        )
        source = "unanimous" if one == other else "majority"
        session.add(ConsensusLabel(**common, label=int(one), source=source, votes=2))
        for slot, (expert, label) in enumerate(zip(experts, (one, other), strict=True)):
            seat = Assignment(**common, slot=slot, position=position, state="done", expert_id=expert)
            session.add(seat)
            session.flush()
            session.add(
                Annotation(
                    **common,
                    assignment_id=seat.id,
                    expert_id=expert,
                    kind="blind",
                    label=int(label),
                    idempotency_key=f"{seat.id}",
                    guideline_version_id=guideline,
                )
            )


def _figures(session: Session, project_id: int, round_id: int, versions: list[int], experts: list[int]) -> None:
    pair = "-".join(map(str, experts))
    rows = [("experts", None, "kappa", "", 0.8), ("experts", None, "kappa", pair, 0.8)]
    for place, version in enumerate(versions):
        subject = f"model:{version}"
        rows += [(subject, version, "kappa", "", 0.3 + 0.05 * place), (subject, version, "kappa_gap", "", -0.2)]
        if place:
            rows.append((subject, version, "kappa_gain", f"over:{versions[place - 1]}", 0.05))
    for slice_ in (EVALUATION, CONTROL):
        for subject, version, measure, detail, value in rows:
            session.add(
                Evaluation(
                    project_id=project_id,
                    round_id=round_id,
                    model_version_id=version,
                    subject=subject,
                    slice=slice_,
                    measure=measure,
                    detail=detail,
                    value=value,
                    low=value - 0.1,
                    high=value + 0.1,
                    n=300,
                )
            )
