"""Scores a round on everything answered so far and stores the figures. Used by workers only: it needs scipy."""

from collections.abc import Sequence

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


def evaluate(session: Session, round_: Round) -> Advice:
    """Score the experts and every model version on the cumulative evaluation set and the control slice, store each
    figure, and give the round its advice. Repeating it replaces the round's figures by the same ones."""
    rounds = _finished_rounds(session, round_)
    rows = list(
        session.scalars(select(RoundItem).where(RoundItem.round_id.in_([r.id for r in rounds])).order_by(RoundItem.id))
    )
    item_ids = [row.item_id for row in rows]
    ratings = ratings_of(session, [r.id for r in rounds], item_ids, blind=True)
    versions = _model_versions(session, round_)
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
    _store(session, round_, figures)
    history = [*_history(session, round_), round_figures(round_.number, figures, [v.id for v in versions])]
    advice = advise(history)
    round_.advice, round_.advice_reason = advice.kind, advice.reason
    return advice


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


def _model_versions(session: Session, round_: Round) -> list[ModelVersion]:
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


def _store(session: Session, round_: Round, figures: Sequence[Figure]) -> None:
    session.execute(delete(Evaluation).where(Evaluation.round_id == round_.id))
    for figure in figures:
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
        ids = [version.id for version in _model_versions(session, earlier)]
        history.append(round_figures(earlier.number, figures, ids))
    return history
