"""Labels that the admin has already (a crowd's, an older model's), matched to the pool by id or by text.

They are kept apart from everything that is learned or measured: no expert sees them, and no round is made of them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.engine import Database
from app.db.tables import Baseline, BaselineLabel, Item, Project
from app.errors import InvalidInput, NotFound
from app.ml.artifacts import ArtifactStore
from app.services import audit
from app.services.pool.readers import FileProblem, Record, open_reader
from app.services.pool.rows import Limits, content_hash
from app.services.pool.uploads import Preview, Upload, known_format

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_ERRORS = 100
UNFINISHED = ("queued", "running")
_CHUNK = 1000
_LABEL_NAMES = ("label", "labels", "class", "category", "target", "gold", "answer", "annotation", "verdict")


class BaselineMapping(NamedTuple):
    """``values`` says which label a value of the file stands for, where it is not the label's own name."""

    match: str  # "id" or "text"
    key: str
    label: str
    values: dict[str, str]


def parse_mapping(values: Mapping[str, Any], labels: Sequence[str]) -> BaselineMapping:
    """Raises InvalidInput with the field."""
    match, key, label = values.get("match"), values.get("key"), values.get("label")
    if match not in ("id", "text"):
        raise InvalidInput("Say whether rows are matched by id or by text.", field="match")
    if not isinstance(key, str) or not key:
        raise InvalidInput("Say which column holds the id or the text.", field="key")
    if not isinstance(label, str) or not label or label == key:
        raise InvalidInput("Say which column holds the label.", field="label")
    renamed = values.get("values") or {}
    if not isinstance(renamed, Mapping):
        raise InvalidInput("The values are an object: {value: label}.", field="values")
    for value, name in renamed.items():
        if name not in labels:
            raise InvalidInput(f"'{value}' stands for '{name}', which is no label of this project.", field="values")
    return BaselineMapping(match, key, label, {str(value).strip(): str(name) for value, name in renamed.items()})


def guess_mapping(preview: Preview, labels: Sequence[str]) -> dict[str, Any]:
    """From the first rows: the label column by its values or its name, and matching by id where there is one."""
    column = _label_column(preview, labels)
    found = preview.mapping
    rest = [name for name in preview.columns if name != column]
    text = found.text if found and found.text in rest else ""
    match = "id" if found and found.id and not text else "text"
    key = text or (found.id if found and found.id else rest[0] if rest else "")
    seen = sorted({str(row.get(column, "")).strip() for row in preview.rows} - {""})
    numbered = dict(enumerate(labels))
    renamed = {}
    if seen and all(value.isdecimal() and int(value) in numbered for value in seen):
        renamed = {str(place): label for place, label in numbered.items()}
    return {"match": match, "key": key, "label": column, "values": renamed}


class Match(NamedTuple):
    """Of the first rows, how many find an item of the pool by this column's text or id."""

    match: str
    key: str
    found: int


def best_match(session: Session, project_id: int, preview: Preview, *, label: str = "") -> Match | None:
    """The way by which most of the first rows find their item, tried on the pool itself; None if none finds any."""
    best: Match | None = None
    for column in preview.columns:
        for match in ("text", "id") if column != label else ():
            keys = {key for row in preview.rows if (key := _key(row.get(column), match))}
            where = Item.external_id if match == "id" else Item.content_hash
            found = session.scalar(
                select(func.count()).select_from(Item).where(Item.project_id == project_id, where.in_(keys))
            )
            if found and (best is None or found > best.found):
                best = Match(match, column, found)
    return best


def _label_column(preview: Preview, labels: Sequence[str]) -> str:
    names = {label.casefold() for label in labels}
    for column in preview.columns:
        values = {str(row.get(column, "")).strip().casefold() for row in preview.rows} - {""}
        if values and values <= names:
            return column
    lowered = {column.strip().lower(): column for column in reversed(preview.columns)}
    return next((lowered[name] for name in _LABEL_NAMES if name in lowered), "")


def register(session: Session, upload: Upload, mapping: Mapping[str, Any], *, user_id: int | None = None) -> Baseline:
    """Queue the file; a worker matches it. Raises InvalidInput."""
    project = session.get_one(Project, upload.project_id)
    job = Baseline(
        project_id=project.id,
        filename=upload.filename,
        format=upload.format,
        storage_key=upload.key,
        mapping=parse_mapping(mapping, project.labels)._asdict(),
        created_by_id=user_id,
    )
    session.add(job)
    session.flush()
    audit.record(session, "baseline.created", user_id=user_id, project_id=project.id, subject=job.filename)
    return job


def get_baseline(session: Session, project_id: int, baseline_id: int) -> Baseline:
    """Raises NotFound, also for another project's."""
    job = session.scalar(select(Baseline).where(Baseline.id == baseline_id, Baseline.project_id == project_id))
    if job is None:
        raise NotFound("There is no such baseline.")
    return job


