"""A guideline that is not published yet: what it would change, and which answers could be asked for again."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from app.services import guidance
from app.services.guideline_template import guideline_template
from app.web.api import schemas
from app.web.api.common import api_router, label_index
from app.web.deps import LeadAccess, ProjectAccess, ReadSession

router = api_router("Guideline")
ItemId = Annotated[int, Field(ge=1, le=schemas.LARGEST_ID)]


class Draft(schemas.Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "text": "# Clickbait\nHides what it costs.",
                    "examples": {"clickbait": ["You won't believe the price"]},
                }
            ]
        },
    )

    text: str = Field(max_length=200_000)
    examples: dict[str, list[str]] = Field(default_factory=dict, description="By label, all that it shall have.")


class ChangedLine(schemas.Given):
    kind: Literal["same", "added", "removed"]
    text: str


class DraftChanges(BaseModel):
    changes: list[ChangedLine] = Field(
        description="Against the current version; “…” stands for lines far from a change."
    )
    affected: dict[str, int] = Field(description="By label, the answers that could be asked for again afterwards.")


class AnsweredBefore(BaseModel):
    item_id: int
    text: str
    answers: dict[str, int] = Field(description="By label; not whose they are.")


class Affected(BaseModel):
    by_label: dict[str, int]
    items: list[AnsweredBefore] = Field(description="The first two hundred.")
    chosen: int | None = Field(description="Answers with the labels or to the items asked for: send it as `expected`.")


class Template(BaseModel):
    text: str = Field(description="Markdown, with places to fill in.")


@router.get("/guideline/template", summary="A guideline to begin with, for the project's labels")
def show_template(access: LeadAccess) -> Template:
    return Template(text=guideline_template(access.project.labels))


@router.post("/guideline/draft", summary="What a new version would change")
def compare_draft(access: LeadAccess, session: ReadSession, body: Draft) -> DraftChanges:
    """Nothing is stored."""
    changes = guidance.draft_changes(session, access.project, body.text, body.examples)
    counts = guidance.count_affected(session, access.project, by_next_version=True)
    return DraftChanges(
        changes=[ChangedLine.model_validate(line) for line in changes], affected=_by_label(access, counts)
    )


def _by_label(access: ProjectAccess, counts: list[int]) -> dict[str, int]:
    return dict(zip(access.project.labels, counts, strict=True))


@router.get("/guideline/again", summary="Answers of the open review that were given under an earlier version")
def show_affected(
    access: LeadAccess,
    session: ReadSession,
    labels: Annotated[list[str], Query(max_length=9, description="By name.")] = [],  # noqa: B006 - FastAPI copies it
    item_ids: Annotated[list[ItemId], Query(max_length=1000)] = [],  # noqa: B006 - as above
) -> Affected:
    """By label and text by text; and how many those with these labels, or to these items, are together."""
    names, project = access.project.labels, access.project
    places = [label_index(names, label) for label in labels]
    chosen = guidance.number_affected(session, project.id, places, item_ids) if places or item_ids else None
    items = [
        AnsweredBefore(item_id=item.item_id, text=item.text, answers={names[at]: n for at, n in item.answers.items()})
        for item in guidance.affected_items(session, project)
    ]
    return Affected(by_label=_by_label(access, guidance.count_affected(session, project)), items=items, chosen=chosen)
