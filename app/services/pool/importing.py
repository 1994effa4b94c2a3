"""From a stored file to items: checked whole, then stored in short transactions that a crash can't tear.

Pass 1 reads every row and writes nothing. Pass 2 stores chunk by chunk; a chunk's items, the import's counts and the
project's item count are one transaction, so a crashed import goes on at ``rows_done`` and ordinals have no gaps.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from sqlalchemy import ARRAY, Select, exists, func, insert, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from app.db.base import utcnow
from app.db.engine import Database
from app.db.tables import Import, Item, Project
from app.errors import Conflict, NotFound
from app.ml.artifacts import ArtifactStore
from app.services import audit
from app.services.pool.profile import profile
from app.services.pool.readers import FileProblem, Reader, Record, open_reader
from app.services.pool.rows import ColumnMapping, Draft, Limits, Problem, check, check_mapping, parse_mapping
from app.services.pool.uploads import Upload, known_format, store_upload

Progress = Callable[[int, int | None], None]  # rows done, rows in the file (None while they are being checked)

MOST_ERRORS = 100
UNFINISHED = ("queued", "running")
_CHUNK_ROWS = 1000
_CHUNK_CHARACTERS = 1_000_000  # with the rows, bounds how long a chunk keeps answers waiting


def create_import(
    session: Session,
    store: ArtifactStore,
    project_id: int,
    filename: str,
    stream: BinaryIO,
    mapping: dict[str, Any],
    skip_bad_rows: bool = False,
    user_id: int | None = None,
    *,
    max_bytes: int = 512 << 20,
) -> Import:
    """Upload and register in one call. Where the session already holds a transaction, use ``store_upload`` before it
    and ``register_import`` in it. Raises InvalidInput, TooLarge."""
    parse_mapping(mapping)
    upload = store_upload(store, project_id, filename, stream, max_bytes=max_bytes)
    return register_import(session, upload, mapping, skip_bad_rows=skip_bad_rows, user_id=user_id)


def register_import(
    session: Session,
    upload: Upload,
    mapping: dict[str, Any],
    *,
    skip_bad_rows: bool = False,
    user_id: int | None = None,
) -> Import:
    """Queue the upload; whoever runs imports takes it from there. Raises InvalidInput."""
    job = Import(
        project_id=upload.project_id,
        filename=upload.filename,
        format=upload.format,
        storage_key=upload.key,
        mapping=parse_mapping(mapping).as_json(),
        skip_bad_rows=skip_bad_rows,
        created_by_id=user_id,
    )
    session.add(job)
    session.flush()
    audit.record(session, "import.created", user_id=user_id, project_id=job.project_id, subject=job.filename)
    return job


def import_status(session: Session, project_id: int, import_id: int) -> Import:
    """Raises NotFound, also for another project's import."""
    job = session.scalar(select(Import).where(Import.id == import_id, Import.project_id == project_id))
    if job is None:
        raise NotFound("There is no such import.")
    return job


def list_imports(session: Session, project_id: int, *, limit: int = 50) -> Sequence[Import]:
    """The newest first."""
    newest = select(Import).where(Import.project_id == project_id).order_by(Import.id.desc()).limit(limit)
    return session.scalars(newest).all()


def newest_summary(session: Session, project_id: int) -> dict[str, Any] | None:
    """What the last import that is done found in the pool; None before it."""
    newest = select(Import.summary).where(Import.project_id == project_id, Import.state == "done")
    return session.scalar(newest.order_by(Import.id.desc()).limit(1))


def pending_imports(session: Session) -> Sequence[Import]:
    """Those that may be run now, or go on after a crash: each project's oldest unfinished one."""
    oldest = (
        select(func.min(Import.id)).where(Import.state.in_(UNFINISHED)).group_by(Import.project_id).scalar_subquery()
    )
    return session.scalars(
        select(Import)
        .join(Project, Project.id == Import.project_id)
        .where(Import.id.in_(oldest), Project.deleted_at.is_(None))
        .order_by(Import.id)
    ).all()


