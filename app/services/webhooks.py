"""Webhooks: other programs are told of a project's rounds.

A call is a message (app.services.messages) written in the transaction of what it tells of, one for each address that
wants it; a worker sends it. It holds names, numbers and figures, never a text of the pool.
"""

import base64
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.base import utcnow
from app.db.tables import Evaluation, Message, ModelVersion, Project, Round, Webhook
from app.errors import Conflict, InvalidInput, NotFound
from app.services import audit, vault

EVENTS = (
    "round.started",
    "review.opened",
    "review.finished",
    "ties.waiting",
    "round.done",
    "advice.stop",
    "round.failed",
    "round.paused",
    "round.resumed",
    "round.cancelled",
)
_MOST = 20
_SECRET_BYTES = 32


def list_webhooks(session: Session, project_id: int) -> list[Webhook]:
    return list(
        session.scalars(
            select(Webhook)
            .where(Webhook.project_id == project_id, Webhook.removed_at.is_(None))
            .order_by(Webhook.id)
        )
    )  # fmt: skip


def get(session: Session, project_id: int, webhook_id: int) -> Webhook:
    found = session.get(Webhook, webhook_id)
    if found is None or found.project_id != project_id or found.removed_at is not None:
        raise NotFound("There is no such webhook.")
    return found


def add(
    session: Session, settings: Settings, project_id: int, url: str, events: list[str], *, user_id: int | None = None
) -> tuple[Webhook, str]:
    """The webhook and its signing secret, which is shown this once. No events: all of them."""
    unknown = [event for event in events if event not in EVENTS]
    if unknown:
        raise InvalidInput(f"There is no event '{unknown[0]}'; there are {', '.join(EVENTS)}.", field="events")
    url = clean_url(url, private=settings.webhook_private_addresses)
    present = list_webhooks(session, project_id)
    if any(webhook.url == url for webhook in present):
        raise Conflict("This address is told already. Remove it first to add it anew.", field="url")
    if len(present) >= _MOST:
        raise Conflict(f"{_MOST} webhooks are the most that a project can have.", field="url")
    secret = secrets.token_bytes(_SECRET_BYTES)
    webhook = Webhook(
        project_id=project_id,
        url=url,
        events=[event for event in EVENTS if event in events],
        secret=vault.seal(settings, secret),
        created_by_id=user_id,
    )
    session.add(webhook)
    session.flush()
    audit.record(
        session, "webhook.added", user_id=user_id, project_id=project_id, subject=url_without_query(url), events=events
    )
    return webhook, f"whsec_{base64.b64encode(secret).decode()}"


