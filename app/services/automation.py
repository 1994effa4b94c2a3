"""The next round by itself: as long as the advice is to go on, a person has not stepped in and the budget holds."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.tables import Assignment, DryRun, ModelVersion, Project, Round
from app.services import audit, rounds
from app.services.projects import ProjectSettings, settings_of


@dataclass(frozen=True)
class Spent:
    """What the project has used so far. ``cost`` is the pre-labeller's, in its server's currency."""

    rounds: int
    answers: int
    cost: float


@dataclass(frozen=True)
class Budget:
    """What the settings allow before rounds no longer start by themselves; None is no limit."""

    rounds: int | None = None
    answers: int | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Outlook:
    """Whether the next round starts by itself, and why or why not, in a sentence. ``budget`` is empty where an admin
    starts each round, since it holds for the others only."""

    starts: bool
    reason: str
    spent: Spent
    budget: Budget = Budget()


def outlook(session: Session, project: Project) -> Outlook:
    """What happens when nobody does anything."""
    settings, used = settings_of(project), spent(session, project.id)
    if settings.next_round == "asked":
        return Outlook(False, "An admin starts each round.", used)
    newest = session.scalar(select(Round).where(Round.project_id == project.id).order_by(Round.number.desc()).limit(1))
    against = _against(newest) or _over_budget(settings, used)
    budget = Budget(settings.most_rounds, settings.most_answers, settings.most_cost)
    if against:
        return Outlook(False, against, used, budget)
    problems = rounds.obstacles(session, project)
    if problems:
        return Outlook(False, f"The next round can't start by itself: {problems[0]}", used, budget)
    return Outlook(True, "The next round starts by itself.", used, budget)


def _against(newest: Round | None) -> str:
    if newest is None:
        return "An admin starts the first round; the next ones start by themselves."
    if newest.state == "cancelled":
        return f"Round {newest.number} was cancelled, so an admin starts the next one."
    if newest.state != "done":
        return "The next round starts by itself when this one is done, if its advice is to go on."
    if newest.advice != "continue":
        return f"After round {newest.number} the advice was not to go on, so no round starts by itself."
    return ""


def _over_budget(settings: ProjectSettings, used: Spent) -> str:
    if settings.most_rounds is not None and used.rounds >= settings.most_rounds:
        return f"The budget of {settings.most_rounds:,} rounds is used up."
    needed = settings.round_size * settings.overlap
    if settings.most_answers is not None and used.answers + needed > settings.most_answers:
        return (
            f"{used.answers:,} of the budget of {settings.most_answers:,} answers are given, and the next round "
            f"needs {needed:,}."
        )
    if settings.most_cost is not None and used.cost >= settings.most_cost:
        return f"The budget of {settings.most_cost:,.2f} is spent."
    return ""


def spent(session: Session, project_id: int) -> Spent:
    done = select(func.count()).where(Round.project_id == project_id, Round.state == "done")
    answers = (
        select(func.count())
        .select_from(Assignment)
        .join(Round, Round.id == Assignment.round_id)
        .where(Round.project_id == project_id, Assignment.state == "done")
    )
    return Spent(session.scalar(done) or 0, session.scalar(answers) or 0, cost(session, project_id))


def cost(session: Session, project_id: int) -> float:
    """What the pre-labeller's server has charged, trials included."""
    metrics = session.scalars(select(ModelVersion.metrics).where(ModelVersion.project_id == project_id))
    usages = [found.get("usage", {}) for found in metrics]
    usages += session.scalars(select(DryRun.usage).where(DryRun.project_id == project_id))
    return float(sum(usage.get("cost", 0.0) for usage in usages))


def wanting(session: Session) -> list[int]:
    """Projects whose settings ask for it and that have no open round. There are few, so each is looked at."""
    busy = select(Round.project_id).where(Round.state.in_(rounds.OPEN_STATES))
    projects = session.scalars(
        select(Project).where(Project.id.not_in(busy), Project.deleted_at.is_(None)).order_by(Project.id)
    )
    return [project.id for project in projects if settings_of(project).next_round == "itself"]


def start_if_due(session: Session, project_id: int) -> int | None:
    """Start the next round and return its number, or None if it should not. Two workers start one: a project has one
    open round at most. Raises Conflict in the worker that comes second."""
    project = session.get_one(Project, project_id)
    if not outlook(session, project).starts:
        return None
    round_ = rounds.start_round(session, project)
    audit.record_turn(session, "round.started_by_itself", round_)
    return round_.number
