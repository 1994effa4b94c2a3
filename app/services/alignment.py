"""What is known of alignment now: every figure that the newest finished round computed, in one report.

Each round scores every model version again on the cumulative evaluation set as it stood then. So versions compare
only within one round's figures, and the newest finished round's are the ones to read. The page, the API and the
command line share this report; nothing is computed here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.curation.outlook import Trend, next_gain
from app.db.tables import ConsensusLabel, Evaluation, ModelVersion, Project, Round, RoundItem, User
from app.errors import NotFound
from app.services.projects import settings_of

EVALUATION, CONTROL = "evaluation", "control"
SLICES = (EVALUATION, CONTROL)


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval and the number of items it rests on.

    ``value`` is None exactly when ``undefined`` says why. ``low`` and ``high`` may be None where a value is known
    but no interval is.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    undefined: str | None


@dataclass(frozen=True)
class Point:
    """One model version on one slice. ``round_number`` is 0 for the pre-labeller: the place on the chart's axis.

    ``kappa`` is model–human alignment; ``agreement`` the share of answers that the model matches; ``gap`` is kappa
    less the experts' internal alignment, paired; ``gain`` is kappa less the version before's, paired on the same items,
    ``gain_over_prelabeller`` is kappa less the pre-labeller's, known of the first trained version and of the newest.
    """

    version: int
    round_number: int
    engine: str
    training_size: int
    slice: str
    kappa: Figure
    agreement: Figure | None
    gap: Figure | None
    gain: Figure | None
    gain_over_prelabeller: Figure | None


@dataclass(frozen=True)
class Internal:
    """How well the experts agree with each other on one slice."""

    slice: str
    kappa: Figure
    agreement: Figure | None
    alpha: Figure | None


@dataclass(frozen=True)
class Reference:
    """The admin's own labels from before, scored on the items that they cover."""

    slice: str
    kappa: Figure
    agreement: Figure | None
    gap: Figure | None


@dataclass(frozen=True)
class ExpertPair:
    first_id: int
    second_id: int
    first: str  # names
    second: str
    slice: str
    kappa: Figure


@dataclass(frozen=True)
class RoundAdvice:
    """What a finished round advised, in the words of its own time."""

    round_number: int
    kind: str  # match, plateau, continue, disagree
    reason: str
    finished_at: datetime | None


@dataclass(frozen=True)
class Labels:
    """Consensus labels of all finished rounds. ``counts`` is by label, in the project's order; ``fine_tuning`` and
    ``evaluation`` count those in either split; ``undecided`` are ties that were left out.
    ``share_positive`` is None without labels, or with more than two of them."""

    total: int
    counts: tuple[int, ...]
    fine_tuning: int
    evaluation: int
    undecided: int

    @property
    def share_positive(self) -> float | None:
        return self.counts[1] / self.total if len(self.counts) == 2 and self.total else None


@dataclass(frozen=True)
class AlignmentReport:
    """``round_number`` is the newest finished round's, or None; then ``points``, ``internal`` and ``pairs`` are
    empty. Points are in the order of slices, then versions."""

    label_names: tuple[str, ...]
    round_number: int | None
    points: tuple[Point, ...]
    internal: tuple[Internal, ...]
    pairs: tuple[ExpertPair, ...]
    advice: RoundAdvice | None
    history: tuple[RoundAdvice, ...]
    labels: Labels
    baseline: tuple[Reference, ...] = ()
    trend: Trend | None = None

    def reference(self, slice_: str = EVALUATION) -> Reference | None:
        return next((row for row in self.baseline if row.slice == slice_), None)

    def series(self, slice_: str) -> list[Point]:
        return [point for point in self.points if point.slice == slice_]

    def newest(self, slice_: str = EVALUATION) -> Point | None:
        """The newest model version's figures on a slice."""
        return max(self.series(slice_), key=lambda point: point.version, default=None)

    def ceiling(self, slice_: str = EVALUATION) -> Internal | None:
        return next((row for row in self.internal if row.slice == slice_), None)

    def pairs_on(self, slice_: str = EVALUATION) -> list[ExpertPair]:
        return [pair for pair in self.pairs if pair.slice == slice_]


