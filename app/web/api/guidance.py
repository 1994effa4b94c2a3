"""The guideline: its versions, what experts ask about it, and answers that are asked for again."""

from fastapi import status

from app.services import guidance, projects
from app.services.guidance import Asked
from app.web.api import schemas
from app.web.api.common import Id, api_router, errors, label_index
from app.web.deps import ExpertAccess, LeadAccess, ReadSession, WriteSession
from app.web.label import Labeller

router = api_router("Guideline")


@router.get("/guideline/versions", summary="Every version of the guideline")
def list_versions(access: ExpertAccess, session: ReadSession) -> list[schemas.GuidelineVersion]:
    return [schemas.GuidelineVersion.model_validate(found.row) for found in guidance.versions(session, access.project)]


@router.post("/guideline", summary="Publish a new version", status_code=status.HTTP_201_CREATED, responses=errors(409))
def publish(access: LeadAccess, session: WriteSession, body: schemas.NewGuideline) -> schemas.GuidelineVersion:
    """Answers given from now on name it; experts read the summary before their next text."""
    project = projects.get_project(session, access.project.slug)
    version = guidance.publish(
        session,
        project,
        text=body.text,
        examples=body.examples,
        summary=body.summary,
        based_on=body.based_on,
        user_id=access.user.id,
    )
    return schemas.GuidelineVersion.model_validate(version)


@router.post("/guideline/again", summary="Ask for answers of the open review again", responses=errors(409))
def queue_again(access: LeadAccess, session: WriteSession, body: schemas.Again) -> schemas.AskedAgain:
    """Those with these labels, or to these items, that were given under an earlier version. The same experts answer
    once more, blind. `expected` refuses to ask for more answers than that."""
    labels = [label_index(access.project.labels, label) for label in body.labels]
    project = projects.get_project(session, access.project.slug)
    count = guidance.queue_again(
        session, project, labels, body.item_ids, expected=body.expected, user_id=access.user.id
    )
    return schemas.AskedAgain(answers=count)


@router.get("/suggestions", summary="Questions and proposals about the guideline")
def list_suggestions(access: ExpertAccess, session: ReadSession) -> list[schemas.Suggestion]:
    """Experts see their own, without names."""
    mine = access.user.id if access.role == "expert" else None
    found = guidance.asked(session, access.project.id, author_id=mine)
    return [_shown(entry, access.project.labels) for entry in found]


def _shown(entry: Asked, labels: list[str]) -> schemas.Suggestion:
    row = entry.row
    return schemas.Suggestion(
        id=row.id,
        kind=row.kind,
        state=row.state,
        item_text=entry.item_text,
        label=None if row.label is None else labels[row.label],
        text=row.text,
        answer=row.answer,
        version=entry.version,
        published_version=entry.published_version,
    )


@router.post("/suggestions", summary="Ask, or propose an example", status_code=status.HTTP_201_CREATED)
def suggest(access: Labeller, session: WriteSession, body: schemas.NewSuggestion) -> schemas.Suggested:
    """For experts. `assignment_id` is the text in hand; an example needs it."""
    row = guidance.suggest(
        session,
        access.project,
        access.user.id,
        body.kind,
        body.text,
        key=body.key,
        assignment_id=body.assignment_id,
        label=None if body.label is None else label_index(access.project.labels, body.label),
    )
    return schemas.Suggested(id=row.id)


@router.post("/suggestions/{suggestion_id}", summary="Answer, decline or take up", responses=errors(409))
def answer(access: LeadAccess, session: WriteSession, suggestion_id: Id, body: schemas.Reply) -> schemas.Suggested:
    """Taking up an example publishes a new version of the guideline with it."""
    project, by = projects.get_project(session, access.project.slug), access.user.id
    if body.action == "take_up":
        guidance.take_up(session, project, suggestion_id, user_id=by, answer=body.answer)
    else:
        declined = body.action == "decline"
        guidance.reply(session, project, suggestion_id, body.answer, user_id=by, decline=declined)
    return schemas.Suggested(id=suggestion_id)
