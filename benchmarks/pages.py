"""The pages and exports of one large project: browsing, alignment, the map, the report, and export as each format.

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
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.curation import projection as maps2d
from app.db.base import utcnow
from app.db.engine import Database
from app.db.tables import BoundaryMap, Item, ModelVersion, Project, Round, RoundItem, User
from app.services import accounts, exports, maps
from app.services.map_layers import build_layer
from app.services.zips import zip_blocks
from app.web.main import create_app
from benchmarks import browse
from benchmarks.bigpool import database, filled

PAGES = (
    "guideline",
    "alignment",
    "report",
    "report/file.html",
    "pool",
    "pool/items",
    "pool/items?q=word0",
    "rounds",
    "map",
    "map/6/before.json",
    "map/6/before.svg",
)


def draw_map(db: Database, project_id: int, n: int, rng: np.random.Generator) -> float:
    """A map of the last round from places drawn at random, as a worker keeps it; the seconds that the layer took."""
    places = maps2d.quantise(np.clip(rng.normal(0.5, 0.15, (n, 2)), 0, 1).astype(np.float32))
    labels = rng.choice(np.array([0, 1], dtype=np.int16), n, p=[0.95, 0.05])
    regions: list[maps.Region] = [
        {"x": x, "y": 30_000, "words": ["word", "other"]} for x in range(5_000, 60_000, 5_000)
    ]
    facts = {"landmarks": 2048, "pool": n, "neighbours": 10, "kept": 0.2, "chance": 10 / n, "checked": 1000}
    with db.write() as session:
        round_ = session.scalars(select(Round).order_by(Round.number.desc())).first()
        assert round_
        round_.review_opened_at = utcnow()
        began = time.perf_counter()
        layer = build_layer(session, project_id, places, labels, 2, regions)
        took = time.perf_counter() - began
        chosen = session.execute(
            select(Item.id, Item.ordinal).join(RoundItem).where(RoundItem.round_id == round_.id)
        ).all()
        layer["chosen"] = [[id_, *map(int, places[at]), int(labels[at])] for id_, at in chosen]
        kept = maps.keep_projection(session, project_id, "benchmark", "maps/benchmark", {**facts, "regions": regions})
        version = session.scalars(select(ModelVersion.id).order_by(ModelVersion.id)).first()
        assert version
        maps.keep_layer(session, maps.Wanted(round_.id, "before", 1), kept, version, layer)
    return took


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
            size = len(client.get(f"/p/big/{page}").content) / 1000
            told = f"({took / baseline:.1f} times the guideline's), {size:,.0f} kB before compression"
            print(f"  page {page:26} {took:8.1f} ms  {told}", flush=True)


def export(db: Database, url: str, n: int, kinds: Sequence[str]) -> None:
    with db.read() as session:
        reading = _reading(session)
    print(f"  reading the texts alone: {n / reading:,.0f} rows/s", flush=True)
    for format_ in kinds:
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


def measure(db: Database, folder: str, arguments: argparse.Namespace) -> None:
    began = time.perf_counter()
    project_id = filled(db, arguments.items)
    print(f"{db.engine.dialect.name}, {arguments.items:,} items ({time.perf_counter() - began:.0f} s)", flush=True)
    if "pages" in arguments.part:
        if not _has_map(db):
            took = draw_map(db, project_id, arguments.items, np.random.default_rng(1))
            print(f"  a map's layer from places and labels: {took:.2f} s", flush=True)
        pages(db, folder, arguments.repeats)
    if "browse" in arguments.part:
        browse.measure(db, project_id, arguments.items, arguments.repeats)
    if kinds := [kind for kind in KINDS if kind in arguments.part]:
        export(db, db.engine.url.render_as_string(hide_password=False), arguments.items, kinds)


def _has_map(db: Database) -> bool:
    with db.read() as session:
        return session.scalar(select(BoundaryMap.id).where(BoundaryMap.state == "done").limit(1)) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ["pages", "browse", *KINDS]
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--database", action="append", choices=["sqlite", "postgres"])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--part", action="append", choices=parts, help="only this, may be given again; default: all")
    parser.add_argument("--keep", metavar="FOLDER", help="make the pool here, and use what is there the next time")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    arguments.part = arguments.part or parts
    if arguments.keep:
        Path(arguments.keep).mkdir(parents=True, exist_ok=True)
    for kind in arguments.database or ["sqlite"]:
        place = nullcontext(arguments.keep) if arguments.keep else tempfile.TemporaryDirectory()
        with place as folder, database(kind, folder) as db:
            measure(db, folder, arguments)
            db.dispose()


if __name__ == "__main__":
    main()