def alignment(session: Session, project_id: int) -> AlignmentReport:
    """The report of one project. Raises NotFound if there is no such project."""
    project = session.get(Project, project_id)
    if project is None:
        raise NotFound("There is no such project.")
    finished = list(
        session.scalars(
            select(Round).where(Round.project_id == project_id, Round.state == "done").order_by(Round.number)
        )
    )
    history = tuple(_advice(round_) for round_ in finished if round_.advice)
    newest = finished[-1] if finished else None
    ids = [round_.id for round_ in finished]
    rows = _rows(session, newest.id) if newest else {}
    points, labels = _points(session, project_id, rows), _labels(session, ids, len(project.labels))
    return AlignmentReport(
        label_names=tuple(project.labels),
        round_number=newest.number if newest else None,
        points=tuple(points),
        internal=tuple(_internal(rows)),
        pairs=tuple(_pairs(session, rows)),
        advice=next((advice for advice in history if newest and advice.round_number == newest.number), None),
        history=history,
        labels=labels,
        baseline=tuple(_references(rows)),
        trend=_trend(points, project),
    )


def _references(rows: "Rows") -> list[Reference]:
    return [
        Reference(
            slice_,
            kappa,
            rows.get(("baseline", slice_, "percent_agreement", "")),
            rows.get(("baseline", slice_, "kappa_gap", "")),
        )
        for slice_ in SLICES
        if (kappa := rows.get(("baseline", slice_, "kappa", ""))) is not None
    ]


def _trend(points: Sequence[Point], project: Project) -> Trend | None:
    """A round brings fine-tuning labels as the settings stand now."""
    trained = [point for point in points if point.slice == EVALUATION and point.round_number]
    if not trained:
        return None
    settings = settings_of(project)
    new = round(settings.round_size * (1 - settings.evaluation_share))
    size = max(point.training_size for point in trained)
    return next_gain([p.training_size for p in trained], [p.kappa.value for p in trained], size + new)


TABLE_COLUMNS = (
    "round",
    "slice",
    "subject",
    "measure",
    "compared",
    "training_labels",
    "value",
    "low",
    "high",
    "n",
    "undefined",
)


def table(report: AlignmentReport) -> list[dict[str, Any]]:
    """Every figure of the report as one flat row with TABLE_COLUMNS, for files and for the command line.

    ``subject`` is 'experts' or 'model <version>'; ``compared`` names what a gap, a gain or a pair compares.
    """
    rows = []
    for point in report.points:
        subject, size = f"model {point.version}", point.training_size
        measures = (
            ("kappa", "experts", point.kappa),
            ("percent_agreement", "experts", point.agreement),
            ("kappa_gap", "experts among themselves", point.gap),
            ("kappa_gain", "the model version before", point.gain),
            ("kappa_gain", "the pre-labeller", point.gain_over_prelabeller),
        )
        rows += [_flat(report, point.slice, subject, m, other, size, f) for m, other, f in measures if f]
    for row in report.internal:
        overall = (("kappa", row.kappa), ("percent_agreement", row.agreement), ("alpha", row.alpha))
        rows += [_flat(report, row.slice, "experts", m, "all pairs", None, f) for m, f in overall if f]
    for reference in report.baseline:
        of_baseline = (
            ("kappa", "experts", reference.kappa),
            ("percent_agreement", "experts", reference.agreement),
            ("kappa_gap", "experts among themselves", reference.gap),
        )
        rows += [_flat(report, reference.slice, "baseline", m, other, None, f) for m, other, f in of_baseline if f]
    for pair in report.pairs:
        compared = (
            f"{pair.first_id} {pair.first} and {pair.second_id} {pair.second}"  # a digit first: no formula in a sheet
        )
        rows.append(_flat(report, pair.slice, "experts", "kappa", compared, None, pair.kappa))
    return rows


def _flat(
    report: AlignmentReport,
    slice_: str,
    subject: str,
    measure: str,
    compared: str,
    size: int | None,
    figure: Figure,
) -> dict[str, Any]:
    values = (report.round_number, slice_, subject, measure, compared, size)
    numbers = (figure.value, figure.low, figure.high, figure.n, figure.undefined)
    return dict(zip(TABLE_COLUMNS, values + numbers, strict=True))