def list_baselines(session: Session, project_id: int, *, limit: int = 20) -> Sequence[Baseline]:
    """The newest first."""
    every = select(Baseline).where(Baseline.project_id == project_id).order_by(Baseline.id.desc())
    return session.scalars(every.limit(limit)).all()


def current_baseline(session: Session, project_id: int) -> Baseline | None:
    """The newest that is done and found an item: the one that figures are compared with."""
    done = select(Baseline).where(
        Baseline.project_id == project_id, Baseline.state == "done", Baseline.items_labelled > 0
    )
    return session.scalar(done.order_by(Baseline.id.desc()).limit(1))


def labels_of(session: Session, baseline_id: int, item_ids: Sequence[int]) -> dict[int, int]:
    """The baseline's label by item, for those of ``item_ids`` that have one."""
    found: dict[int, int] = {}
    for start in range(0, len(item_ids), _CHUNK):
        chunk = item_ids[start : start + _CHUNK]
        rows = select(BaselineLabel.item_id, BaselineLabel.label).where(
            BaselineLabel.baseline_id == baseline_id, BaselineLabel.item_id.in_(chunk)
        )
        found |= {row[0]: row[1] for row in session.execute(rows)}
    return found


def pending(session: Session) -> list[int]:
    """Those that a worker is to match, the oldest first."""
    rows = select(Baseline.id).join(Project, Project.id == Baseline.project_id)
    return list(
        session.scalars(rows.where(Baseline.state.in_(UNFINISHED), Project.deleted_at.is_(None)).order_by(Baseline.id))
    )


def fail(session: Session, baseline_id: int, message: str) -> bool:
    """False if it has ended otherwise."""
    job = session.get_one(Baseline, baseline_id, with_for_update=True, populate_existing=True)
    if job.state not in UNFINISHED:
        return False
    job.state, job.finished_at = "failed", utcnow()
    job.errors = [*job.errors, {"row": None, "field": None, "message": message}][-MOST_ERRORS:]
    return True


# --- matching ------------------------------------------------------------------------------------------------------


def run(db: Database, store: ArtifactStore, baseline_id: int) -> None:
    """Match the file's rows and store each item's label; done twice, it leaves the same. A file that can't be read
    ends in the state ``failed``. Raises NotFound."""
    job, labels, items = db.run_write(partial(_begin, baseline_id))
    if job.state not in UNFINISHED:
        return
    tally = _Tally(db, job, labels, items)
    try:
        with store.open_read(job.storage_key) as stream, open_reader(stream, known_format(job.format)) as reader:
            tally.check_columns(reader.columns)
            records = reader.records([tally.mapping.key, tally.mapping.label])
            while tally.add(islice(records, _CHUNK)):
                pass
    except (FileProblem, NotFound) as problem:
        db.run_write(partial(fail, baseline_id=baseline_id, message=problem.message))
        return
    for rows in tally.winners():
        db.run_write(partial(_store, rows=rows))
    db.run_write(partial(_finish, baseline_id, tally))


def _begin(baseline_id: int, session: Session) -> tuple[Baseline, list[str], int]:
    job = session.get(Baseline, baseline_id, with_for_update=True)
    if job is None:
        raise NotFound("There is no such baseline.")
    project = session.get_one(Project, job.project_id)
    if job.state in UNFINISHED:
        job.state = "running"
        session.execute(delete(BaselineLabel).where(BaselineLabel.baseline_id == baseline_id))
    session.flush()
    session.expunge(job)
    return job, list(project.labels), project.item_count


