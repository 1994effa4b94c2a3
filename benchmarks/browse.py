"""How long a page of the pool takes, by filter, against reading the same page by OFFSET, on both databases.

python -m benchmarks.browse --items 100000 --database sqlite --database postgres
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from sqlalchemy import select

from app.db.engine import Database
from app.db.tables import Item, Project
from app.services.pool.browse import Filters, browse
from benchmarks.bigpool import database, fill

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
