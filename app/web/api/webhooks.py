"""Webhooks: addresses that are told of a project's rounds."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import status
from pydantic import BaseModel, ConfigDict, Field

from app.db.tables import Message, Webhook
from app.services import webhooks
from app.web.api import schemas
from app.web.api.common import Id, api_router, errors
from app.web.deps import AdminAccess, AppSettings, ReadSession, WriteSession

router = api_router("Webhooks")


class NewWebhook(schemas.Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"url": "https://hooks.example.org/linecall", "events": ["round.done"]}]},
    )

    url: Annotated[str, Field(min_length=1, max_length=2000, description="Begins with https://.")]
    events: list[str] = Field(default_factory=list, max_length=50, description="Of those on the page; none means all.")


class WebhookLine(schemas.Given):
    id: int
    url: str
    events: list[str] = Field(description="Empty: all.")
    created_at: datetime


class AddedWebhook(WebhookLine):
    secret: str = Field(description="What calls are signed with; it is not shown again.")


class Delivery(BaseModel):
    id: str = Field(description="The same in every attempt: the header webhook-id.")
    type: str
    state: Literal["waiting", "sent", "failed"]
    attempts: int
    last_error: str | None
    next_attempt_at: datetime
    created_at: datetime
    sent_at: datetime | None


@router.get("/webhooks", summary="Addresses that are told", response_model=list[WebhookLine])
def list_webhooks(access: AdminAccess, session: ReadSession) -> list[Webhook]:
    return webhooks.list_webhooks(session, access.project.id)


@router.post("/webhooks", summary="Add one", status_code=status.HTTP_201_CREATED, responses=errors(409))
def add_webhook(access: AdminAccess, session: WriteSession, settings: AppSettings, body: NewWebhook) -> AddedWebhook:
    hook, secret = webhooks.add(
        session, settings, access.project.id, body.url, body.events, user_id=access.user.id
    )  # fmt: skip
    return AddedWebhook(**WebhookLine.model_validate(hook).model_dump(), secret=secret)


@router.delete("/webhooks/{webhook_id}", summary="Remove one", status_code=status.HTTP_204_NO_CONTENT)
def remove_webhook(access: AdminAccess, session: WriteSession, webhook_id: Id) -> None:
    """What waits for it is not sent any more."""
    webhooks.remove(session, access.project.id, webhook_id, user_id=access.user.id)


@router.post("/webhooks/{webhook_id}/test", summary="Send it a test", status_code=status.HTTP_202_ACCEPTED)
def test_webhook(access: AdminAccess, session: WriteSession, webhook_id: Id) -> Delivery:
    return _shown(webhooks.send_test(session, access.project.id, webhook_id, user_id=access.user.id))


@router.get("/webhooks/{webhook_id}/deliveries", summary="Its newest calls, and whether they arrived")
def list_deliveries(access: AdminAccess, session: ReadSession, webhook_id: Id) -> list[Delivery]:
    hook = webhooks.get(session, access.project.id, webhook_id)
    return [_shown(message) for message in webhooks.deliveries(session, hook.id)]


def _shown(message: Message) -> Delivery:
    return Delivery(
        id=message.payload["id"],
        type=message.payload["type"],
        state=message.state,
        attempts=message.attempts,
        last_error=message.last_error,
        next_attempt_at=message.next_attempt_at,
        created_at=message.created_at,
        sent_at=message.sent_at,
    )
