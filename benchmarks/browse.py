"""How long a page of the pool takes, by filter, against reading the same page by OFFSET, on both databases.

python -m benchmarks.browse --items 100000 --database sqlite --database postgres
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from app.db import migrate
from app.db.engine import Database
from app.db.tables import (
    ConsensusLabel,
    GuidelineVersion,
    Item,
    ModelVersion,
    Prediction,
    Project,
    Round,
    RoundItem,
)
from app.services.pool.browse import Filters, browse

_WORDS = np.array([f"word{i}" for i in range(20_000)])
_CASES = {
    "no filter": Filters(),
    "a label, least sure first": Filters(label=1),
    "all labels, most sure first": Filters(order="sure"),
    "a rare score": Filters(low=0.5, high=0.50001),
    "a common word (most items)": Filters(words="word0"),
    "a rare word": Filters(words="word19000"),
    "two common words": Filters(words="word0 word1"),
    "the beginning of words": Filters(words="word19*"),
    "a common word, a label": Filters(words="word0", label=1),
    "a round": Filters(round=1),
    "experts differ, a word": Filters(differs="experts", words="word0"),
}


@contextmanager
def database(kind: str, folder: str) -> Iterator[Database]:
    if kind == "sqlite":
        url = f"sqlite:///{folder}/browse.sqlite"
        migrate.upgrade(url)
        yield Database(url)
        return
    from tests.postgres import Server

    server = Server(Path(folder) / "pg", "benchmark")
    try:
        url = server.url(server.create())
        migrate.upgrade(url)
        yield Database(url)
    finally:
        server.close()


def fill(db: Database, n: int, rng: np.random.Generator) -> int:
    """A project of ``n`` items of some 30 words each, whose frequencies fall as Zipf's do, with one model version."""
    with db.write() as session:
        project = Project(slug="big", name="Big", labels=["no", "yes"], settings={}, item_count=n)
        session.add(project)
        session.flush()
        session.add(GuidelineVersion(project_id=project.id, version=1, text="", examples={}))
        version = ModelVersion(
            project_id=project.id, version=0, kind="prelabel", engine="linear", config={}, state="ready"
        )
        session.add(version)
        session.flush()
        project_id, version_id = project.id, version.id
    for start in range(0, n, 10_000):
        count = min(10_000, n - start)
        with db.write() as session:
            session.execute(insert(Item), list(_items(project_id, start, count, rng)))
            ids = session.scalars(select(Item.id).where(Item.ordinal >= start)).all()
            session.execute(insert(Prediction), _predictions(version_id, list(ids), rng))
    with db.write() as session:
        _choose(session, project_id, rng)
        session.execute(text("ANALYZE"))
    return project_id


def _items(project_id: int, start: int, count: int, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    places = np.minimum(rng.zipf(1.3, size=(count, 30)) - 1, len(_WORDS) - 1)
    for i, row in enumerate(places):
        number = start + i
        yield {
            "project_id": project_id,
            "ordinal": number,
            "content_hash": number.to_bytes(16, "big"),
            "text": " ".join(_WORDS[row]),
        }


def _predictions(version_id: int, ids: list[int], rng: np.random.Generator) -> list[dict[str, object]]:
    positive = rng.beta(0.5, 4, size=len(ids))
    return [
        {
            "model_version_id": version_id,
            "item_id": item_id,
            "label": int(p > 0.5),
            "score": float(max(p, 1 - p)),
            "scores": np.array([1 - p, p], "<f4").tobytes(),
        }
        for item_id, p in zip(ids, positive, strict=True)
    ]


def _choose(session: Session, project_id: int, rng: np.random.Generator) -> None:
    guideline = session.scalars(select(GuidelineVersion.id)).one()
    round_ = Round(project_id=project_id, number=1, state="done", settings={}, seed=0, guideline_version_id=guideline)
    session.add(round_)
    session.flush()
    size = session.scalar(select(func.max(Item.id))) or 0
    for position, item_id in enumerate(sorted(rng.choice(size, 500, replace=False) + 1)):
        common = {"round_id": round_.id, "item_id": int(item_id)}
        session.add(
            RoundItem(
                **common, reason="boundary", group_key=position, position=position, model_label=0, model_score=0.9
            )
        )
        source = "majority" if position % 3 == 0 else "unanimous"
        session.add(ConsensusLabel(**common, label=position % 2, source=source, votes=2))


def median(work: Callable[[], object], repeats: int) -> float:
    """Milliseconds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def measure(db: Database, project_id: int, n: int, repeats: int) -> None:
    deep_offset = n - 1000
    for name, filters in _CASES.items():
        with db.read() as session:
            project = session.get_one(Project, project_id)

            first = browse(session, project, filters)
            after = first.next or ""
            for _ in range(10 if after else 0):
                after = browse(session, project, filters, after=after).next or after
            soon, later = (
                median(partial(browse, session, project, filters, after=position), repeats) for position in ("", after)
            )
            print(f"  {name:30} first {soon:8.1f} ms, later {later:8.1f} ms  ({len(first.items)} items)")
    with db.read() as session:
        offset = select(Item).where(Item.project_id == project_id).order_by(Item.ordinal).offset(deep_offset).limit(50)
        slow = median(lambda: session.scalars(offset).all(), repeats)
        project = session.get_one(Project, project_id)
        last = str(session.scalar(select(Item.id).where(Item.ordinal == deep_offset, Item.project_id == project_id)))
        quick = median(lambda: browse(session, project, Filters(), after=last), repeats)
    print(f"  near the end: by keyset {quick:.1f} ms, by OFFSET {slow:.1f} ms ({slow / quick:.0f} times)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--database", action="append", choices=["sqlite", "postgres"])
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    for kind in arguments.database or ["sqlite"]:
        with tempfile.TemporaryDirectory() as folder, database(kind, folder) as db:
            began = time.perf_counter()
            project_id = fill(db, arguments.items, np.random.default_rng(0))
            print(f"{kind}, {arguments.items:,} items (filled in {time.perf_counter() - began:.0f} s)")
            measure(db, project_id, arguments.items, arguments.repeats)
            db.dispose()


if __name__ == "__main__":
    main()
