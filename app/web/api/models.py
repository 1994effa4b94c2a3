"""Model versions, their files, and texts that a trained one labels."""

import asyncio
import time
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query, Response, status
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StrictStr
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.errors import Conflict
from app.services import models, predict_requests, rounds
from app.services.alignment import Point
from app.web.api import schemas
from app.web.api.common import Id, a_file, api_router, errors
from app.web.api.rounds import detail
from app.web.deps import AdminAccess, AppSettings, Db, ProjectAccess, ReadSession, ViewerAccess, WriteSession
from app.web.models import card_response, use_as_prelabeller, zip_response

router = api_router("Models")
asking = api_router("Models", writes="read")  # asking changes nothing of the project

Version = Annotated[int, Path(ge=0, le=schemas.LARGEST_ID, description="The version's number; 0: the pre-labeller.")]
_LOOK_EVERY = 0.1  # seconds


class Model(schemas.Given):
    version: int
    kind: str = Field(description="`prelabel` or `trained`.")
    engine: str
    state: str = Field(description="`ready`, `building`, or `unused`: its round was cancelled.")
    can_predict: bool
    round_number: int | None
    guideline_version: int | None
    base_version: int | None = Field(description="Whose labels its round mined.")
    training_size: int
    example_items: int
    pool_size: int | None
    predicted_items: int
    seed: int
    encoder: str | None
    encoder_revision: str | None
    threshold: float | None
    settings: dict[str, Any]
    created_at: datetime
    evaluation: Point | None
    control: Point | None


class Texts(schemas.Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"texts": ["You will not believe this little tool"]}]}
    )

    texts: list[StrictStr] = Field(min_length=1, max_length=predict_requests.MOST_TEXTS)
    version: int | None = Field(None, ge=0, le=schemas.LARGEST_ID, description="Left out: the newest that is ready.")


class Answer(schemas.Given):
    label: str
    score: float
    scores: dict[str, float]


class Predicted(BaseModel):
    id: int
    state: str = Field(description="`queued`, `running`, `done` or `failed`.")
    version: int
    error: str | None
    answers: list[Answer] = Field(description="In the order of the texts; empty until it is done.")


class Target(schemas.Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"project": "more-ads"}]})

    project: str = Field(max_length=80, description="Short name of a project of yours with the same labels.")


@router.get("/models", summary="All model versions, the newest first")
def list_models(access: ViewerAccess, session: ReadSession) -> list[Model]:
    return [Model.model_validate(found) for found in models.list_models(session, access.project)]


@router.get("/models/{version}", summary="One model version, with its lineage and figures")
def show_model(access: ViewerAccess, session: ReadSession, version: Version) -> Model:
    return Model.model_validate(models.get_model(session, access.project, version))


@router.get(
    "/models/{version}/card",
    summary="The model card, in Markdown",
    response_class=Response,
    responses=errors(409) | a_file("text/markdown", "The card."),
)
def model_card(access: ViewerAccess, session: ReadSession, version: Version) -> Response:
    return card_response(session, access.project, models.trained_model(session, access.project, version))


@router.get(
    "/models/{version}/files",
    summary="A trained model as a folder in a zip",
    response_class=StreamingResponse,
    responses=errors(409) | a_file("application/zip", "The zip."),
)
def model_files(access: ViewerAccess, session: ReadSession, settings: AppSettings, version: Version) -> Response:
    """With `predict.py`, which needs no Linecall."""
    return zip_response(session, settings, access.project, models.trained_model(session, access.project, version))


@router.post("/models/{version}/prelabel", summary="Make it another project's pre-labeller", responses=errors(409))
def use_model(access: AdminAccess, session: WriteSession, version: Version, body: Target) -> Target:
    return Target(project=use_as_prelabeller(session, access, version, body.project).slug)


@router.post(
    "/models/{version}/rounds",
    summary="Start a round that mines this version's labels",
    status_code=status.HTTP_201_CREATED,
    responses=errors(409),
)
def start_round_from(access: AdminAccess, session: WriteSession, version: Version) -> schemas.RoundDetail:
    round_ = rounds.start_round(session, access.project, base_version=version, user_id=access.user.id)
    return detail(session, round_)


@asking.post(
    "/predict",
    summary="Have a trained model label texts",
    responses=errors(409)
    | {
        202: {"model": Predicted, "description": "Not answered yet: ask again at `Location`."},
        429: {"model": schemas.Problem, "description": "Too many requests of this project wait already."},
    },
)
async def predict(
    access: ViewerAccess,
    db: Db,
    response: Response,
    body: Texts,
    wait: Annotated[float, Query(ge=0, le=20, description="Seconds to wait for a worker.")] = 5.0,
) -> Predicted:
    """A worker answers. No thread and no connection is held while this waits for it."""
    request_id = await run_in_threadpool(db.run_write, lambda session: _request(session, access, body))
    until = time.monotonic() + wait
    found = await run_in_threadpool(_look, db, access, request_id)
    while found.state in predict_requests.UNFINISHED and time.monotonic() < until:
        await asyncio.sleep(_LOOK_EVERY)
        found = await run_in_threadpool(_look, db, access, request_id)
    if found.state in predict_requests.UNFINISHED:
        response.status_code = status.HTTP_202_ACCEPTED
        response.headers["Location"] = f"/api/v1/projects/{access.project.slug}/predict/{request_id}"
        return found
    await run_in_threadpool(db.run_write, lambda session: predict_requests.forget(session, request_id))
    if found.state == "failed":
        raise Conflict(found.error or "The model could not label these texts.")
    return found


@asking.get("/predict/{request_id}", summary="What has become of texts sent before")
def show_prediction(access: ViewerAccess, session: ReadSession, request_id: Id) -> Predicted:
    """Your own only; kept for a day."""
    return _said(session, access, request_id)


def _request(session: Session, access: ProjectAccess, body: Texts) -> int:
    model = models.trained_model(session, access.project, body.version)
    return predict_requests.request(session, access.project, model, body.texts, user_id=access.user.id).id


def _look(db: Database, access: ProjectAccess, request_id: int) -> Predicted:
    with db.read() as session:
        return _said(session, access, request_id)


def _said(session: Session, access: ProjectAccess, request_id: int) -> Predicted:
    found = predict_requests.get_request(session, access.project.id, access.user.id, request_id)
    answers = predict_requests.answers(found, access.project.labels)
    return Predicted(
        id=found.id,
        state=found.state,
        version=predict_requests.version_number(session, found),
        error=found.error,
        answers=[Answer(**answer._asdict()) for answer in answers],
    )
