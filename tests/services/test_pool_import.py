"""Imports as a whole, on both databases."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, text

from app.db.base import utcnow
from app.db.engine import Database
from app.db.tables import AuditEvent, Import, Item, Project
from app.errors import Conflict, NotFound
from app.ml.artifacts import ArtifactStore
from app.services import pool
from tests.factories import make_items, make_project

MAPPING = {"text": "text", "id": "id", "meta": ["topic"]}


@pytest.fixture
def store(tmp_path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"))


@pytest.fixture
def project_id(db: Database) -> int:
    with db.write() as session:
        return make_project(session).id


def queue(db, store, project_id, data: bytes, *, name="pool.csv", mapping=None, skip=False) -> int:
    with db.write() as session:
        stream = io.BytesIO(data)
        return pool.create_import(session, store, project_id, name, stream, mapping or MAPPING, skip).id


def bring_in(db, store, project_id, data: bytes, **options) -> Import:
    return pool.run_import(db, store, queue(db, store, project_id, data, **options))


def table(*rows: tuple[str, str]) -> bytes:
    return "\n".join(["id,text,topic", *(f"{id_},{words},x" for id_, words in rows), ""]).encode()


def numbered(count: int, start: int = 0) -> bytes:
    return table(*((f"n{i}", f"text {i}") for i in range(start, start + count)))


def items(db, project_id) -> list[Item]:
    with db.read() as session:
        return list(session.scalars(select(Item).where(Item.project_id == project_id).order_by(Item.ordinal)))


def check_whole(db, project_id, expected: int) -> None:
    """Ordinals without gap or double, and the count that the project keeps."""
    assert [item.ordinal for item in items(db, project_id)] == list(range(expected))
    with db.read() as session:
        assert session.get_one(Project, project_id).item_count == expected


def counts(job: Import) -> tuple[str, int | None, int, int, int, int]:
    return job.state, job.rows_total, job.rows_done, job.rows_added, job.rows_duplicate, job.rows_rejected


@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_each_format_brings_the_same_items(db, store, project_id, format_):
    rows = [{"id": str(i), "text": f"text, {i}\nß", "topic": "x"} for i in range(5)]
    if format_ == "csv":
        data = ("id,text,topic\n" + "".join(f'{r["id"]},"{r["text"]}",x\n' for r in rows)).encode()
    elif format_ == "jsonl":
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    else:
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), sink)
        data = sink.getvalue()
    job = bring_in(db, store, project_id, data, name=f"pool.{format_}")
    assert counts(job) == ("done", 5, 5, 5, 0, 0)
    assert job.finished_at is not None
    stored = [(i.external_id, i.text, i.meta, i.import_id) for i in items(db, project_id)]
    assert stored == [(row["id"], row["text"], {"topic": "x"}, job.id) for row in rows]
    check_whole(db, project_id, 5)


def test_without_further_columns_meta_is_null_in_the_database(db, store, project_id):
    bring_in(db, store, project_id, numbered(2), mapping={"text": "text"})
    with db.read() as session:
        assert session.scalar(text("SELECT count(*) FROM items WHERE meta IS NULL")) == 2


def test_rows_that_are_all_too_long_are_named_and_never_in_memory_together(db, store, project_id):
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["a" * 500_000]))
    sink = io.BytesIO()
    texts = [f"text {number}" for number in range(1000)]
    pq.write_table(pa.table({"text": texts, "more": repeated}), sink, compression="zstd", store_schema=False)
    tracemalloc.start()
    try:
        job = bring_in(
            db, store, project_id, sink.getvalue(), name="bomb.parquet", mapping={"text": "text", "meta": ["more"]}
        )
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = "The further columns hold more than 20,000 characters."
    assert counts(job) == ("failed", 1000, 0, 0, 0, 1000)
    assert job.errors[0] == {"row": 1, "field": None, "message": message}
    assert most < 60e6


def test_duplicates_are_counted_and_not_stored(db, store, project_id):
    bring_in(db, store, project_id, table(("a", "One text"), ("b", "Another")))
    again = table(("c", "One  text "), ("d", "New"), ("e", "New"), ("a", "One text"))
    job = bring_in(db, store, project_id, again)
    assert counts(job) == ("done", 4, 4, 1, 3, 0)
    check_whole(db, project_id, 3)


def test_one_bad_row_keeps_the_whole_file_out(db, store, project_id):
    job = bring_in(db, store, project_id, table(("a", "fine"), ("b", ""), ("c", "fine too")))
    assert counts(job) == ("failed", 3, 0, 0, 0, 1)
    assert job.errors == [{"row": 3, "field": "text", "message": "The text is empty."}]
    check_whole(db, project_id, 0)


def test_bad_rows_are_skipped_when_that_was_asked(db, store, project_id):
    data = table(("a", "fine"), ("b", ""), ("c", "fine too"), ("a", "a second text"))
    job = bring_in(db, store, project_id, data, skip=True)
    assert counts(job) == ("done", 4, 4, 2, 0, 2)
    assert [(error["row"], error["field"]) for error in job.errors] == [(3, "text"), (5, "id")]
    check_whole(db, project_id, 2)


def test_the_first_hundred_errors_are_kept_and_all_are_counted(db, store, project_id):
    data = table(*((f"n{i}", "") for i in range(250)))
    for skip in (False, True):
        job = bring_in(db, store, project_id, data, skip=skip)
        assert job.rows_rejected == 250
        assert [error["row"] for error in job.errors] == list(range(2, 102))


def test_an_id_given_to_two_texts_of_the_file_is_an_error_of_the_later_row(db, store, project_id):
    data = table(("a", "one"), ("b", "two"), ("a", "three"), ("b", "two"), ("a", "one"))
    job = bring_in(db, store, project_id, data)
    assert (job.state, job.rows_rejected) == ("failed", 1)
    assert job.errors == [{"row": 4, "field": "id", "message": "Row 2 has the same id and another text."}]


def test_an_id_of_another_text_in_the_pool_is_an_error(db, store, project_id):
    bring_in(db, store, project_id, table(("a", "one")))
    job = bring_in(db, store, project_id, table(("b", "two"), ("a", "other")))
    assert [(error["row"], error["field"]) for error in job.errors] == [(3, "id")]
    check_whole(db, project_id, 1)


def test_another_project_may_hold_the_same_texts_and_ids(db, store, project_id):
    with db.write() as session:
        other = make_project(session).id
    bring_in(db, store, project_id, numbered(3))
    assert counts(bring_in(db, store, other, numbered(3)))[3] == 3
    check_whole(db, other, 3)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"id,words\na,b\n", "no column 'text'. Its columns: 'id', 'words'."),
        (b"id,text\na,b\n", "no column 'topic'"),
        (b"id,text,topic\n", "no rows"),
        (b'id,text,topic\na,fine,x\nb,"open,x\n', "From row 3"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_fails_even_when_bad_rows_may_be_skipped(db, store, project_id, data, part):
    job = bring_in(db, store, project_id, data, skip=True)
    assert job.state == "failed"
    assert part in job.errors[0]["message"]
    check_whole(db, project_id, 0)


def test_running_a_finished_import_again_changes_nothing(db, store, project_id):
    job = bring_in(db, store, project_id, numbered(3))
    again = pool.run_import(db, store, job.id)
    assert counts(again) == counts(job)
    check_whole(db, project_id, 3)
    with pytest.raises(NotFound):
        pool.run_import(db, store, job.id + 1)


class Stop(Exception):
    pass


def stop_at(rows: int):
    def progress(done: int, total: int | None) -> None:
        if total is not None and done >= rows:
            raise Stop

    return progress


def test_an_import_that_stopped_goes_on_where_it_was(db, store, project_id):
    import_id = queue(db, store, project_id, numbered(95))
    for rows in (30, 60):
        with pytest.raises(Stop):
            pool.run_import(db, store, import_id, stop_at(rows), chunk_rows=10)
        check_whole(db, project_id, rows)
    assert counts(pool.run_import(db, store, import_id, chunk_rows=7)) == ("done", 95, 95, 95, 0, 0)
    check_whole(db, project_id, 95)
    assert [item.text for item in items(db, project_id)] == [f"text {i}" for i in range(95)]


def test_a_second_import_of_the_project_waits_for_the_first(db, store, project_id):
    first = queue(db, store, project_id, numbered(20))
    second = queue(db, store, project_id, numbered(20, start=10))
    with pytest.raises(Stop):
        pool.run_import(db, store, first, stop_at(10), chunk_rows=10)
    with pytest.raises(Conflict):
        pool.run_import(db, store, second)
    with db.read() as session:
        assert [job.id for job in pool.pending_imports(session)] == [first]
    pool.run_import(db, store, first)
    with db.read() as session:
        assert [job.id for job in pool.pending_imports(session)] == [second]
    assert counts(pool.run_import(db, store, second)) == ("done", 20, 20, 10, 10, 0)
    check_whole(db, project_id, 30)


def test_imports_of_a_deleted_project_are_not_pending(db, store, project_id):
    queue(db, store, project_id, numbered(2))
    with db.write() as session:
        session.get_one(Project, project_id).deleted_at = utcnow()
    with db.read() as session:
        assert list(pool.pending_imports(session)) == []


def test_two_processes_on_one_import_store_nothing_twice(db, store, project_id):
    import_id = queue(db, store, project_id, numbered(200))
    gate = threading.Barrier(2)
    refused = []

    def work() -> None:
        gate.wait()
        try:
            pool.run_import(db, store, import_id, chunk_rows=10)
        except Conflict as error:
            refused.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) <= 1
    assert counts(pool.run_import(db, store, import_id)) == ("done", 200, 200, 200, 0, 0)
    check_whole(db, project_id, 200)


def test_imports_of_two_projects_side_by_side_both_come_in_whole(db, store, project_id):
    with db.write() as session:
        other = make_project(session).id
    jobs = {project: queue(db, store, project, numbered(200)) for project in (project_id, other)}
    threads = [
        threading.Thread(target=pool.run_import, args=(db, store, job), kwargs={"chunk_rows": 10})
        for job in jobs.values()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for project in jobs:
        check_whole(db, project, 200)


def test_items_added_meanwhile_get_ordinals_of_their_own(db, store, project_id):
    import_id = queue(db, store, project_id, numbered(30))

    def add_one(done: int, total: int | None) -> None:
        if total is not None:
            with db.write() as session:
                make_items(session, session.get_one(Project, project_id), [f"added after {done}"])

    assert pool.run_import(db, store, import_id, add_one, chunk_rows=10).rows_added == 30
    check_whole(db, project_id, 33)


def test_an_id_taken_after_the_check_fails_the_import_and_says_where(db, store, project_id):
    import_id = queue(db, store, project_id, numbered(30))

    def take_an_id(done: int, total: int | None) -> None:
        if total is not None and done == 10:
            with db.write() as session:
                (item,) = make_items(session, session.get_one(Project, project_id), ["another text"])
                item.external_id = "n25"

    job = pool.run_import(db, store, import_id, take_an_id, chunk_rows=10)
    assert (job.state, job.rows_added) == ("failed", 20)
    assert [(error["row"], error["field"]) for error in job.errors] == [(27, "id")]
    check_whole(db, project_id, 21)


def test_a_lost_upload_fails_with_a_reason(db, store, project_id, tmp_path):
    import_id = queue(db, store, project_id, numbered(3))
    for path in (tmp_path / "store").rglob("*.csv"):
        path.unlink()
    job = pool.run_import(db, store, import_id)
    assert job.state == "failed"
    assert "missing" in job.errors[0]["message"]
    with db.read() as session:
        assert list(pool.pending_imports(session)) == []


def test_imports_are_listed_audited_and_kept_from_other_projects(db, store, project_id):
    first = bring_in(db, store, project_id, numbered(3))
    second = bring_in(db, store, project_id, b"nothing")
    with db.read() as session:
        assert [job.id for job in pool.list_imports(session, project_id)] == [second.id, first.id]
        assert pool.import_status(session, project_id, first.id).state == "done"
        with pytest.raises(NotFound):
            pool.import_status(session, project_id + 1, first.id)
        actions = list(session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))
        assert actions == ["import.created", "import.finished", "import.created", "import.failed"]


def test_items_are_listed_page_by_page(db, store, project_id):
    bring_in(db, store, project_id, numbered(25))
    with db.write() as session:
        make_items(session, make_project(session), 3)
    with db.read() as session:
        seen, last = [], -1
        while page := pool.list_items(session, project_id, after_ordinal=last, limit=10):
            seen += [item.ordinal for item in page]
            last = page[-1].ordinal
    assert seen == list(range(25))


CHILD = """
import sys
from app.db.engine import Database
from app.ml.artifacts import ArtifactStore
from app.services import pool

