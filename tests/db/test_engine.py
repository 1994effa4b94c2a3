"""The promises of app.db.engine on both databases."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.orm import Session

from app.db.engine import Database, TransactionLost, normalise_url
from app.db.tables import Item, Project, User
from tests.factories import make_items, make_project, make_user


def count_of(db: Database, table) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_write_commits_at_its_end(db: Database) -> None:
    with db.write() as session:
        make_user(session, "Ada")
    assert count_of(db, User) == 1


def test_write_is_undone_by_an_exception(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.write() as session:
        make_user(session, "Ada")
        _ = 1 / 0
    assert count_of(db, User) == 0


def test_read_saves_nothing(db: Database) -> None:
    with db.read() as session:
        make_user(session, "Ada")
    assert count_of(db, User) == 0


def test_short_writes_from_many_threads_are_all_saved(db: Database) -> None:
    def add(number: int) -> int:
        return db.run_write(lambda session: make_user(session, email=f"person{number}@example.org").id)

    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(add, range(200)))
    assert len(set(ids)) == 200
    assert count_of(db, User) == 200


def test_a_failing_short_write_harms_no_other(db: Database) -> None:
    def add(number: int) -> str:
        email = "taken@example.org" if number % 2 else f"person{number}@example.org"

        def work(session: Session) -> None:
            make_user(session, email=email)

        try:
            db.run_write(work)
        except IntegrityError:
            return "refused"
        return "saved"

    db.run_write(lambda session: make_user(session, email="taken@example.org").id)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(add, range(60)))
    assert outcomes == ["saved", "refused"] * 30
    assert count_of(db, User) == 31


def fill_the_disk(session: Session) -> None:
    """An insert for which there is no room: SQLite rolls back the whole transaction, not only the statement."""
    connection = session.connection()
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    try:
        make_user(session, name="x" * 200_000)
    finally:
        connection.exec_driver_sql("PRAGMA max_page_count=4294967294")


def run_in_one_batch(db: Database, works: list) -> list:
    """Their values or exceptions, in order: all are queued before the first of them is done."""
    lane = db._lane
    with ThreadPoolExecutor(len(works)) as pool:
        with lane._lock:
            waiting = []
            for work in works:
                waiting.append(pool.submit(db.run_write, work))
                until(lambda: len(lane._queue) == len(waiting))
        return [future.exception() or future.result() for future in waiting]


def until(holds) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("place", [0, 2, 4])
def test_whoever_is_told_saved_is_on_disk_when_one_of_a_batch_loses_the_transaction(db: Database, place: int) -> None:
    if not db.is_sqlite:
        pytest.skip("only SQLite commits several callers' work together")

    def add(number: int):
        return lambda session: make_user(session, email=f"person{number}@example.org").email

    works = [add(number) for number in range(4)]
    works.insert(place, fill_the_disk)
    outcomes = run_in_one_batch(db, works)
    with db.read() as session:
        on_disk = set(session.scalars(select(User.email)))
    assert {outcome for outcome in outcomes if isinstance(outcome, str)} == on_disk
    assert isinstance(outcomes[place], OperationalError)
    assert db.run_write(add(9)) == "person9@example.org"  # and the lane goes on
    assert count_of(db, User) == len(on_disk) + 1


@pytest.mark.parametrize("way", ["write", "run_write"])
def test_a_commit_after_the_transaction_was_lost_is_not_taken_for_a_success(db: Database, way: str) -> None:
    if not db.is_sqlite:
        pytest.skip("Postgres refuses every statement after an error")

    def work(session: Session) -> None:
        make_user(session, "Ada")
        with pytest.raises(OperationalError), session.begin_nested():
            fill_the_disk(session)

    with pytest.raises((TransactionLost, OperationalError)):
        if way == "run_write":
            db.run_write(work)
        else:
            with db.write() as session:
                work(session)
    assert count_of(db, User) == 0


def test_foreign_keys_are_enforced(db: Database) -> None:
    with pytest.raises(IntegrityError), db.write() as session:
        session.add(Item(project_id=999, ordinal=0, content_hash=b"0" * 16, text="orphan"))


def test_times_come_back_in_utc_and_naive_ones_are_refused(db: Database) -> None:
    moment = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    with db.write() as session:
        project = make_project(session)
        project.created_at = moment
    with db.read() as session:
        assert session.scalar(select(Project.created_at)) == moment
    with pytest.raises(StatementError, match="zone"), db.write() as session:
        make_user(session).created_at = datetime(2026, 3, 1)


def test_items_are_numbered_without_gaps(db: Database) -> None:
    with db.write() as session:
        project = make_project(session)
        make_items(session, project, ["a", "b"])
        make_items(session, project, 3)
    with db.read() as session:
        assert list(session.scalars(select(Item.ordinal).order_by(Item.id))) == [0, 1, 2, 3, 4]


def test_each_test_has_tables_of_its_own(db: Database, backend: str) -> None:
    assert count_of(db, User) == 0
    assert db.is_sqlite == (backend == "sqlite")


@pytest.mark.postgres_only
def test_tests_that_need_postgres_are_not_run_on_sqlite(backend: str) -> None:
    assert backend == "postgres"


def test_every_spelling_of_postgres_means_psycopg_3() -> None:
    assert normalise_url("postgres://h/d") == normalise_url("postgresql://h/d") == "postgresql+psycopg://h/d"
