"""The practice's texts: which there are, and adding and retiring them."""

from fastapi import status
from pydantic import BaseModel, ConfigDict, Field

from app.db.tables import PracticeItem
from app.services import practice, projects
from app.web.api import schemas
from app.web.api.common import Id, api_router, errors, label_index
from app.web.deps import LeadAccess, ReadSession, ViewerAccess, WriteSession

router = api_router("Practice")


class NewPracticeItem(schemas.Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"text": "You will not believe this", "label": "clickbait", "explanation": "It hides what it sells."}
            ],
        },
    )

    text: str = Field(min_length=1, max_length=practice.MAX_TEXT)
    label: schemas.Label
    explanation: str = Field("", max_length=practice.MAX_TEXT, description="Shown after the answer.")


class PracticeLine(BaseModel):
    id: int
    text: str
    label: str | None = Field(description="The right answer; null where the project has that label no longer.")
    explanation: str


class PracticeTexts(BaseModel):
    pass_share: float = Field(description="Of right answers, before an expert may label; 0: none is required.")
    items: list[PracticeLine]


class ExamplesTaken(BaseModel):
    added: int


@router.get("/practice/items", summary="The practice's texts, with the right answers")
def list_practice_items(access: ViewerAccess, session: ReadSession) -> PracticeTexts:
    found = practice.items(session, access.project.id)
    share = projects.settings_of(access.project).practice_pass_share
    return PracticeTexts(pass_share=share, items=[_shown(item, access.project.labels) for item in found])


def _shown(item: PracticeItem, labels: list[str]) -> PracticeLine:
    label = labels[item.label] if item.label < len(labels) else None
    return PracticeLine(id=item.id, text=item.text, label=label, explanation=item.explanation)


@router.post("/practice/items", summary="Add a text", status_code=status.HTTP_201_CREATED, responses=errors(409))
def add_practice_item(access: LeadAccess, session: WriteSession, body: NewPracticeItem) -> PracticeLine:
    """409: the text is there already, or there are too many."""
    labels = access.project.labels
    label = label_index(labels, body.label)
    item = practice.add(session, access.project, body.text, label, body.explanation, user_id=access.user.id)
    return _shown(item, labels)


@router.post("/practice/examples", summary="Take all examples of the guideline")
def take_examples(access: LeadAccess, session: WriteSession) -> ExamplesTaken:
    """Those that are there already are left out."""
    return ExamplesTaken(added=practice.add_examples(session, access.project, user_id=access.user.id))


@router.post("/practice/items/{practice_id}/retire", summary="Take a text out", status_code=status.HTTP_204_NO_CONTENT)
def retire_practice_item(access: LeadAccess, session: WriteSession, practice_id: Id) -> None:
    """Answers to it stay stored."""
    practice.retire(session, access.project.id, practice_id, user_id=access.user.id)
