"""A real receiver on loopback checks every signature; it is told of a round's life, again if need be, and nothing
inside the network is called without leave."""

import base64
import hmac
import json
import socket
import threading
from datetime import timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import select

from app import addresses
from app.config import Settings
from app.db.base import utcnow
from app.db.tables import Message, Project, Round
from app.errors import Unavailable
from app.services import messages, rounds, stages, webhooks
from app.workflows import hooks
from tests.services.review_factories import open_review


class Receiver(ThreadingHTTPServer):
    """Keeps what it gets as (headers, body); ``answers`` are its next statuses, 204 when there is none left."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got, self.answers = [], []
        self.url = f"http://127.0.0.1:{self.server_port}/hook?key=1"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data_dir=tmp_path, webhook_private_addresses=True)


@pytest.fixture
def review(db):
    return open_review(db)


def add(db, settings, review, url, events=()) -> tuple[int, bytes]:
    with db.write() as session:
        hook, secret = webhooks.add(session, settings, review.project_id, url, list(events))
        return hook.id, base64.b64decode(secret.removeprefix("whsec_"))


def send_all(settings, db) -> int:
    sent = 0
    while hooks.send_next(settings, db):
        sent += 1
    return sent


def is_signed(headers, body, secret) -> bool:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(secret, signed, sha256).digest()).decode()
    return hmac.compare_digest(wanted, headers["webhook-signature"])


def rows(db) -> list[Message]:
    with db.read() as session:
        return list(session.scalars(select(Message).where(Message.kind == "webhook").order_by(Message.id)))


def due_again(db) -> None:
    with db.write() as session:
        for row in session.scalars(select(Message)):
            row.next_attempt_at = utcnow() - timedelta(seconds=1)


def test_a_receiver_that_fails_first_gets_the_same_call_again_and_believes_its_signature(
    db, settings, review, receiver
):  # fmt: skip
    _, secret = add(db, settings, review, receiver.url)
    with db.write() as session:
        rounds.cancel(session, session.get_one(Round, review.round_id))
    receiver.answers = [500, 302]
    assert send_all(settings, db) == 1
    assert (rows(db)[0].state, rows(db)[0].attempts, rows(db)[0].last_error) == ("waiting", 1, "It answered 500.")
    assert rows(db)[0].next_attempt_at > utcnow()
    assert send_all(settings, db) == 0, "not before its time"
    for _ in range(2):
        due_again(db)
        assert send_all(settings, db) == 1
    assert rows(db)[0].state == "sent"
    assert len(receiver.got) == 3, "the redirect was not followed"
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    for headers, body in receiver.got:
        assert is_signed(headers, body, secret)
        assert not is_signed(headers, body + b" ", secret)
        assert not is_signed(headers | {"webhook-timestamp": "1"}, body, secret)
    told = json.loads(receiver.got[-1][1])
    assert (told["type"], told["data"]["round"]) == ("round.cancelled", {"number": 1, "state": "cancelled"})
    assert "text number" not in receiver.got[-1][1].decode()


def test_an_address_hears_what_it_asked_for_and_nothing_that_was_rolled_back(db, settings, review, receiver):
    add(db, settings, review, receiver.url, ["round.paused", "round.failed"])
    with db.write() as session:
        round_ = session.get_one(Round, review.round_id)
        rounds.pause(session, round_)
        rounds.resume(session, round_)
    with pytest.raises(ZeroDivisionError), db.write() as session:
        rounds.pause(session, session.get_one(Round, review.round_id))
        raise ZeroDivisionError
    with db.write() as session:
        round_ = session.get_one(Round, review.round_id)
        round_.state = "concluding"
        session.flush()
        assert stages.fail(session, round_.id, "no", phase="concluding", attempt=round_.attempt)
        assert not stages.fail(session, round_.id, "no", phase="concluding", attempt=round_.attempt)
    assert [row.payload["type"] for row in rows(db)] == ["round.paused", "round.failed"]


def test_gone_is_for_good_and_after_a_day_it_is_given_up(db, settings, review, receiver):
    hook, _ = add(db, settings, review, receiver.url)
    with db.write() as session:
        webhooks.send_test(session, review.project_id, hook)
        webhooks.send_test(session, review.project_id, hook)
    receiver.answers = [410, 500]
    assert send_all(settings, db) == 2
    assert [row.state for row in rows(db)] == ["failed", "waiting"]
    with db.write() as session:
        assert messages.take_call(session, now=utcnow() + timedelta(hours=25)) is None
    assert rows(db)[1].state == "failed"
    assert rows(db)[1].last_error == "Given up after a day. It answered 500."


def test_removing_a_webhook_stops_what_waits(db, settings, review, receiver):
    hook, _ = add(db, settings, review, receiver.url)
    with db.write() as session:
        webhooks.send_test(session, review.project_id, hook)
        webhooks.remove(session, review.project_id, hook)
    assert send_all(settings, db) == 0
    with db.write() as session:
        webhooks.tell(session, session.get_one(Round, review.round_id), "round.failed")
    assert [row.state for row in rows(db)] == ["failed"]
    assert receiver.got == []


def test_a_worker_that_dies_over_a_call_leaves_it_to_the_next_under_the_same_id(db, settings, review, receiver):
    hook, _ = add(db, settings, review, receiver.url)
    with db.write() as session:
        webhooks.send_test(session, review.project_id, hook)
    taken = db.run_write(hooks._take)  # and then nothing: killed between taking it and noting that it was sent
    hooks.call(webhooks.compose(settings, *taken), private=True)
    assert send_all(settings, db) == 0, "in the dead worker's hands"
    due_again(db)
    assert send_all(settings, db) == 1
    first, second = (headers["webhook-id"] for headers, _ in receiver.got)
    assert first == second


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.1.2.3", "169.254.169.254"])
def test_nothing_inside_the_network_is_called(db, settings, review, receiver, host):
    strict = settings.model_copy(update={"webhook_private_addresses": False})
    hook, _ = add(db, strict, review, f"https://{host}:{receiver.server_port}/")
    with db.write() as session:
        webhooks.send_test(session, review.project_id, hook)
    send_all(strict, db)
    assert "inside a network" in rows(db)[0].last_error
    assert receiver.got == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("::ffff:10.0.0.1", False), ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False), ("fe80::1%eth0", False), ("fd00::1", False), ("224.0.0.1", False),
        ("100.64.0.1", False), ("192.168.1.1", False),
    ],
)  # fmt: skip
def test_what_is_public(address, public):
    assert addresses.is_public(address) is public


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch, db, settings, review, receiver):
    """A name that means something else at the second look leads nowhere: there is no second look."""
    looks = []

    def resolve(host, port, **_):
        looks.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    what = webhooks.Call(f"http://hooks.example.org:{receiver.server_port}/x", b"{}", {})
    assert hooks.call(what, private=True) == 204
    assert looks.count("hooks.example.org") == 1
    assert receiver.got[0][0]["Host"] == f"hooks.example.org:{receiver.server_port}"


def test_a_receiver_that_says_nothing_is_left_after_its_time(monkeypatch, db, settings, review):
    monkeypatch.setattr(hooks, "_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hook, _ = add(db, settings, review, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with db.write() as session:
            webhooks.send_test(session, review.project_id, hook)
        assert send_all(settings, db) == 1
    assert rows(db)[0].state == "waiting"
    assert "Timeout" in rows(db)[0].last_error


def test_secrets_are_stored_encrypted_and_another_key_says_so(db, settings, review, receiver):
    hook, secret = add(db, settings, review, receiver.url)
    with db.write() as session:
        assert secret not in webhooks.get(session, review.project_id, hook).secret
        webhooks.send_test(session, review.project_id, hook)
    key = settings.data_dir / "secret.key"
    assert key.stat().st_mode & 0o077 == 0
    other = Settings(data_dir=settings.data_dir, webhook_private_addresses=True, secret_key="another")
    send_all(other, db)
    assert "LINECALL_SECRET_KEY" in rows(db)[0].last_error
    with db.read() as session, pytest.raises(Unavailable):
        webhooks.compose(other, rows(db)[0], webhooks.get(session, review.project_id, hook).secret)


def test_the_end_of_a_round_tells_its_figures(db):
    from tests.services.alignment_factories import make_history

    history = make_history(db, rounds=1)
    with db.write() as session:
        project = session.get_one(Project, history.project_id)
        session.add(webhooks.Webhook(project_id=project.id, url="https://example.org", events=[], secret=b""))
        session.flush()
        round_ = session.scalars(select(Round).where(Round.project_id == project.id)).one()
        round_.advice, round_.advice_reason = "match", "It agrees."
        webhooks.tell_of_end(session, round_)
    done, stop = rows(db)
    assert (done.payload["type"], stop.payload["type"]) == ("round.done", "advice.stop")
    figures = done.payload["data"]["figures"]
    assert {"experts", "model"} <= {figure["subject"] for figure in figures}
    assert all(figure["n"] >= 0 and (figure["value"] is None) == bool(figure["undefined"]) for figure in figures)
