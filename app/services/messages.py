"""E-mail and calls to webhooks: written in the transaction of what they tell of, sent by a worker until they arrive
or are given up.

A message holds no text of the pool, only what happened and where to go. It may come twice, if a worker dies between
sending it and noting that; it is never lost, and two workers do not send it at the same time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import Membership, Message, Project, Round, User
from app.i18n import _, speaking
from app.services import preferences

GIVE_UP_AFTER = timedelta(hours=24)
_WAITS = (1, 5, 30, 120, 360)  # minutes until the next try; the last holds for all later ones
_IN_HAND = timedelta(minutes=5)  # longer than one try can take: then another worker may try


@dataclass(frozen=True)
class Mail:
    recipient: str
    subject: str
    body: str


def announce_review(session: Session, round_: Round) -> None:
    """One message for each expert of the project who wants to hear that there is work."""
    project = session.get_one(Project, round_.project_id)
    experts = session.scalars(
        select(User)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.project_id == project.id, Membership.role == "expert", Membership.removed_at.is_(None))
        .order_by(User.id)
    )
    for expert in experts:
        if preferences.get(expert).email_when_work:
            what = {"what": "review", "project": project.name, "slug": project.slug, "locale": expert.locale}
            session.add(
                Message(
                    key=f"review-{round_.id}-{expert.id}",
                    kind="email",
                    project_id=project.id,
                    recipient=expert.email,
                    payload=what,
                )
            )
    session.flush()


def take_next(session: Session, *, can_mail: bool, now: datetime | None = None) -> Message | None:
    """The message that has waited longest, out of other workers' hands for a while; None if nothing is due. Without a
    mail server, and after a day, what waits is given up: nobody wants last week's news."""
    now = now or utcnow()
    too_old = Message.created_at < now - GIVE_UP_AFTER
    why = "It could not be sent for a day." if can_mail else "No mail server is configured."
    given_up = update(Message).where(Message.kind == "email", Message.state == "waiting")
    session.execute(
        (given_up.where(too_old) if can_mail else given_up)
        .values(state="failed", last_error=why)
        .execution_options(synchronize_session=False)
    )
    if not can_mail:
        return None
    due = (
        select(Message.id)
        .where(Message.kind == "email", Message.state == "waiting", Message.next_attempt_at <= now)
        .order_by(Message.next_attempt_at, Message.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return _take(session, due, now)


def take_call(session: Session, *, now: datetime | None = None) -> Message | None:
    """As ``take_next``, of the calls to webhooks. After a day what waits is given up."""
    now = now or utcnow()
    waiting = (Message.kind == "webhook") & (Message.state == "waiting")
    session.execute(
        update(Message)
        .where(waiting, Message.created_at < now - GIVE_UP_AFTER)
        .values(
            state="failed",
            last_error="Given up after a day. " + func.coalesce(Message.last_error, "No worker came to it."),
        )
        .execution_options(synchronize_session=False)
    )
    due = (
        select(Message.id)
        .where(waiting, Message.next_attempt_at <= now)
        .order_by(Message.next_attempt_at, Message.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return _take(session, due, now)


def call_is_due(session: Session, *, now: datetime | None = None) -> bool:
    """A look that takes no lock."""
    now = now or utcnow()
    waiting = select(Message.id).where(Message.kind == "webhook", Message.state == "waiting")
    return session.scalar(waiting.where(Message.next_attempt_at <= now).limit(1)) is not None


def _take(session: Session, due: Select[int], now: datetime) -> Message | None:
    message_id = session.scalar(due)
    if message_id is None:
        return None
    message = session.get_one(Message, message_id)
    message.attempts += 1
    message.next_attempt_at = now + _IN_HAND
    session.flush()
    return message


def note_sent(session: Session, message_id: int, *, now: datetime | None = None) -> None:
    message = session.get_one(Message, message_id)
    message.state, message.sent_at, message.last_error = "sent", now or utcnow(), None


def note_failure(
    session: Session, message_id: int, error: str, *, for_good: bool = False, now: datetime | None = None
) -> None:
    """It is tried again after a while, unless ``for_good``: the server has said that it will never take it."""
    message = session.get_one(Message, message_id)
    message.last_error = error[:1000]
    if for_good:
        message.state = "failed"
    else:
        minutes = _WAITS[min(message.attempts, len(_WAITS)) - 1]
        message.next_attempt_at = (now or utcnow()) + timedelta(minutes=minutes)


def compose(message: Message, base_url: str) -> Mail:
    """In the language that the reader has chosen, else English."""
    project, link = message.payload["project"], f"{base_url}/p/{message.payload['slug']}/label"
    with speaking(message.payload.get("locale") or "en"):
        lines = [
            _("There are new texts for you in %(project)s.", project=project),
            link,
            _("You can turn these messages off on your account page: %(link)s", link=f"{base_url}/account"),
        ]
        subject = _("New texts in %(project)s", project=" ".join(project.split()))
    return Mail(message.recipient, subject, "\n\n".join(lines) + "\n")