def clean_url(url: str, *, private: bool) -> str:
    """An address that may be called. What its host resolves to is looked at when it is called."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        port_is_right = parts.port != 0
    except ValueError:
        raise InvalidInput("That is not an address.", field="url") from None
    allowed = ("https", "http") if private else ("https",)
    if parts.scheme not in allowed or not parts.hostname or not port_is_right:
        raise InvalidInput("Give an address that begins with https://.", field="url")
    if parts.username or parts.password:
        raise InvalidInput("Leave name and password out of the address: the signature proves who calls.", field="url")
    if len(url) > 2000 or not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise InvalidInput("An address has at most 2,000 plain characters, and no spaces.", field="url")
    return url


def url_without_query(url: str) -> str:
    """For the audit log: what follows the question mark may be a secret."""
    return url.partition("?")[0]


def remove(
    session: Session, project_id: int, webhook_id: int, *, user_id: int | None = None, now: datetime | None = None
) -> None:
    """What waits for it is not sent any more."""
    webhook = get(session, project_id, webhook_id)
    webhook.removed_at = now or utcnow()
    session.execute(
        update(Message)
        .where(Message.webhook_id == webhook_id, Message.state == "waiting")
        .values(state="failed", last_error="The webhook was removed.")
        .execution_options(synchronize_session=False)
    )
    audit.record(
        session, "webhook.removed", user_id=user_id, project_id=project_id, subject=url_without_query(webhook.url)
    )


def send_test(session: Session, project_id: int, webhook_id: int, *, user_id: int | None = None) -> Message:
    """A call of the type ``test``, whatever events were chosen."""
    webhook = get(session, project_id, webhook_id)
    project = session.get_one(Project, project_id)
    message = _write(session, webhook, f"test-{uuid4().hex}", "test", {"project": _about(project)})
    session.flush()
    audit.record(
        session, "webhook.tested", user_id=user_id, project_id=project_id, subject=url_without_query(webhook.url)
    )
    return message


def deliveries(session: Session, webhook_id: int, *, limit: int = 20) -> list[Message]:
    """The newest first."""
    return list(
        session.scalars(
            select(Message).where(Message.webhook_id == webhook_id).order_by(Message.id.desc()).limit(limit)
        )
    )


# --- what is told --------------------------------------------------------------------------------------------------


def tell(session: Session, round_: Round, event: str, **more: Any) -> None:
    """Write ``event`` for every webhook of the round's project that wants it. To be called in the transaction of what
    it tells of, once."""
    wanting = [hook for hook in list_webhooks(session, round_.project_id) if not hook.events or event in hook.events]
    if not wanting:
        return
    about = {"number": round_.number, "state": round_.state}
    project = session.get_one(Project, round_.project_id)
    happening = uuid4().hex
    for webhook in wanting:
        data = {"project": _about(project), "round": about, **more}
        _write(session, webhook, f"{event}-{round_.id}-{happening}", event, data)
    session.flush()


def tell_of_end(session: Session, round_: Round) -> None:
    """The round is done, with its advice and figures; and, where the advice is to stop, that too."""
    advice = {"kind": round_.advice, "reason": round_.advice_reason}
    tell(session, round_, "round.done", advice=advice, figures=_figures(session, round_))
    if round_.advice in ("match", "plateau"):
        tell(session, round_, "advice.stop", advice=advice)


def _figures(session: Session, round_: Round) -> list[dict[str, Any]]:
    """Kappa of the experts among each other, and of this round's model and of the baseline with them."""
    rows = session.execute(
        select(Evaluation, ModelVersion.version)
        .outerjoin(ModelVersion, ModelVersion.id == Evaluation.model_version_id)
        .where(Evaluation.round_id == round_.id, Evaluation.measure == "kappa", Evaluation.detail == "")
        .where(Evaluation.model_version_id.is_(None) | (ModelVersion.round_id == round_.id))
        .order_by(Evaluation.id)
    )
    return [
        {
            "subject": row.subject if version is None else "model",
            "model_version": version,
            "slice": row.slice,
            "measure": row.measure,
            "value": row.value,
            "low": row.low,
            "high": row.high,
            "n": row.n,
            "undefined": row.undefined_reason,
        }
        for row, version in rows
    ]


def _about(project: Project) -> dict[str, str]:
    return {"slug": project.slug, "name": project.name}


def _write(session: Session, webhook: Webhook, happening: str, event: str, data: dict[str, Any]) -> Message:
    """``id`` is the same in every attempt, so that a receiver can tell a call that it has had already."""
    payload = {"id": f"msg_{uuid4().hex}", "type": event, "timestamp": utcnow().isoformat(), "data": data}
    message = Message(
        key=f"webhook-{webhook.id}-{happening}",
        kind="webhook",
        project_id=webhook.project_id,
        webhook_id=webhook.id,
        recipient=webhook.url,
        payload=payload,
    )
    session.add(message)
    return message


# --- what a worker sends -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    url: str
    body: bytes
    headers: dict[str, str]


def compose(settings: Settings, message: Message, secret: bytes, *, now: datetime | None = None) -> Call:
    """The signed request, as https://www.standardwebhooks.com describes it. Raises Unavailable for a secret that can't
    be read."""
    body = json.dumps(message.payload, sort_keys=True, separators=(",", ":")).encode()
    number, stamp = str(message.payload["id"]), str(int((now or utcnow()).timestamp()))
    return Call(
        message.recipient,
        body,
        {
            "Content-Type": "application/json",
            "User-Agent": "Linecall-Webhook",
            "webhook-id": number,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{sign(vault.unseal(settings, secret), number, stamp, body)}",
        },
    )


def sign(secret: bytes, number: str, stamp: str, body: bytes) -> str:
    signed = hmac.new(secret, f"{number}.{stamp}.".encode() + body, sha256)
    return base64.b64encode(signed.digest()).decode()