def run_import(
    db: Database,
    store: ArtifactStore,
    import_id: int,
    progress: Progress | None = None,
    *,
    limits: Limits | None = None,
    chunk_rows: int = _CHUNK_ROWS,
) -> Import:
    """Carry an import out, or on from where it stopped; a finished one is returned as it is.

    Takes the Database and not a Session because every chunk is a transaction of its own. Bad rows, a bad file and
    a lost one end in the state ``failed``, not in an exception. Raises NotFound, and Conflict when an earlier import
    of the project is unfinished or another process is carrying this one out.
    """
    job = _begin(db, import_id)
    if job.state not in UNFINISHED:
        return job
    run = _Run(db, job, parse_mapping(job.mapping), limits or Limits(), chunk_rows, progress or _silent)
    try:
        with store.open_read(job.storage_key) as stream, open_reader(stream, known_format(job.format)) as reader:
            check_mapping(run.mapping, reader.columns)
            accepted = job.rows_total is not None or _check_rows(run, reader)
        if accepted:
            run = run._replace(job=_load(db, import_id))
            with store.open_read(job.storage_key) as stream, open_reader(stream, known_format(job.format)) as reader:
                _store_rows(run, reader)
    except FileProblem as problem:
        _fail(db, import_id, [Problem(problem.row, problem.field, problem.message)])
    except NotFound as lost:  # of the upload: nothing below looks for anything else by key
        _fail(db, import_id, [Problem(None, None, lost.message)])
    except _PoolChanged as changed:
        _fail(db, import_id, changed.problems)
    return _load(db, import_id)


class _Run(NamedTuple):
    db: Database
    job: Import
    mapping: ColumnMapping
    limits: Limits
    chunk_rows: int
    progress: Progress