class _Tally:
    """Counts rows, and votes by item: a label may come once an item or once a worker of the crowd."""

    def __init__(self, db: Database, job: Baseline, labels: list[str], items: int) -> None:
        import numpy as np

        self._db, self._job, self._labels = db, job, labels
        self.mapping = parse_mapping(job.mapping, labels)
        self._places = {label.casefold(): place for place, label in enumerate(labels)}
        self._renamed = {value: labels.index(label) for value, label in self.mapping.values.items()}
        self._votes: NDArray[Any] = np.zeros((items, len(labels)), dtype=np.uint32)
        self.rows = Counter[str]()
        self.counts: dict[str, int] = {}
        self.items, self.tied = 0, 0
        self.errors: list[dict[str, Any]] = []

    def check_columns(self, columns: Sequence[str]) -> None:
        for field in ("key", "label"):
            name = getattr(self.mapping, field)
            if name not in columns:
                have = ", ".join(f"'{column}'" for column in columns[:20])
                raise FileProblem(f"The file has no column '{name}'. Its columns: {have}.", field=field)

    def add(self, records: Iterable[Record]) -> int:
        """How many there were. Each is read as it comes: together they may not fit into memory."""
        count, usable = 0, list[tuple[int, Any, int]]()
        for count, record in enumerate(records, 1):  # noqa: B007 - what it ends with is wanted
            if (found := self._read(record)) is not None:
                usable.append(found)
        places = self._ordinals([key for _, key, _ in usable])
        for row, key, label in usable:
            ordinal = places.get(key)
            if ordinal is None:
                what = "id" if self.mapping.match == "id" else "text"
                self._note("unmatched", row, self.mapping.key, f"No item of the pool has this {what}.")
            else:
                self.rows["matched"] += 1
                self._votes[ordinal, label] += 1
        self.rows["total"] += count
        return count

    def _note(self, kind: str, row: int, field: str | None, message: str) -> None:
        self.rows[kind] += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append({"row": row, "field": field, "message": message})

    def _read(self, record: Record) -> tuple[int, Any, int] | None:
        if record.problem is not None:
            self._note("rejected", record.row, None, record.problem)
            return None
        given, value = record.values[0], record.values[1]
        label = self._label(value)
        if label is None:
            known = ", ".join(f"'{name}'" for name in self._labels)
            said = "There is no label." if value in (None, "") else f"'{str(value)[:60]}' is none of {known}."
            self._note("rejected", record.row, self.mapping.label, said)
            return None
        key = _key(given, self.mapping.match)
        if key is None:
            self._note("rejected", record.row, self.mapping.key, f"The {self.mapping.match} is missing or not valid.")
            return None
        return record.row, key, label

    def _label(self, value: Any) -> int | None:
        text = str(value).strip() if value is not None else ""
        found = self._renamed.get(text)
        return self._places.get(text.casefold()) if found is None else found

    def _ordinals(self, keys: list[Any]) -> dict[Any, int]:
        column = Item.external_id if self.mapping.match == "id" else Item.content_hash
        wanted = select(column, Item.ordinal).where(
            Item.project_id == self._job.project_id, column.in_(set(keys)), Item.ordinal < len(self._votes)
        )
        with self._db.read() as session:
            return {row[0]: row[1] for row in session.execute(wanted)}

    def winners(self) -> Iterator[list[dict[str, Any]]]:
        """Rows to store, in chunks; items whose rows have no majority label are counted as tied."""
        import numpy as np

        labelled = np.flatnonzero(self._votes.sum(axis=1))
        counts = Counter[int]()
        for start in range(0, len(labelled), _CHUNK):
            ordinals = labelled[start : start + _CHUNK]
            ids = self._ids([int(ordinal) for ordinal in ordinals])
            rows = []
            for ordinal in ordinals:
                votes = self._votes[ordinal]
                if (votes == votes.max()).sum() > 1:
                    self.tied += 1
                    continue
                label = int(votes.argmax())
                counts[label] += 1
                item_id = ids[int(ordinal)]
                rows.append(
                    {
                        "baseline_id": self._job.id,
                        "item_id": item_id,
                        "label": label,
                        "votes": int(votes[label]),
                        "votes_total": int(votes.sum()),
                    }
                )
            yield rows
        self.items = counts.total()
        self.counts = {name: counts[place] for place, name in enumerate(self._labels)}

    def _ids(self, ordinals: list[int]) -> dict[int, int]:
        wanted = select(Item.ordinal, Item.id).where(
            Item.project_id == self._job.project_id, Item.ordinal.in_(ordinals)
        )
        with self._db.read() as session:
            return {row[0]: row[1] for row in session.execute(wanted)}


def _key(value: Any, match: str) -> Any:
    if isinstance(value, bool) or value is None:
        return None
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    if not text.strip() or "\0" in text:
        return None
    # One character more than an id can have is enough to find none.
    return text.strip()[: Limits().external_id + 1] if match == "id" else content_hash(text)


def _store(session: Session, rows: list[dict[str, Any]]) -> None:
    if rows:
        session.execute(insert(BaselineLabel.__table__), rows)  # type: ignore[arg-type]


def _finish(baseline_id: int, tally: _Tally, session: Session) -> None:
    job = session.get_one(Baseline, baseline_id, with_for_update=True, populate_existing=True)
    job.state, job.finished_at = "done", utcnow()
    job.rows_total, job.rows_matched = tally.rows["total"], tally.rows["matched"]
    job.rows_unmatched, job.rows_rejected = tally.rows["unmatched"], tally.rows["rejected"]
    job.items_labelled, job.items_tied = tally.items, tally.tied
    job.counts, job.errors = tally.counts, tally.errors
    found = {"matched": job.rows_matched, "unmatched": job.rows_unmatched, "rejected": job.rows_rejected}
    audit.record(
        session,
        "baseline.finished",
        user_id=job.created_by_id,
        project_id=job.project_id,
        subject=job.filename,
        **found,
    )
