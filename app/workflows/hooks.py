"""Calls webhooks: signed, with a deadline, without redirects, and to no address inside the network unless a setting
allows it.

The host is looked up once, every address that it has is checked, and the connection is made to one that was checked:
a name that resolves to something else a moment later leads nowhere. Certificate and Host header stay the name's.
"""

import asyncio
import logging
from functools import partial
from urllib.parse import urlsplit

import httpx
from sqlalchemy.orm import Session

from app.addresses import is_public, resolve
from app.config import Settings
from app.db.engine import Database
from app.db.tables import Message, Webhook
from app.errors import LinecallError
from app.services import messages, webhooks
from app.services.webhooks import Call

log = logging.getLogger(__name__)
_SECONDS = 20  # for the whole of a call; each step of it has ten at most
_STEP_SECONDS = 10


class Refused(LinecallError):
    """The address may not be called."""


def send_next(settings: Settings, db: Database) -> bool:
    """Make one call if one is due. Whether there may be more."""
    taken = db.run_write(_take)
    if taken is None:
        return False
    message, secret = taken
    try:
        status = call(webhooks.compose(settings, message, secret), private=settings.webhook_private_addresses)
    except (httpx.HTTPError, httpx.InvalidURL, LinecallError, OSError, TimeoutError) as error:
        error_text = error.message if isinstance(error, LinecallError) else f"{type(error).__name__}: {error}"
        _note(db, message.id, error_text)
        return True
    if 200 <= status < 300:
        db.run_write(partial(messages.note_sent, message_id=message.id))
    else:
        _note(db, message.id, f"It answered {status}.", for_good=status == httpx.codes.GONE)
    return True


def _take(session: Session) -> tuple[Message, bytes] | None:
    message = messages.take_call(session)
    if message is None or message.webhook_id is None:
        return None
    return message, session.get_one(Webhook, message.webhook_id).secret


def _note(db: Database, message_id: int, error: str, *, for_good: bool = False) -> None:
    log.warning("webhook call %s was not taken: %s", message_id, error)
    db.run_write(partial(messages.note_failure, message_id=message_id, error=error, for_good=for_good))


def call(what: Call, *, private: bool) -> int:
    """The status that the receiver answers with; of what it says nothing is read. Raises Refused, OSError for a name
    that is not found, httpx.HTTPError, TimeoutError."""
    parts = urlsplit(what.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if parts.scheme != "https" and not private:
        raise Refused("Only addresses that begin with https:// are called.")
    return asyncio.run(_post(what, host, addresses(host, port, private=private)[0]))


def addresses(host: str, port: int, *, private: bool) -> list[str]:
    """What the name resolves to. One address that is not public refuses them all."""
    found = resolve(host, port)
    if not private and not all(is_public(address) for address in found):
        raise Refused(
            f"{host} is an address inside a network, which is not called unless LINECALL_WEBHOOK_PRIVATE_ADDRESSES "
            "allows it."
        )
    return found


async def _post(what: Call, host: str, address: str) -> int:
    url = httpx.URL(what.url)
    headers = {**what.headers, "Host": url.netloc.decode("ascii")}
    async with (
        asyncio.timeout(_SECONDS),
        httpx.AsyncClient(timeout=_STEP_SECONDS, follow_redirects=False, trust_env=False) as client,
        client.stream(
            "POST",
            url.copy_with(host=address),
            content=what.body,
            headers=headers,
            extensions={"sni_hostname": host},  # whose certificate it must be
        ) as response,
    ):
        return response.status_code