class _PoolChanged(Exception):
    """Rows that were good when they were checked are not any more, and none may be skipped."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems[0].message)
        self.problems = problems


def _silent(done: int, total: int | None) -> None:
    """Nobody wants to know."""


def _load(db: Database, import_id: int) -> Import:
    with db.read() as session:
        return session.get_one(Import, import_id)


def _begin(db: Database, import_id: int) -> Import:
    db.run_write(partial(_mark_running, import_id))
    return _load(db, import_id)


def _mark_running(import_id: int, session: Session) -> None:
    job = session.get(Import, import_id, with_for_update=True, populate_existing=True)
    if job is None:
        raise NotFound("There is no such import.")
    if job.state not in UNFINISHED:
        return
    earlier = aliased(Import)
    waiting = exists().where(earlier.project_id == job.project_id, earlier.id < job.id, earlier.state.in_(UNFINISHED))
    # The check of a file holds only while nothing else is added to the pool.
    if session.scalar(select(waiting)):
        raise Conflict("An earlier import of this project is not finished.", import_id=import_id)
    job.state = "running"


def _fail(db: Database, import_id: int, problems: list[Problem], *, total: int | None = None, bad: int = 0) -> None:
    def work(session: Session) -> None:
        job = session.get_one(Import, import_id, with_for_update=True, populate_existing=True)
        if job.state != "running":
            return
        job.state, job.finished_at = "failed", utcnow()
        job.rows_total, job.rows_rejected = total if total is not None else job.rows_total, job.rows_rejected + bad
        job.errors = [*job.errors, *(problem._asdict() for problem in problems)][:MOST_ERRORS]
        audit.record(
            session, "import.failed", user_id=job.created_by_id, project_id=job.project_id, subject=job.filename
        )

    db.run_write(work)


# Pass 1


def _check_rows(run: _Run, reader: Reader) -> bool:
    """Read the whole file; False when it has failed. Raises FileProblem."""
    total, bad, problems, ids = 0, 0, list[Problem](), _IdLedger()
    for chunk in _chunks(run, reader.records(run.mapping.wanted)):
        drafts, wrong = _part(chunk)
        wrong += _clashes_with_pool(run, drafts)
        ids.add(drafts)
        total, bad = total + len(chunk), bad + len(wrong)
        problems = sorted([*problems, *wrong], key=_by_row)[:MOST_ERRORS]
        run.progress(total, None)
    if not total:
        raise FileProblem("The file has no rows.")
    if not run.job.skip_bad_rows:
        repeated = ids.repeated(run.mapping.id)
        bad, problems = bad + len(repeated), sorted([*problems, *repeated], key=_by_row)[:MOST_ERRORS]
        if bad:
            _fail(run.db, run.job.id, problems, total=total, bad=bad)
            return False
    run.db.run_write(partial(_set_total, run.job.id, total))
    return True


def _by_row(problem: Problem) -> int:
    return problem.row or 0


def _set_total(import_id: int, total: int, session: Session) -> None:
    session.get_one(Import, import_id, populate_existing=True).rows_total = total


def _part(outcomes: Iterable[Draft | Problem]) -> tuple[list[Draft], list[Problem]]:
    drafts, problems = list[Draft](), list[Problem]()
    for outcome in outcomes:
        if isinstance(outcome, Draft):
            drafts.append(outcome)
        else:
            problems.append(outcome)
    return drafts, problems


def _chunks(run: _Run, records: Iterator[Record]) -> Iterator[list[Draft | Problem]]:
    """Each row is checked as it is read: a thousand as large as a reader lets through may not fit into memory."""
    chunk, characters = list[Draft | Problem](), 0
    for record in records:
        outcome = check(record, run.mapping, run.limits)
        chunk.append(outcome)
        if isinstance(outcome, Draft):
            characters += len(outcome.text)
        if len(chunk) >= run.chunk_rows or characters >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _clashes_with_pool(run: _Run, drafts: list[Draft]) -> list[Problem]:
    if run.mapping.id is None:
        return []
    with run.db.read() as session:
        owners = _owners(session, run.job.project_id, drafts)
    return [_taken(draft, run.mapping.id) for draft in drafts if _is_taken(draft, owners)]


def _owners(session: Session, project_id: int, drafts: list[Draft]) -> dict[str | None, bytes]:
    """The content hash that each of these external ids belongs to already."""
    ids = {draft.external_id for draft in drafts if draft.external_id is not None}
    return _hashes_by(session, project_id, Item.external_id, ids)


def _hashes_by(
    session: Session, project_id: int, key: InstrumentedAttribute[Any], keys: Iterable[Any]
) -> dict[Any, bytes]:
    """Content hashes of the project's items that have one of these keys, by key: an index probe for each."""
    wanted = list(keys)
    if not wanted:
        return {}
    of_project = Item.project_id == project_id
    if session.get_bind().dialect.name == "sqlite":
        found: Select[Any, bytes] = select(key, Item.content_hash).where(of_project, key.in_(wanted))
        return {row[0]: row[1] for row in session.execute(found)}
    # For ``key IN (…)`` Postgres reads the whole pool as long as it has no statistics on it, and a growing pool has
    # none: every chunk would take longer than the last. A scalar subquery leaves the planner no choice.
    given = select(func.unnest(literal(wanted, ARRAY(key.type))).label("key")).subquery()
    probe = select(Item.content_hash).where(of_project, key == given.c.key).scalar_subquery()
    return {row[0]: row[1] for row in session.execute(select(given.c.key, probe)) if row[1] is not None}


def _is_taken(draft: Draft, owners: dict[str | None, bytes]) -> bool:
    return draft.external_id is not None and owners.get(draft.external_id, draft.content_hash) != draft.content_hash


def _taken(draft: Draft, field: str | None) -> Problem:
    return Problem(draft.row, field, f"The id '{draft.external_id}' already belongs to another text of the pool.")


class _IdLedger:
    """Finds ids that a file gives to two texts, in 24 bytes a row."""

    def __init__(self) -> None:
        self._ids, self._texts, self._rows = array("Q"), array("Q"), array("Q")

    def add(self, drafts: list[Draft]) -> None:
        for draft in drafts:
            if draft.external_id is not None:
                digest = blake2b(draft.external_id.encode(), digest_size=8).digest()
                self._ids.append(int.from_bytes(digest, "little"))
                self._texts.append(int.from_bytes(draft.content_hash[:8], "little"))
                self._rows.append(draft.row)

    def repeated(self, field: str | None) -> list[Problem]:
        """A problem for each row whose text is not the one of the first row with its id."""
        import numpy as np

        ids, texts, rows = (np.frombuffer(part, dtype=np.uint64) for part in (self._ids, self._texts, self._rows))
        if not len(ids):
            return []
        order = np.argsort(ids, kind="stable")
        starts = np.r_[True, ids[order][1:] != ids[order][:-1]]
        first = order[np.flatnonzero(starts)][np.cumsum(starts) - 1]
        differs = texts[order] != texts[first]
        pairs = zip(rows[order][differs].tolist(), rows[first][differs].tolist(), strict=True)
        return [Problem(row, field, f"Row {earlier} has the same id and another text.") for row, earlier in pairs]


