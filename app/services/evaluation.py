"""Scores a round on everything answered so far and stores the figures. Used by workers only: it needs scipy."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.curation.agreement import MISSING
from app.curation.bootstrap import Estimate
from app.curation.loop import Figure, round_figures, score_round
from app.curation.stopping import Advice, RoundFigures, advise
from app.db.base import utcnow
from app.db.tables import Evaluation, ModelVersion, Round, RoundItem
from app.services.decisions import ratings_of
from app.services.predictions import labels_of

_RECORDED = ("kappa", "kappa_gap", "kappa_gain")


@dataclass(frozen=True)
class Scored:
    figures: list[Figure]
    advice: Advice


def score(session: Session, round_: Round) -> Scored:
    """Figures of the experts and of every model version on the cumulative evaluation set and the control slice, and
    the advice that follows from them and from earlier rounds. It only reads, and may take seconds: not for a write
    transaction. Asked again, it gives the same figures."""
    rounds = _finished_rounds(session, round_)
    rows = list(
        session.scalars(select(RoundItem).where(RoundItem.round_id.in_([r.id for r in rounds])).order_by(RoundItem.id))
    )
    item_ids = [row.item_id for row in rows]
    ratings = ratings_of(session, [r.id for r in rounds], item_ids, blind=True)
    versions = model_versions(session, round_)
    models = {}
    for version in versions:
        found = labels_of(session, version.id, item_ids)
        models[version.id] = np.array([found.get(item_id, MISSING) for item_id in item_ids], dtype=np.int64)
    figures = score_round(
        ratings.labels,
        np.array([row.group_key for row in rows]),
        np.array([row.split == "evaluation" for row in rows]),
        np.array([np.nan if row.propensity is None else row.propensity for row in rows]),
        models,
        np.random.default_rng([round_.seed, 4]),
        expert_ids=ratings.expert_ids,
    )
    history = [*_history(session, round_), round_figures(round_.number, figures, [v.id for v in versions])]
    return Scored(figures, advise(history))


def _finished_rounds(session: Session, round_: Round) -> list[Round]:
    return list(
        session.scalars(
            select(Round)
            .where(
                Round.project_id == round_.project_id,
                Round.number <= round_.number,
                (Round.state == "done") | (Round.id == round_.id),
            )
            .order_by(Round.number)
        )
    )


def items_so_far(session: Session, round_: Round) -> list[int]:
    """Ids of the items of this and all finished rounds before it: what every model version is scored on."""
    ids = [r.id for r in _finished_rounds(session, round_)]
    return list(session.scalars(select(RoundItem.item_id).where(RoundItem.round_id.in_(ids)).order_by(RoundItem.id)))


def model_versions(session: Session, round_: Round) -> list[ModelVersion]:
    """Oldest first: the pre-labeller, then one per finished round; the last is this round's."""
    return list(
        session.scalars(
            select(ModelVersion)
            .outerjoin(Round, Round.id == ModelVersion.round_id)
            .where(
                ModelVersion.project_id == round_.project_id,
                ModelVersion.state == "ready",
                Round.id.is_(None)
                | ((Round.number < round_.number) & (Round.state == "done"))
                | (Round.id == round_.id),
            )
            .order_by(ModelVersion.version)
        )
    )


def store(session: Session, round_: Round, scored: Scored) -> None:
    """Write a round's figures and advice, in place of any that are there."""
    round_.advice, round_.advice_reason = scored.advice.kind, scored.advice.reason
    session.execute(delete(Evaluation).where(Evaluation.round_id == round_.id))
    for figure in scored.figures:
        kind, _, model_id = figure.subject.partition(":")
        estimate = figure.estimate
        session.add(
            Evaluation(
                project_id=round_.project_id,
                round_id=round_.id,
                model_version_id=int(model_id) if kind == "model" else None,
                subject=figure.subject,
                slice=figure.slice,
                measure=figure.measure,
                detail=figure.detail,
                value=estimate.value,
                low=estimate.low,
                high=estimate.high,
                n=estimate.n,
                undefined_reason=estimate.undefined,
                created_at=utcnow(),
            )
        )
    session.flush()


def _history(session: Session, round_: Round) -> list[RoundFigures]:
    """The figures of the rounds before, as they were stored."""
    history = []
    for earlier in _finished_rounds(session, round_)[:-1]:
        stored = session.scalars(
            select(Evaluation).where(Evaluation.round_id == earlier.id, Evaluation.measure.in_(_RECORDED))
        )
        figures = [
            Figure(
                row.subject,
                row.slice,
                row.measure,
                row.detail,
                Estimate(row.value, row.low, row.high, row.n, row.undefined_reason),
            )
            for row in stored
        ]
        ids = [version.id for version in model_versions(session, earlier)]
        history.append(round_figures(earlier.number, figures, ids))
    return history
