"""Finished rounds with their figures, written straight to the tables: the numbers tell where they came from."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.db.tables import ConsensusLabel, Evaluation, GuidelineVersion, ModelVersion, Round, RoundItem, User
from app.services.alignment import CONTROL, EVALUATION, SLICES, Figure
from tests.factories import make_items, make_project, make_user

WHEN = datetime(2026, 11, 1, tzinfo=UTC)
GAIN_OVER_PRELABELLER = Figure(0.3, 0.1, 0.5, 126, None)


@dataclass(frozen=True)
class History:
    project_id: int
    slug: str
    undefined_control: str | None
    gain_over_prelabeller: Figure  # the newest version's, where others lie between

    def kappa(self, round_number: int, version: int, slice_: str) -> Figure:
        """What the round's row for that version says."""
        if slice_ == CONTROL and self.undefined_control:
            return Figure(None, None, None, 0, self.undefined_control)
        value = round(0.1 * version + 0.001 * round_number + (0.05 if slice_ == CONTROL else 0), 4)
        n = 42 * round_number if slice_ == EVALUATION else 15 * round_number
        return Figure(value, round(value - 0.2, 4), round(value + 0.2, 4), n, None)

    def add_unfinished(self, db: Database, *, number: int, state: str) -> None:
        with db.write() as session:
            _add_round(session, self.project_id, number, state)


def make_history(
    db: Database,
    *,
    rounds: int,
    undefined_control: str | None = None,
    admin: int | None = None,
    gain_over_prelabeller: Figure = GAIN_OVER_PRELABELLER,
) -> History:
    with db.write() as session:
        noor, wei = make_user(session, "Noor"), make_user(session, "Wei")
        who = session.get_one(User, admin) if admin else None
        project = make_project(session, experts=[noor, wei], admin=who)
        history = History(project.id, project.slug, undefined_control, gain_over_prelabeller)
        items = make_items(session, project, 5 * rounds + 5)
        versions = [_add_version(session, project.id, None, 0)]
        for number in range(1, rounds + 1):
            round_ = _add_round(session, project.id, number, "done")
            versions.append(_add_version(session, project.id, round_.id, number))
            _add_labels(session, round_, [item.id for item in items[5 * number : 5 * number + 5]])
            _add_figures(session, history, round_, [version.id for version in versions], f"{noor.id}-{wei.id}")
        return history


def _add_round(session: Session, project_id: int, number: int, state: str) -> Round:
    guideline = session.scalars(select(GuidelineVersion).where(GuidelineVersion.project_id == project_id)).one()
    round_ = Round(
        project_id=project_id,
        number=number,
        state=state,
        settings={"overlap": 2},
        seed=number,
        guideline_version_id=guideline.id,
        advice="continue" if state == "done" else None,
        advice_reason=f"Advice after round {number}." if state == "done" else None,
        finished_at=WHEN if state == "done" else None,
    )
    session.add(round_)
    session.flush()
    return round_


def _add_version(session: Session, project_id: int, round_id: int | None, version: int) -> ModelVersion:
    row = ModelVersion(
        project_id=project_id,
        round_id=round_id,
        version=version,
        kind="trained" if round_id else "prelabel",
        engine="linear" if round_id else "few_shot",
        config={},
        training_size=62 * version,
        state="ready",
    )
    session.add(row)
    session.flush()
    return row


def _add_labels(session: Session, round_: Round, item_ids: list[int]) -> None:
    """Of five items: three fine-tuning ones with label 0, one evaluation item with label 1, one undecided."""
    labels, splits = (0, 0, 0, 1, None), ("train", "train", "train", "evaluation", "evaluation")
    for position, (item_id, label, split) in enumerate(zip(item_ids, labels, splits, strict=True)):
        session.add(
            RoundItem(
                round_id=round_.id,
                item_id=item_id,
                reason="boundary",
                group_key=item_id,
                position=position,
                model_label=0,
                model_score=0.9,
                split=split,
            )
        )
        source = "tie" if label is None else "unanimous"
        session.add(ConsensusLabel(round_id=round_.id, item_id=item_id, label=label, source=source, votes=2))
    session.flush()


def _add_figures(session: Session, history: History, round_: Round, version_ids: list[int], pair: str) -> None:
    for slice_ in SLICES:
        n = 42 * round_.number if slice_ == EVALUATION else 15 * round_.number
        _add(session, round_, "experts", slice_, "kappa", "", Figure(0.82, 0.7, 0.9, n, None))
        _add(session, round_, "experts", slice_, "alpha", "", Figure(0.81, 0.7, 0.9, n, None))
        _add(session, round_, "experts", slice_, "kappa", pair, Figure(0.66, 0.5, 0.8, n, None))
        for version, version_id in enumerate(version_ids):
            subject = f"model:{version_id}"
            _add(session, round_, subject, slice_, "kappa", "", history.kappa(round_.number, version, slice_))
            _add(session, round_, subject, slice_, "kappa_gap", "", Figure(-0.3, -0.5, -0.1, n, None))
            if version:
                over = f"over:{version_ids[version - 1]}"
                _add(session, round_, subject, slice_, "kappa_gain", over, Figure(0.05, -0.1, 0.2, n, None))
        if len(version_ids) > 2:
            over = f"over:{version_ids[0]}"
            newest = f"model:{version_ids[-1]}"
            _add(session, round_, newest, slice_, "kappa_gain", over, history.gain_over_prelabeller)


def _add(session: Session, round_: Round, subject: str, slice_: str, measure: str, detail: str, figure: Figure) -> None:
    session.add(
        Evaluation(
            project_id=round_.project_id,
            round_id=round_.id,
            model_version_id=int(subject.partition(":")[2]) if ":" in subject else None,
            subject=subject,
            slice=slice_,
            measure=measure,
            detail=detail,
            value=figure.value,
            low=figure.low,
            high=figure.high,
            n=figure.n,
            undefined_reason=figure.undefined,
        )
    )
