"""Trying a pre-labeller on a few items before it labels the whole pool: what it says, how long it takes, what it costs.

The web writes the row with its sample; a worker, which alone loads models, fills it in.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import DryRun, GuidelineVersion, Item, Project
from app.errors import Conflict, NotFound
from app.services import audit
from app.services.projects import current_guideline, settings_of

if TYPE_CHECKING:
    from app.ml.prelabel.estimate import Estimate

SAMPLE = 20
UNFINISHED = ("queued", "running")


def request(session: Session, project: Project, *, seed: int | None = None, user_id: int | None = None) -> DryRun:
    """A dry run of the project's pre-labeller; one that waits or runs with the same settings is returned instead.

    Raises Conflict for an empty pool.
    """
    settings, guideline = settings_of(project), current_guideline(session, project.id)
    newest = newest_run(session, project.id)
    if newest is not None and newest.state in UNFINISHED and newest.config == settings.prelabel:
        return newest
    if not project.item_count:
        raise Conflict("The pool is empty: there is nothing to try the pre-labeller on.")
    seed = settings.seed if seed is None else seed
    run = DryRun(
        project_id=project.id,
        guideline_version_id=guideline.id,
        config=settings.prelabel,
        seed=seed,
        items=[{"item_id": item_id} for item_id in _sample(session, project, seed)],
        created_by_id=user_id,
    )
    session.add(run)
    session.flush()
    audit.record(session, "dry_run.requested", user_id=user_id, project_id=project.id, subject=_provider(run))
    return run


def _provider(run: DryRun) -> str:
    return str(run.config.get("provider", ""))


def _sample(session: Session, project: Project, seed: int) -> list[int]:
    """The same items for the same seed and pool, so that two pre-labellers can be compared."""
    size = project.item_count
    ordinals = random.Random(seed).sample(range(size), min(SAMPLE, size))
    rows = session.execute(
        select(Item.ordinal, Item.id).where(Item.project_id == project.id, Item.ordinal.in_(ordinals))
    )
    by_ordinal = {row[0]: row[1] for row in rows}
    return [by_ordinal[ordinal] for ordinal in sorted(by_ordinal)]


def newest_run(session: Session, project_id: int) -> DryRun | None:
    runs = select(DryRun).where(DryRun.project_id == project_id).order_by(DryRun.id.desc())
    return session.scalar(runs.limit(1))


def list_runs(session: Session, project_id: int, *, limit: int = 10) -> Sequence[DryRun]:
    """The newest first."""
    runs = select(DryRun).where(DryRun.project_id == project_id).order_by(DryRun.id.desc())
    return session.scalars(runs.limit(limit)).all()


def get_run(session: Session, project_id: int, run_id: int) -> DryRun:
    """Raises NotFound, also for another project's."""
    run = session.scalar(select(DryRun).where(DryRun.id == run_id, DryRun.project_id == project_id))
    if run is None:
        raise NotFound("There is no such dry run.")
    return run


def pending(session: Session) -> list[int]:
    """Those that a worker is to carry out, the oldest first."""
    runs = select(DryRun.id).join(Project, Project.id == DryRun.project_id)
    waiting = runs.where(DryRun.state.in_(UNFINISHED), Project.deleted_at.is_(None))
    return list(session.scalars(waiting.order_by(DryRun.id)))


def begin(session: Session, run_id: int) -> DryRun | None:
    """None for one that has ended."""
    run = session.get_one(DryRun, run_id, with_for_update=True, populate_existing=True)
    if run.state not in UNFINISHED:
        return None
    run.state = "running"
    return run


def finish(
    session: Session, run_id: int, items: list[dict[str, Any]], usage: dict[str, Any], seconds: float | None
) -> None:
    run = session.get_one(DryRun, run_id, with_for_update=True, populate_existing=True)
    if run.state in UNFINISHED:
        run.items, run.usage, run.seconds = items, usage, seconds
        run.state, run.finished_at = "done", utcnow()


def fail(
    session: Session, run_id: int, message: str, items: list[dict[str, Any]] | None = None, usage: Any = None
) -> bool:
    """Keeps the answers that were paid for before. False if it has ended otherwise."""
    run = session.get_one(DryRun, run_id, with_for_update=True, populate_existing=True)
    if run.state not in UNFINISHED:
        return False
    run.items, run.usage = items or run.items, usage or run.usage
    run.state, run.error, run.finished_at = "failed", message, utcnow()
    return True


