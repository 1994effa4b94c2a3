"""Hands e-mail to the mail server."""

import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import urlsplit

from app.config import Settings
from app.db.engine import Database
from app.services import messages
from app.services.messages import Mail

log = logging.getLogger(__name__)
_SECONDS = 30  # for each step of the conversation with the server


def send_next(settings: Settings, db: Database) -> bool:
    """Send one message if one is due. Whether there may be more."""
    message = db.run_write(lambda session: messages.take_next(session, can_mail=bool(settings.smtp_host)))
    if message is None:
        return False
    number = message.id
    try:
        _send(settings, messages.compose(message, _base_url(settings)))
    except (smtplib.SMTPException, OSError) as error:
        for_good = isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPSenderRefused) and _permanent(error)
        log.warning("message %s was not sent: %s", number, error)
        text = f"{type(error).__name__}: {error}"
        db.run_write(lambda session: messages.note_failure(session, number, text, for_good=for_good))
    else:
        db.run_write(lambda session: messages.note_sent(session, number))
    return True


def _permanent(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPSenderRefused) -> bool:
    """Codes from 500 on mean never (RFC 5321, 4.2.1)."""
    if isinstance(error, smtplib.SMTPSenderRefused):
        return error.smtp_code >= 500
    return all(code >= 500 for code, _ in error.recipients.values())


def _send(settings: Settings, mail: Mail) -> None:
    server: smtplib.SMTP
    trusted = ssl.create_default_context()
    if settings.smtp_security == "tls":
        server = smtplib.SMTP_SSL(settings.smtp_host, settings.smtp_port, timeout=_SECONDS, context=trusted)
    else:
        server = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=_SECONDS)
    with server:
        if settings.smtp_security == "starttls":
            server.starttls(context=trusted)
        if settings.smtp_user:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        server.send_message(_written(settings, mail))


def _written(settings: Settings, mail: Mail) -> EmailMessage:
    host = urlsplit(_base_url(settings)).hostname or "localhost"
    letter = EmailMessage()
    letter["From"] = settings.smtp_from or f"linecall@{host}"
    letter["To"], letter["Subject"] = mail.recipient, mail.subject
    letter["Date"], letter["Message-ID"] = formatdate(), make_msgid(domain=host)
    letter["Auto-Submitted"] = "auto-generated"  # so that no absence notice answers it (RFC 3834)
    letter.set_content(mail.body)
    return letter


def _base_url(settings: Settings) -> str:
    return (settings.base_url or f"http://{settings.host}:{settings.port}").rstrip("/")