# Pass 2


def _store_rows(run: _Run, reader: Reader) -> None:
    total, done = run.job.rows_total, run.job.rows_done
    records = islice(reader.records(run.mapping.wanted), done, None)
    for chunk in _chunks(run, records):
        done = run.db.run_write(partial(_store_chunk, run.job.id, done, chunk, run.mapping.id))
        run.progress(done, total)
    summary = profile(run.db, run.job.project_id, language_column=run.mapping.language)
    run.db.run_write(partial(_finish, run.job.id, summary))


def _store_chunk(
    import_id: int, expected: int, outcomes: list[Draft | Problem], id_field: str | None, session: Session
) -> int:
    job = session.get_one(Import, import_id, with_for_update=True, populate_existing=True)
    if job.state != "running" or job.rows_done != expected:
        raise Conflict("Another process is carrying this import out.", import_id=import_id)
    project = session.get_one(Project, job.project_id, with_for_update=True, populate_existing=True)
    drafts, problems = _part(outcomes)
    fresh, clashing, duplicates = _sort_out(session, project.id, drafts)
    problems = sorted([*problems, *(_taken(draft, id_field) for draft in clashing)], key=_by_row)
    if problems and not job.skip_bad_rows:
        raise _PoolChanged(problems)
    _insert(session, job, project.item_count, fresh)
    project.item_count += len(fresh)
    job.rows_done += len(outcomes)
    job.rows_added += len(fresh)
    job.rows_duplicate += duplicates
    job.rows_rejected += len(problems)
    if problems and len(job.errors) < MOST_ERRORS:
        job.errors = [*job.errors, *(problem._asdict() for problem in problems)][:MOST_ERRORS]
    return job.rows_done


def _sort_out(session: Session, project_id: int, drafts: list[Draft]) -> tuple[list[Draft], list[Draft], int]:
    """New items, those whose id belongs to another text, and the number of texts that the pool has already."""
    hashes = {draft.content_hash for draft in drafts}
    known = set(_hashes_by(session, project_id, Item.content_hash, hashes))
    owners = _owners(session, project_id, drafts)
    fresh, clashing, duplicates = list[Draft](), list[Draft](), 0
    for draft in drafts:
        if _is_taken(draft, owners):
            clashing.append(draft)
        elif draft.content_hash in known:
            duplicates += 1
        else:
            fresh.append(draft)
            known.add(draft.content_hash)
            owners[draft.external_id] = draft.content_hash
    return fresh, clashing, duplicates


def _insert(session: Session, job: Import, first_ordinal: int, drafts: list[Draft]) -> None:
    if not drafts:
        return
    rows: list[dict[str, Any]] = [
        {
            "project_id": job.project_id,
            "import_id": job.id,
            "ordinal": ordinal,
            "external_id": draft.external_id,
            "content_hash": draft.content_hash,
            "text": draft.text,
            # Left out rather than None, which a JSON column stores as the value null.
            **({} if draft.meta is None else {"meta": draft.meta}),
        }
        for ordinal, draft in enumerate(drafts, first_ordinal)
    ]
    session.execute(insert(Item.__table__), rows)  # type: ignore[arg-type]


def _finish(import_id: int, summary: dict[str, Any], session: Session) -> None:
    job = session.get_one(Import, import_id, with_for_update=True, populate_existing=True)
    if job.state != "running":
        return
    job.state, job.finished_at, job.summary = "done", utcnow(), summary
    counts = {"added": job.rows_added, "duplicate": job.rows_duplicate, "rejected": job.rows_rejected}
    audit.record(
        session,
        "import.finished",
        user_id=job.created_by_id,
        project_id=job.project_id,
        subject=job.filename,
        **counts,
    )
