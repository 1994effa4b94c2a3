"""What a project has come to, in the form of the article that the method is from: two tables, a figure, the settings
and the limits. Every number is one that the alignment page shows too."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import __version__
from app.db.base import utcnow
from app.db.tables import Assignment, GuidelineVersion, ModelVersion, Project, Round
from app.services import baselines
from app.services.alignment import CONTROL, EVALUATION, AlignmentReport, Figure, alignment
from app.services.automation import cost
from app.services.projects import settings_of


@dataclass(frozen=True)
class LabelSet:
    """A set of labels: ``counts`` by label. ``kappa`` is how well it agrees with the experts, or for the curated set
    how well they agree among themselves; None where nothing was computed."""

    name: str
    size: int
    counts: tuple[int, ...]
    kappa: Figure | None


@dataclass(frozen=True)
class ModelLine:
    name: str
    trained_on: int
    evaluation: Figure | None
    control: Figure | None
    gap: Figure | None


@dataclass(frozen=True)
class RoundLine:
    number: int
    state: str
    seed: int
    strategy: str
    engine: str
    encoder: str
    items: int
    finished_at: datetime | None


@dataclass(frozen=True)
class Report:
    """``reduction`` is how many baseline labels there are for each fine-tuning label of the newest model; None without
    either. It says nothing of quality: the kappas beside it do."""

    project: Project
    alignment: AlignmentReport
    sets: list[LabelSet]
    models: list[ModelLine]
    rounds: list[RoundLine]
    reduction: float | None
    answers: int
    cost: float
    settings: dict[str, Any]
    guideline_version: int
    made_at: datetime
    made_by: str
    limits: list[str]


def report(session: Session, project: Project, *, now: datetime | None = None) -> Report:
    """Empty tables where no round is finished yet."""
    known = alignment(session, project.id)
    baseline = baselines.current_baseline(session, project.id)
    sets = [_baseline_set(project, known, baseline)] if baseline else []
    sets.append(_curated_set(known))
    newest = known.newest()
    trained = newest.training_size if newest else 0
    guideline = session.scalar(
        select(func.max(GuidelineVersion.version)).where(GuidelineVersion.project_id == project.id)
    )
    answers = (
        select(func.count())
        .select_from(Assignment)
        .join(Round, Round.id == Assignment.round_id)
        .where(Round.project_id == project.id, Assignment.state == "done")
    )
    return Report(
        project=project,
        alignment=known,
        sets=sets,
        models=_models(known),
        rounds=_rounds(session, project.id),
        reduction=baseline.items_labelled / trained if baseline and trained else None,
        answers=session.scalar(answers) or 0,
        cost=cost(session, project.id),
        settings=settings_of(project).model_dump(),
        guideline_version=guideline or 0,
        made_at=now or utcnow(),
        made_by=f"Linecall {__version__}",
        limits=_limits(known),
    )


def _baseline_set(project: Project, known: AlignmentReport, baseline: Any) -> LabelSet:
    reference = known.reference()
    counts = tuple(int(baseline.counts.get(label, 0)) for label in project.labels)
    name = f"Baseline ({baseline.filename})"
    return LabelSet(name, baseline.items_labelled, counts, reference.kappa if reference else None)


def _curated_set(known: AlignmentReport) -> LabelSet:
    ceiling = known.ceiling()
    return LabelSet("Curated by experts", known.labels.total, known.labels.counts, ceiling.kappa if ceiling else None)


def _models(known: AlignmentReport) -> list[ModelLine]:
    control = {point.version: point.kappa for point in known.series(CONTROL)}
    lines = [
        ModelLine(
            f"{point.version}: "
            + (f"{point.engine}, round {point.round_number}" if point.round_number else "pre-labeller"),
            point.training_size,
            point.kappa,
            control.get(point.version),
            point.gap,
        )
        for point in known.series(EVALUATION)
    ]
    on_pool = known.reference(CONTROL)
    if (reference := known.reference()) is not None:
        lines.insert(
            0, ModelLine("Baseline labels", 0, reference.kappa, on_pool.kappa if on_pool else None, reference.gap)
        )
    return lines


def _rounds(session: Session, project_id: int) -> list[RoundLine]:
    rows = session.execute(
        select(Round, ModelVersion)
        .outerjoin(ModelVersion, ModelVersion.round_id == Round.id)
        .where(Round.project_id == project_id, Round.state.in_(("done", "cancelled")))
        .order_by(Round.number)
    )
    return [
        RoundLine(
            round_.number,
            round_.state,
            round_.seed,
            str(round_.settings.get("strategy", "")),
            version.engine if version else "",
            str(round_.settings.get("encoder", "")),
            int(round_.settings.get("round_size", 0)),
            round_.finished_at,
        )
        for round_, version in rows
    ]


def _limits(known: AlignmentReport) -> list[str]:
    """What a sceptical reader should know, as far as it holds here."""
    newest, ceiling = known.newest(), known.ceiling()
    found = [
        "The evaluation set holds mined items, which are harder than the pool's average; the control slice, drawn at "
        "random, stands for the pool.",
        "Kappa depends on how common each label is: figures compare on the same items only.",
        "Agreement with these experts is measured, not truth: other experts may read the guideline otherwise.",
    ]
    if newest is not None and newest.kappa.n < 100:
        found.append(f"The evaluation set has {newest.kappa.n:,} items: its intervals are wide.")
    if ceiling is None or ceiling.kappa.value is None:
        found.append(
            "How well the experts agree among themselves is not known, so there is no ceiling to compare with."
        )
    control = known.newest(CONTROL)
    if control is None or control.kappa.value is None:
        found.append("Nothing can be said of the whole pool: the control slice has no defined figure.")
    else:
        found.append(
            f"The control slice has {control.kappa.n:,} items. Where a label is rare in the pool its kappa is too "
            "high: by .04 to .12 in simulations with 1 % of the pool, by .02 at most with 5 %."
        )
    if known.labels.undecided:
        found.append(f"{known.labels.undecided:,} ties were left out of the labels.")
    return found
