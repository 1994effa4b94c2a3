"""Whole rounds without a browser: simulated experts answer through the queue, and a worker carries the rounds out.

Nothing is cut short. Each answer is claimed and submitted as the page would do it, one commit each; the worker sees
the rounds' states and runs the durable workflows; ties are decided by a simulated lead, who has no noise and draws
the line at ``sample.LEAD_THRESHOLD``. So this is a test of the loop as much as a show of it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from itertools import cycle
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.engine import Database
from app.db.tables import ConsensusLabel, Item, Project, Round, StageRun
from app.errors import LinecallError
from app.services import alignment, annotations, queue, rounds
from app.services.projects import ProjectSettings
from app.simulate import sample
from app.simulate.demo import Demo, make_demo
from app.simulate.experts import SimulatedExpert, panel
from app.workflows.worker import Worker

_LOOK_AGAIN_SECONDS = 0.05
_SILENCE_SECONDS = 600  # no stage of the sample takes this long: something has gone wrong that nobody reported
_LEASE = timedelta(minutes=30)

Say = Callable[[str], None]


@dataclass(frozen=True)
class RoundOutcome:
    """One finished round. Figures are those of the newest model version on the cumulative evaluation set."""

    round: int
    labels: int
    fine_tuning: int
    evaluation: int
    share_positive: float | None
    internal: alignment.Figure | None
    model: alignment.Figure | None
    control: alignment.Figure | None
    advice: str
    advice_reason: str
    answers: int
    ties: int
    seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Panel:
    """The simulated people, and what only they know of the items."""

    db: Database
    demo: Demo
    experts: tuple[tuple[int, SimulatedExpert], ...]  # by user id
    truth: dict[int, tuple[str, float]]  # item id → (external id, degree)


def simulate_rounds(
    settings: Settings,
    count: int,
    *,
    seed: int,
    project_settings: ProjectSettings | None = None,
    ads: Sequence[sample.Ad] | None = None,
    say: Say = lambda _: None,
) -> Iterator[RoundOutcome]:
    """Make the demo in ``settings.data_dir`` and run ``count`` rounds with a worker in this process.

    The same seed gives the same figures; only ``seconds`` differ. Raises LinecallError when a round fails.
    """
    db = Database(settings.resolved_database_url)
    wanted = (project_settings or ProjectSettings()).model_copy(update={"seed": seed})
    try:
        demo = make_demo(settings, db, project_settings=wanted, ads=ads)
        people = _gather(db, demo, seed, ads)
        worker = Worker(settings, db)
        worker.start()
        try:
            for _ in range(count):
                yield _one_round(people, say)
        finally:
            worker.stop()
    finally:
        db.dispose()


def _gather(db: Database, demo: Demo, seed: int, ads: Sequence[sample.Ad] | None) -> _Panel:
    degrees = {ad.id: ad.degree for ad in (sample.read_ads() if ads is None else ads)}
    with db.read() as session:
        rows = session.execute(select(Item.id, Item.external_id).where(Item.project_id == demo.project_id))
        truth = {id_: (key, degrees[key]) for id_, key in rows if key is not None}
    experts = tuple((id_, expert) for (id_, _), expert in zip(demo.experts, panel(seed), strict=True))
    return _Panel(db, demo, experts, truth)


def _one_round(people: _Panel, say: Say) -> RoundOutcome:
    began = time.monotonic()
    round_id = people.db.run_write(partial(_start, people.demo))
    _wait_for(people, round_id, "review")
    reviewing = time.monotonic()
    answers = _review(people)
    answered = time.monotonic()
    say(f"{answers} answers in {answered - reviewing:.1f} s")
    ties = 0
    if _wait_for(people, round_id, "done", "adjudicating") == "adjudicating":
        ties = _decide_ties(people, round_id)
        _wait_for(people, round_id, "done")
    ended = time.monotonic()
    seconds = {"prepare": reviewing - began, "review": answered - reviewing, "conclude": ended - answered}
    return _outcome(people, round_id, answers, ties, seconds)


def _start(demo: Demo, session: Session) -> int:
    return rounds.start_round(session, session.get_one(Project, demo.project_id), user_id=demo.admin_id).id


def _wait_for(people: _Panel, round_id: int, *wanted: str) -> str:
    """Look until the worker has brought the round to one of these states; returns which."""
    until = time.monotonic() + _SILENCE_SECONDS
    while time.monotonic() < until:
        with people.db.read() as session:
            round_ = session.get_one(Round, round_id)
        if round_.state in wanted:
            return round_.state
        if round_.state in ("failed", "cancelled"):
            raise LinecallError(f"Round {round_.number} has {round_.state}. {round_.error or ''}".strip())
        time.sleep(_LOOK_AGAIN_SECONDS)
    raise LinecallError(f"Round {round_.number} has stood at '{round_.state}' for {_SILENCE_SECONDS} seconds.")


def _review(people: _Panel) -> int:
    """Experts take turns until the queue has nothing for any of them; how many answers they gave."""
    answers, idle = 0, 0
    for expert_id, expert in cycle(people.experts):
        if _answer_next(people, expert_id, expert):
            answers, idle = answers + 1, 0
            continue
        idle += 1
        if idle == len(people.experts):
            return answers
    return answers


def _answer_next(people: _Panel, expert_id: int, expert: SimulatedExpert) -> bool:
    """Claim and answer in a transaction each, as the page does. False when the queue has nothing for this expert."""
    project_id = people.demo.project_id
    task = people.db.run_write(lambda session: queue.claim(session, project_id, expert_id, lease=_LEASE))
    if task is None:
        return False
    answer = annotations.Answer(
        assignment_id=task.assignment_id,
        label=expert.answer(*people.truth[task.item_id]),
        key=f"simulated-{task.assignment_id}-{expert.number}",
    )

    def submit(session: Session) -> None:
        receipt = annotations.submit(
            session, project_id=project_id, expert_id=expert_id, n_labels=len(sample.LABELS), answer=answer
        )
        queue.close_if_answered(session, receipt.round_id)

    people.db.run_write(submit)
    return True


def _decide_ties(people: _Panel, round_id: int) -> int:
    def work(session: Session) -> int:
        round_ = session.get_one(Round, round_id)
        tied = select(ConsensusLabel.item_id).where(ConsensusLabel.round_id == round_id, ConsensusLabel.source == "tie")
        item_ids = list(session.scalars(tied.order_by(ConsensusLabel.item_id)))
        for item_id in item_ids:
            label = int(people.truth[item_id][1] > sample.LEAD_THRESHOLD)
            rounds.adjudicate(
                session,
                round_,
                item_id,
                label,
                n_labels=len(sample.LABELS),
                reason="Decided by the simulated lead.",
                user_id=people.demo.admin_id,
            )
        return len(item_ids)

    return people.db.run_write(work)


def _outcome(people: _Panel, round_id: int, answers: int, ties: int, seconds: dict[str, float]) -> RoundOutcome:
    with people.db.read() as session:
        round_ = session.get_one(Round, round_id)
        report = alignment.alignment(session, people.demo.project_id)
        runs = session.scalars(select(StageRun).where(StageRun.round_id == round_id, StageRun.state == "done"))
        seconds |= {run.stage: (run.finished_at - run.started_at).total_seconds() for run in runs if run.finished_at}
    newest, control, ceiling = report.newest(), report.newest(alignment.CONTROL), report.ceiling()
    return RoundOutcome(
        round=round_.number,
        labels=report.labels.total,
        fine_tuning=report.labels.fine_tuning,
        evaluation=report.labels.evaluation,
        share_positive=report.labels.share_positive,
        internal=ceiling.kappa if ceiling else None,
        model=newest.kappa if newest else None,
        control=control.kappa if control else None,
        advice=round_.advice or "",
        advice_reason=round_.advice_reason or "",
        answers=answers,
        ties=ties,
        seconds={name: round(value, 2) for name, value in seconds.items()},
    )