def progress(done, total):
    if total is not None:
        print(done, flush=True)
        if sys.argv[4] == "wait":
            sys.stdin.readline()

pool.run_import(Database(sys.argv[1]), ArtifactStore(sys.argv[2]), int(sys.argv[3]), progress, chunk_rows=50)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["wait", "run"])
def test_after_kill_9_a_rerun_leaves_no_gap_and_nothing_twice(db, store, project_id, moment):
    """'wait' kills between two transactions, 'run' wherever the child happens to be."""
    import_id = queue(db, store, project_id, numbered(3000))
    command = [sys.executable, "-c", CHILD, db.engine.url.render_as_string(False), store.url, str(import_id), moment]
    for _ in range(3):
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        for _ in range(4):
            assert child.stdout.readline(), "the child ended early"
            if moment == "wait":
                child.stdin.write(b"\n")
                child.stdin.flush()
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        child.stdin.close()
        child.stdout.close()
        with db.read() as session:
            job = session.get_one(Import, import_id)
            assert 0 < job.rows_done < 3000
            assert job.rows_added == job.rows_done
        check_whole(db, project_id, job.rows_done)
    assert counts(pool.run_import(db, store, import_id)) == ("done", 3000, 3000, 3000, 0, 0)
    check_whole(db, project_id, 3000)
    assert [item.external_id for item in items(db, project_id)] == [f"n{i}" for i in range(3000)]


@pytest.mark.slow
def test_a_hundred_thousand_rows_come_in_below_300_mb(db, store, project_id):
    import_id = queue(db, store, project_id, numbered(100_000))
    # Not getrusage: a child inherits its parent's peak there.
    peak = CHILD.replace(
        "chunk_rows=50)", "chunk_rows=1000)\nprint(open('/proc/self/status').read().split('VmHWM:')[1])"
    )
    command = [sys.executable, "-c", peak, db.engine.url.render_as_string(False), store.url, str(import_id), "run"]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout
    kilobytes = int(re.search(r"(\d+) kB", out).group(1))
    assert kilobytes < 300 * 1024
    check_whole(db, project_id, 100_000)
