"""The pages and exports of one large project: browsing, the alignment page, the report, and export as each format.

    python -m benchmarks.pages --items 1000000 --database sqlite --database postgres

Pages are whole requests of a signed-in admin to the application, without a network; beside each stands the same
request to the guideline's page, which reads nothing of the pool. An export runs in a process of its own: rows a
second, and by how much its peak of resident memory grew after the first block; beside it stands the time that reading
the items' texts alone takes by the same session.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.base import utcnow
from app.db.engine import Database
from app.db.tables import Item, Project, User
from app.services import accounts, exports
from app.services.zips import zip_blocks
from app.web.main import create_app
from benchmarks import browse
from benchmarks.bigpool import database, fill

PAGES = (
    "guideline",
    "alignment",
    "report",
    "report/file.html",
    "pool",
    "pool/items",
    "pool/items?q=word0",
    "rounds",
)


def pages(db: Database, folder: str, repeats: int) -> None:
    with db.write() as session:
        admin = session.scalars(select(User.id).where(User.name == "Root")).one()
        cookie = accounts.start_session(session, admin, days=1)
    settings = Settings(data_dir=Path(folder), base_url="http://testserver")
    with TestClient(create_app(settings, db)) as client:
        client.cookies.set("linecall", cookie)
        baseline = None
        for page in PAGES:
            assert client.get(f"/p/big/{page}").status_code == 200
            took = browse.median(lambda page=page: client.get(f"/p/big/{page}"), repeats)
            baseline = baseline or took
            print(f"  page {page:26} {took:8.1f} ms  ({took / baseline:.1f} times the guideline's)", flush=True)


def export(db: Database, url: str, n: int) -> None:
    with db.read() as session:
        reading = _reading(session)
    print(f"  reading the texts alone: {n / reading:,.0f} rows/s", flush=True)
    for format_ in KINDS:
        command = [sys.executable, "-m", "benchmarks.pages", "--child", url, format_]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        size, seconds, grown, peak = map(float, out.split())
        print(
            f"  export {format_:9} {n / seconds:9,.0f} rows/s ({seconds / reading:.1f} times the reading), "
            f"{size / 1e6:,.0f} MB, grew by {grown / 1024:.0f} MB to {peak / 1024:.0f} MB",
            flush=True,
        )


def _reading(session: Session) -> float:
    began, last = time.perf_counter(), -1
    while rows := session.execute(
        select(Item.ordinal, Item.text).where(Item.ordinal > last).order_by(Item.ordinal).limit(1000)
    ).all():
        last = rows[-1].ordinal
    return time.perf_counter() - began


def peak() -> int:
    """Of this process's resident memory, in kB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def child(url: str, format_: str) -> None:
    with Database(url).read() as session:
        project = session.scalars(select(Project)).one()
        began = time.perf_counter()
        blocks = _blocks(session, project, format_)
        size = len(next(blocks))
        before = peak()
        size += sum(map(len, blocks))
        print(size, time.perf_counter() - began, peak() - before, peak())


def _blocks(session: Session, project: Project, format_: str) -> Iterator[bytes]:
    if format_ != exports.DATASET:
        return exports.export(session, project, format_)
    return zip_blocks(exports.export_dataset(session, project, "# Big"), "big", utcnow())


KINDS = (*exports.FORMATS, exports.DATASET)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--database", action="append", choices=["sqlite", "postgres"])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    for kind in arguments.database or ["sqlite"]:
        with tempfile.TemporaryDirectory() as folder, database(kind, folder) as db:
            began = time.perf_counter()
            project_id = fill(db, arguments.items, np.random.default_rng(0))
            print(f"{kind}, {arguments.items:,} items (filled in {time.perf_counter() - began:.0f} s)", flush=True)
            pages(db, folder, arguments.repeats)
            browse.measure(db, project_id, arguments.items, arguments.repeats)
            export(db, db.engine.url.render_as_string(hide_password=False), arguments.items)
            db.dispose()


if __name__ == "__main__":
    main()