# --- what the page shows -------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """``label`` is None where the answer was of no use, and where there is none yet; ``scores`` by label."""

    text: str
    label: str | None
    score: float | None
    scores: list[float]
    raw: str | None
    answered: bool


def answers(session: Session, project: Project, run: DryRun) -> list[Answer]:
    """In the sample's order."""
    ids = [item["item_id"] for item in run.items]
    texts = texts_of(session, ids)
    return [_answer(texts[item["item_id"]], item, project.labels) for item in run.items]


def texts_of(session: Session, item_ids: Sequence[int]) -> dict[int, str]:
    rows = session.execute(select(Item.id, Item.text).where(Item.id.in_(item_ids)))
    return {row[0]: row[1] for row in rows}


def _answer(text: str, item: dict[str, Any], labels: Sequence[str]) -> Answer:
    scores = item.get("scores")
    if not scores:
        return Answer(text, None, None, [], item.get("raw"), "scores" in item)
    best = max(range(len(scores)), key=scores.__getitem__)
    label = labels[best] if best < len(labels) else None
    return Answer(text, label, scores[best], scores, item.get("raw"), True)


@dataclass(frozen=True)
class Outlook:
    """What labelling the whole pool will take. ``measured`` figures come from the dry run; without one they are
    rules of thumb. ``cost`` is None where nothing is paid or the prices are not set; ``capped_at`` says what the hard
    cap stops it at, ``cap_bites`` whether it will."""

    items: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    seconds: float | None
    measured: bool
    max_calls: int | None = None
    max_cost: float | None = None

    @property
    def cap_bites(self) -> bool:
        over_calls = self.max_calls is not None and self.calls > self.max_calls
        return over_calls or (self.max_cost is not None and self.cost is not None and self.cost > self.max_cost)


def outlook(session: Session, project: Project, run: DryRun | None = None) -> Outlook:
    """For the settings that ``run`` had, or those of the project."""
    from app.ml.prelabel.configs import RemoteLlmConfig, parse_config  # with numpy, which most pages do without
    from app.ml.prelabel.estimate import estimate

    config = run.config if run is not None else settings_of(project).prelabel
    guideline = (
        session.get_one(GuidelineVersion, run.guideline_version_id)
        if run is not None
        else current_guideline(session, project.id)
    )
    expected = estimate(
        config,
        project.item_count,
        _some_texts(session, project.id, run),
        labels=project.labels,
        guideline_text=guideline.text,
        examples=guideline.examples,
    )
    parsed = parse_config(config)
    caps = (parsed.max_calls, parsed.max_cost) if isinstance(parsed, RemoteLlmConfig) else (None, None)
    asked = int(run.usage.get("asked", 0)) if run is not None else 0
    if run is None or run.state != "done" or not asked:
        plain = (expected.calls, expected.input_tokens, expected.output_tokens, expected.cost)
        return Outlook(project.item_count, *plain, None, False, *caps)
    return _measured(project.item_count, run, asked, expected, caps)


def _measured(
    items: int, run: DryRun, asked: int, expected: "Estimate", caps: tuple[int | None, float | None]
) -> Outlook:
    """The dry run's use of each item it asked about, times the pool. A provider that counts no tokens (a local model)
    keeps the rule of thumb for them."""
    usage, factor = run.usage, items / asked
    seconds = None if run.seconds is None else run.seconds * factor
    if not usage.get("input_tokens"):
        return Outlook(
            items, expected.calls, expected.input_tokens, expected.output_tokens, expected.cost, seconds, True, *caps
        )
    cost = usage["cost"] * factor if expected.cost is not None else None
    tokens = (round(usage["input_tokens"] * factor), round(usage["output_tokens"] * factor))
    return Outlook(items, round(usage["calls"] * factor), *tokens, cost, seconds, True, *caps)


def _some_texts(session: Session, project_id: int, run: DryRun | None) -> list[str]:
    texts = select(Item.text).where(Item.project_id == project_id)
    if run is not None:
        return list(session.scalars(texts.where(Item.id.in_([item["item_id"] for item in run.items]))))
    return list(session.scalars(texts.order_by(Item.ordinal).limit(100)))
