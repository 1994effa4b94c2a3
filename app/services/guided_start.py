"""The way from an empty project to its first round: seven steps, each with what is done and what is missing."""

from dataclasses import dataclass
from statistics import median

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.db.tables import Annotation, Baseline, DryRun, GuidelineVersion, Import, Project, Round
from app.services import rounds
from app.services.guideline_template import places_to_fill
from app.services.invitations import open_invitations
from app.services.projects import ProjectSettings, current_guideline, has_model_or_round, settings_of

ASSUMED_SECONDS = 20.0  # for an answer, until the project has answers of its own to say
_ENOUGH_ANSWERS = 20
_LATEST_ANSWERS = 500
_FEWEST_ITEMS = 10  # that a round accepts
_LABEL_WORDS = 15  # a guideline shorter than this says too little to label by


@dataclass(frozen=True)
class Step:
    """``state`` is done, missing (to be done before a round), optional (a round does without it), running, or
    ready (the round can be started).

    ``summary`` says what is there, ``missing`` what is not, ``later`` whether it can be changed afterwards, or why
    not.
    """

    key: str
    title: str
    state: str
    summary: str
    missing: list[str]
    later: str


@dataclass(frozen=True)
class ReviewTime:
    """What the experts are asked for in one round, together and each."""

    answers: int
    hours: float
    hours_each: float | None  # None: there is no expert yet
    seconds_an_answer: float
    measured_on: int  # answers; 0: assumed


def steps(session: Session, project: Project) -> list[Step]:
    guideline = current_guideline(session, project.id)
    settings = settings_of(project)
    return [
        _task(session, project),
        _guideline(project, guideline, settings),
        _pool(session, project),
        _baseline(session, project.id),
        _prelabel(session, project, settings),
        _experts(session, project, settings),
        _round(session, project, settings),
    ]


def _task(session: Session, project: Project) -> Step:
    fixed = has_model_or_round(session, project.id)
    later = (
        "The name can be changed at any time. The labels can't: an answer is stored by its label's place."
        if fixed
        else "The name can be changed at any time, the labels until the first round starts."
    )
    return Step("task", "Task and labels", "done", ", ".join(f"“{label}”" for label in project.labels), [], later)


def _guideline(project: Project, guideline: GuidelineVersion, settings: ProjectSettings) -> Step:
    words = len(guideline.text.split())
    without = [label for label in project.labels if not guideline.examples.get(label)]
    missing = [] if words else ["There is no guideline yet. Experts read it beside every item."]
    if 0 < words < _LABEL_WORDS:
        missing.append(f"The guideline has {words} words: hard cases need more than that.")
    if places := places_to_fill(guideline.text):
        missing.append(f"{places} places of the template still wait to be filled in.")
    missing += [f"No example of “{label}” yet." for label in without]
    needs_examples = bool(without) and settings.prelabel.get("provider") == "few_shot"
    state = "missing" if not words or places or needs_examples else "optional" if missing else "done"
    summary = f"Version {guideline.version}, {words:,} words" if words else ""
    later = "Can be changed at any time. That makes a new version, and every answer keeps the one it was given under."
    return Step("guideline", "Guideline and examples", state, summary, missing, later)


def _pool(session: Session, project: Project) -> Step:
    running = session.scalar(
        select(exists().where(Import.project_id == project.id, Import.state.in_(("queued", "running"))))
    )
    enough = project.item_count >= _FEWEST_ITEMS
    missing = [] if enough else [f"A round needs at least {_FEWEST_ITEMS} texts; a few thousand make a good start."]
    state = "running" if running else "done" if enough else "missing"
    summary = f"{project.item_count:,} items" if project.item_count else ""
    later = (
        "More can be added at any time: a round works on what is there when it starts. Items can't be taken out, since "
        "answers and predictions refer to them."
    )
    return Step("pool", "Pool", state, summary, missing, later)


