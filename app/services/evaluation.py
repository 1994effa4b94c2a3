"""Scores a round on everything answered so far and stores the figures. Used by workers only: it needs scipy."""

from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, aliased

from app.curation.agreement import MISSING, cohen_kappa
from app.curation.bootstrap import Estimate
from app.curation.loop import Figure, compared_version, round_figures, score_round
from app.curation.stopping import Advice, RoundFigures, advise
from app.db.base import utcnow
from app.db.tables import Evaluation, ModelVersion, Prediction, Round, RoundItem
from app.services import baselines
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
    figures += baseline_figures(session, round_)
    ids = [version.id for version in versions]
    judged = round_figures(round_.number, figures, ids, _stability(session, ids))
    return Scored(figures, advise([*_history(session, round_), judged]))


def baseline_figures(session: Session, round_: Round) -> list[Figure]:
    """The baseline's agreement with the experts, scored like a model's on the same items as far as it labels them;
    empty without a baseline. It has no part in the advice."""
    baseline = baselines.current_baseline(session, round_.project_id)
    if baseline is None:
        return []
    rounds = _finished_rounds(session, round_)
    ids = [r.id for r in rounds]
    rows = list(session.scalars(select(RoundItem).where(RoundItem.round_id.in_(ids)).order_by(RoundItem.id)))
    item_ids = [row.item_id for row in rows]
    found = baselines.labels_of(session, baseline.id, item_ids)
    ratings = ratings_of(session, ids, item_ids, blind=True)
    figures = score_round(
        ratings.labels,
        np.array([row.group_key for row in rows]),
        np.array([row.split == "evaluation" for row in rows]),
        np.array([np.nan if row.propensity is None else row.propensity for row in rows]),
        {0: np.array([found.get(item_id, MISSING) for item_id in item_ids], dtype=np.int64)},
        np.random.default_rng([round_.seed, 5]),
        expert_ids=ratings.expert_ids,
    )
    kept = ("kappa", "percent_agreement", "kappa_gap")
    return [
        replace(figure, subject="baseline")
        for figure in figures
        if figure.subject == "model:0" and figure.measure in kept and not figure.detail
    ]


def store_baseline(session: Session, round_: Round, figures: list[Figure]) -> None:
    """Write what a baseline that came after the round has scored."""
    session.execute(delete(Evaluation).where(Evaluation.round_id == round_.id, Evaluation.subject == "baseline"))
    _write(session, round_, figures)


def newest_finished(session: Session, project_id: int) -> Round | None:
    return session.scalar(
        select(Round)
        .where(Round.project_id == project_id, Round.state == "done")
        .order_by(Round.number.desc())
        .limit(1)
    )


def _stability(session: Session, version_ids: list[int]) -> float | None:
    """Cohen's kappa of the newest version's labels of the pool with those of the version that it is judged by, None
    if there is none or both give one label throughout. Counted by the database: a pool may have a million items."""
    before = compared_version(version_ids)
    if before is None:
        return None
    newer, older = aliased(Prediction), aliased(Prediction)
    counts = session.execute(
        select(newer.label, older.label, func.count())
        .join(older, older.item_id == newer.item_id)
        .where(newer.model_version_id == version_ids[-1], older.model_version_id == before)
        .group_by(newer.label, older.label)
    ).all()
    if not counts:
        return None
    first, second, weights = zip(*counts, strict=True)
    kappa = cohen_kappa(first, second, weights=weights)
    return None if kappa != kappa else kappa


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
    _write(session, round_, scored.figures)


def _write(session: Session, round_: Round, figures: list[Figure]) -> None:
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
        ids = [version.id for version in model_versions(session, earlier)]
        history.append(round_figures(earlier.number, figures, ids))
    return history