Key = tuple[str, str, str, str]  # subject, slice, measure, detail
Rows = dict[Key, Figure]


def _rows(session: Session, round_id: int) -> Rows:
    stored = session.scalars(select(Evaluation).where(Evaluation.round_id == round_id).order_by(Evaluation.id))
    return {
        (row.subject, row.slice, row.measure, row.detail): Figure(
            row.value, row.low, row.high, row.n, row.undefined_reason
        )
        for row in stored
    }


def _advice(round_: Round) -> RoundAdvice:
    return RoundAdvice(round_.number, round_.advice or "", round_.advice_reason or "", round_.finished_at)


def _points(session: Session, project_id: int, rows: Rows) -> list[Point]:
    versions = session.execute(
        select(ModelVersion, Round.number)
        .outerjoin(Round, Round.id == ModelVersion.round_id)
        .where(ModelVersion.project_id == project_id)
        .order_by(ModelVersion.version)
    )
    known = [(version, number or 0) for version, number in versions]
    return [point for slice_ in SLICES for point in _points_on(slice_, known, rows)]


def _points_on(slice_: str, versions: Sequence[tuple[ModelVersion, int]], rows: Rows) -> Iterator[Point]:
    """Of the versions that the newest finished round scored: no cancelled round's, and no later one."""
    scored = [(version, number) for version, number in versions if (f"model:{version.id}", slice_, "kappa", "") in rows]
    prelabeller = next((version.id for version, number in scored if not number), None)
    for before, (version, number) in zip([None, *(version.id for version, _ in scored)], scored, strict=False):
        subject = f"model:{version.id}"
        yield Point(
            version=version.version,
            round_number=number,
            engine=version.engine,
            training_size=version.training_size,
            slice=slice_,
            kappa=rows[subject, slice_, "kappa", ""],
            agreement=rows.get((subject, slice_, "percent_agreement", "")),
            gap=rows.get((subject, slice_, "kappa_gap", "")),
            gain=rows.get((subject, slice_, "kappa_gain", f"over:{before}")),
            gain_over_prelabeller=rows.get((subject, slice_, "kappa_gain", f"over:{prelabeller}")),
        )


def _internal(rows: Rows) -> list[Internal]:
    return [
        Internal(
            slice_,
            kappa,
            rows.get(("experts", slice_, "percent_agreement", "")),
            rows.get(("experts", slice_, "alpha", "")),
        )
        for slice_ in SLICES
        if (kappa := rows.get(("experts", slice_, "kappa", ""))) is not None
    ]


def _pairs(session: Session, rows: Rows) -> list[ExpertPair]:
    found = [
        (slice_, *_expert_ids(detail), figure)
        for (subject, slice_, measure, detail), figure in rows.items()
        if subject == "experts" and measure == "kappa" and detail
    ]
    ids = {expert for _, first, second, _ in found for expert in (first, second)}
    names = dict(session.execute(select(User.id, User.name).where(User.id.in_(ids))).all())
    return [
        ExpertPair(first, second, names.get(first, "?"), names.get(second, "?"), slice_, figure)
        for slice_, first, second, figure in found
    ]


def _expert_ids(detail: str) -> tuple[int, int]:
    first, _, second = detail.partition("-")
    return int(first), int(second)


def _labels(session: Session, round_ids: Sequence[int], n_labels: int) -> Labels:
    rows = session.execute(
        select(ConsensusLabel.label, RoundItem.split, func.count())
        .join(
            RoundItem,
            (RoundItem.round_id == ConsensusLabel.round_id) & (RoundItem.item_id == ConsensusLabel.item_id),
        )
        .where(ConsensusLabel.round_id.in_(round_ids))
        .group_by(ConsensusLabel.label, RoundItem.split)
    )
    found = list(rows)
    decided = [(label, split, count) for label, split, count in found if label is not None]
    return Labels(
        total=sum(count for _, _, count in decided),
        counts=tuple(sum(count for label, _, count in decided if label == k) for k in range(n_labels)),
        fine_tuning=sum(count for _, split, count in decided if split == "train"),
        evaluation=sum(count for _, split, count in decided if split == EVALUATION),
        undecided=sum(count for label, _, count in found if label is None),
    )