def _baseline(session: Session, project_id: int) -> Step:
    newest = session.scalar(
        select(Baseline).where(Baseline.project_id == project_id).order_by(Baseline.id.desc()).limit(1)
    )
    later = "Can be added or replaced at any time. It is never shown to experts and never taught to the model."
    title = "Labels that you have already"
    if newest is None:
        missing = ["A crowd's labels, say, to compare with. Leave it out if you have none."]
        return Step("baseline", title, "optional", "", missing, later)
    if newest.state == "done" and not newest.items_labelled:
        missing = [f"No label of {newest.filename} found its item: look at which column was matched with what."]
        return Step("baseline", title, "optional", "", missing, later)
    if newest.state == "done":
        return Step("baseline", title, "done", f"{newest.items_labelled:,} items from {newest.filename}", [], later)
    if newest.state == "failed":
        return Step("baseline", title, "optional", "", [f"{newest.filename} could not be read."], later)
    return Step("baseline", title, "running", f"Matching {newest.filename}", [], later)


def _prelabel(session: Session, project: Project, settings: ProjectSettings) -> Step:
    provider = str(settings.prelabel.get("provider"))
    tried = session.scalar(select(DryRun).where(DryRun.project_id == project.id).order_by(DryRun.id.desc()).limit(1))
    missing = []
    if tried is None:
        missing = ["Not tried yet. A dry run on 20 items shows what it would say, how long it takes and what it costs."]
    elif tried.config != settings.prelabel:
        missing = ["Changed since the last dry run."]
    state = "running" if tried and tried.state in ("queued", "running") else "optional" if missing else "done"
    later = (
        "The pool is pre-labelled already, so a change takes effect only if all of it is labelled anew."
        if has_model_or_round(session, project.id)
        else "Can be changed until the first round starts: then it labels the whole pool."
    )
    return Step("prelabel", "Pre-labeller", state, PROVIDERS.get(provider, provider), missing, later)


PROVIDERS = {
    "few_shot": "By likeness to the examples (no language model)",
    "local_llm": "A language model on the worker's machine",
    "remote_llm": "A language model behind an API",
    "model": "A model that another project has trained",
}


def _experts(session: Session, project: Project, settings: ProjectSettings) -> Step:
    count = rounds.expert_count(session, project.id)
    invited = sum(row.role == "expert" for row in open_invitations(session, project.id))
    missing = []
    if count < settings.overlap:
        missing.append(f"Each item is to be answered by {settings.overlap} experts; there are {count}.")
    if settings.overlap < 2:
        missing.append("With one expert per item nobody can tell how well experts agree, which is the ceiling.")
    state = "missing" if count < settings.overlap else "optional" if missing else "done"
    summary = f"{count} of at least {settings.overlap}" + (f", {invited} invited" if invited else "")
    later = "People can come and go at any time. What they answered stays."
    return Step("experts", "Experts", state, summary, missing, later)


def _round(session: Session, project: Project, settings: ProjectSettings) -> Step:
    begun = rounds.list_rounds(session, project.id)
    later = "Can be changed at any time, for the next round: a round keeps the settings it began with."
    summary = f"{settings.round_size:,} items, {settings.overlap} expert{'s' if settings.overlap > 1 else ''} each"
    if begun:
        newest = begun[-1]
        return Step("round", "The round", "done", f"Round {newest.number} has been started", [], later)
    missing = rounds.obstacles(session, project)
    return Step("round", "The round", "missing" if missing else "ready", summary, missing, later)


def review_time(session: Session, project: Project) -> ReviewTime:
    """From how long this project's newest answers took, else from an assumption that the page names."""
    settings = settings_of(project)
    answers = settings.round_size * settings.overlap
    taken = session.scalars(
        select(Annotation.seconds)
        .join(Round, Round.id == Annotation.round_id)
        .where(Round.project_id == project.id, Annotation.kind == "blind", Annotation.seconds.is_not(None))
        .order_by(Annotation.id.desc())
        .limit(_LATEST_ANSWERS)
    ).all()
    known = [seconds for seconds in taken if seconds is not None]
    enough = len(known) >= _ENOUGH_ANSWERS
    each = median(known) if enough else ASSUMED_SECONDS
    hours = answers * each / 3600
    experts = rounds.expert_count(session, project.id)
    return ReviewTime(answers, hours, hours / experts if experts else None, each, len(known) if enough else 0)
