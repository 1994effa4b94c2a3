"""A review that opens is told, by a real SMTP server's account of it, to whoever wants to hear, once."""

import socket
from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import select

from app.config import Settings
from app.db.base import utcnow
from app.db.tables import Message, Project, Round, User
from app.services import messages, preferences
from app.workflows import post
from tests.services.review_factories import add_expert, open_review


class Mailbox:
    """What the server took; ``refuses`` is what it says instead."""

    def __init__(self) -> None:
        self.letters, self.refuses = [], None

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - the library's name
        if self.refuses:
            return self.refuses
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - the library's name
        self.letters.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 OK"


@pytest.fixture
def mailbox():
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        box.port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture
def settings(tmp_path, mailbox) -> Settings:
    return Settings(
        data_dir=tmp_path, smtp_host="127.0.0.1", smtp_port=mailbox.port, smtp_security="none",
        base_url="https://label.example.org/",
    )  # fmt: skip


@pytest.fixture
def told(db):
    """A review of three experts: one reads German, one wants no mail."""
    review = open_review(db)
    add_expert(db, review)
    with db.write() as session:
        project = session.get_one(Project, review.project_id)
        project.name = "Ads\nBcc: all@example.org"
        users = session.scalars(select(User).order_by(User.id)).all()
        users[0].locale = "de"
        preferences.update(session, users[1], email_when_work=False)
        session.flush()
        messages.announce_review(session, session.get_one(Round, review.round_id))
        return [user.email for user in users]


def states(db) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(Message.state).order_by(Message.id)))


def send_all(settings, db) -> int:
    sent = 0
    while post.send_next(settings, db):
        sent += 1
    return sent


def test_who_wants_it_gets_it_once_in_their_language_and_nothing_of_the_pool(db, settings, mailbox, told):
    assert send_all(settings, db) == 2
    assert send_all(settings, db) == 0
    assert [to for to, _ in mailbox.letters] == [[told[0]], [told[2]]]
    german, english = (text for _, text in mailbox.letters)
    assert "https://label.example.org/p/" in english
    assert "There are new texts for you" in english
    assert "There are new texts" not in german
    assert "Auto-Submitted: auto-generated" in english
    heads = english.partition("\r\n\r\n")[0]
    assert "\nBcc:" not in heads, "a project's name does not write headers"
    assert "text number" not in english
    assert states(db) == ["sent", "sent"]


def test_an_answer_for_now_is_tried_again_and_one_for_good_is_not(db, settings, mailbox, told):
    mailbox.refuses = "451 Try later"
    assert send_all(settings, db) == 2
    assert states(db) == ["waiting", "waiting"]
    mailbox.refuses = "550 No such person"
    with db.write() as session:
        for row in session.scalars(select(Message)):
            assert row.next_attempt_at > utcnow()
            row.next_attempt_at = utcnow() - timedelta(seconds=1)
    send_all(settings, db)
    assert states(db) == ["failed", "failed"]
    with db.read() as session:
        assert "No such person" in session.scalars(select(Message.last_error)).first()


def test_a_server_that_is_away_loses_nothing(db, settings, told, mailbox):
    away = settings.model_copy(update={"smtp_port": 9})
    send_all(away, db)
    assert states(db) == ["waiting", "waiting"]
    with db.write() as session:
        for row in session.scalars(select(Message)):
            row.next_attempt_at = utcnow() - timedelta(seconds=1)
    assert send_all(settings, db) == 2
    assert states(db) == ["sent", "sent"]


def test_two_workers_do_not_take_the_same_message(db, told):
    taken = [
        db.run_write(lambda s: getattr(messages.take_next(s, can_mail=True), "id", None))
        for _ in range(3)
    ]  # fmt: skip
    assert taken[2] is None
    assert taken[0] != taken[1]


@pytest.mark.parametrize(("can_mail", "hours"), [(True, 25), (False, 0)])
def test_old_news_and_news_without_a_server_are_given_up(db, told, can_mail, hours):
    later = utcnow() + timedelta(hours=hours)
    assert db.run_write(lambda s: messages.take_next(s, can_mail=can_mail, now=later)) is None
    assert states(db) == ["failed", "failed"]
