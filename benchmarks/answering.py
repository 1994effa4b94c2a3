"""Submit-and-next over HTTP: median, p99 and answers per second, with 1 and with many experts.

    python -m benchmarks.answering [--items 2000] [--experts 1 32] [--seconds 8] [--postgres] [--train]

Starts a real web process on loopback with a scratch database and drives it over keep-alive connections, an expert
each, from a process of its own. ``--train`` runs an endless encoder fine-tune beside it, as niced as the worker is.
The client shares the machine's cores with the server. For scale: with one annotator, Label Studio 1.23 took 196 ms
for the same two steps and Potato 72 ms on a machine of this kind (measured once, 20,000 tasks).
"""

import argparse
import asyncio
import json
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.db.tables import Assignment, Base, GuidelineVersion, Item, Membership, Project, Round, RoundItem, User
from app.services import accounts

ROUND_ITEMS = 2_000  # a large round: the default is 100
OVERLAP = 2
_STATE = re.compile(rb'id="desk-state">(.*?)</script>')


def prepare(db: Database, items: int, experts: int) -> list[str]:
    """A project with ``items`` texts and an open review of chosen items, each for two experts."""
    Base.metadata.create_all(db.engine)
    with db.write() as session:
        project = Project(slug="bench", name="Bench", labels=["no", "yes"], settings={}, item_count=items)
        session.add(project)
        session.flush()
        guideline = GuidelineVersion(project_id=project.id, version=1, text="Judge the text.", examples={})
        session.add(guideline)
        session.flush()
        for start in range(0, items, 10_000):
            session.execute(insert(Item), [_item(project.id, n) for n in range(start, min(start + 10_000, items))])
        chosen = session.scalars(select(Item.id).order_by(Item.id).limit(ROUND_ITEMS)).all()
        round_ = Round(
            project_id=project.id, number=1, state="review", settings={}, seed=0, guideline_version_id=guideline.id
        )
        session.add(round_)
        session.flush()
        session.execute(insert(RoundItem), [_round_item(round_.id, i, n) for n, i in enumerate(chosen)])
        slots = [
            {"round_id": round_.id, "item_id": i, "slot": slot, "position": n}
            for n, i in enumerate(chosen)
            for slot in range(OVERLAP)
        ]
        for start in range(0, len(slots), 20_000):
            session.execute(insert(Assignment), slots[start : start + 20_000])
        return [_expert(session, project.id, number) for number in range(experts)]


def _item(project_id: int, n: int) -> dict[str, object]:
    text = f"A short text about thing number {n}, as long as such texts usually are."
    return {"project_id": project_id, "ordinal": n, "content_hash": n.to_bytes(16, "big"), "text": text}


def _round_item(round_id: int, item_id: int, position: int) -> dict[str, object]:
    return {
        "round_id": round_id,
        "item_id": item_id,
        "reason": "boundary",
        "reason_detail": {},
        "group_key": position,
        "position": position,
        "model_label": 0,
        "model_score": 0.5,
    }


def _expert(session: Session, project_id: int, number: int) -> str:
    user = User(email=f"expert{number}@example.org", name=f"Expert {number}")
    session.add(user)
    session.flush()
    session.add(Membership(user_id=user.id, project_id=project_id, role="expert"))
    return accounts.start_session(session, user.id, days=1)


class Browser:
    """One expert's keep-alive connection."""

    def __init__(self, port: int, cookie: str) -> None:
        self.port, self.cookie, self.times = port, cookie, []

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        state = json.loads(_STATE.search(await self._send("GET", "", b""))[1])
        self.csrf, self.tasks = state["csrf"], state["desk"]["tasks"]

    async def answer(self) -> bool:
        """As the page does it: one request that stores the answer and brings what comes next."""
        if not self.tasks:
            return False
        have = [task["assignment"] for task in self.tasks[1:]]
        entry = {"kind": "answer", "key": secrets.token_hex(16), "assignment": self.tasks[0]["assignment"]}
        body = json.dumps(entry | {"label": 1, "seconds": 1.5, "have": have}).encode()
        start = time.perf_counter()
        desk = json.loads(await self._send("POST", "/noted", body))
        self.times.append(time.perf_counter() - start)
        assert desk["done"]["kind"] == "saved", desk
        self.tasks = desk["tasks"]
        return True

    async def _send(self, method: str, path: str, body: bytes) -> bytes:
        token = f"X-CSRF-Token: {self.csrf}\r\n" if body else ""
        head = (
            f"{method} /p/bench/label{path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nCookie: linecall={self.cookie}"
            f"\r\n{token}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", answer.lower())[1])
        content = await self.reader.readexactly(length)
        assert answer.startswith(b"HTTP/1.1 200"), answer + content[:2000]
        return content


async def drive(port: int, cookies: list[str], seconds: float) -> tuple[list[float], float]:
    """Seconds per answer, sorted, and the seconds that all of them took: less than asked for if the round ran out."""
    browsers = [Browser(port, cookie) for cookie in cookies]
    for browser in browsers:
        await browser.open()
        await browser.answer()
        browser.times.clear()
    begin = time.perf_counter()
    end = begin + seconds

    async def work(browser: Browser) -> None:
        while time.perf_counter() < end and await browser.answer():
            pass

    await asyncio.gather(*(work(browser) for browser in browsers))
    return sorted(second for browser in browsers for second in browser.times), time.perf_counter() - begin


@contextmanager
def web(url: str, folder: Path) -> Iterator[tuple[int, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"LINECALL_DATABASE_URL": url, "LINECALL_DATA_DIR": str(folder)}
    command = [sys.executable, "-m", "uvicorn", "--factory", "app.web.main:create_app", "--port", str(port)]
    process = subprocess.Popen([*command, "--log-level", "warning"], env=environment)
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def training(wanted: bool) -> Iterator[None]:
    """What a worker does while it trains: a fine-tune that never ends, at the worker's priority and threads."""
    if not wanted:
        yield
        return
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.endless_training"])
    time.sleep(8)  # until it has loaded its model and is in the middle of training
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def database_url(postgres: bool, folder: Path) -> Iterator[str]:
    if not postgres:
        yield f"sqlite:///{folder / 'bench.sqlite'}"
        return
    from tests import postgres as server_module

    server = server_module.Server(server_module.make_folder(), owner="bench")
    try:
        yield server.url(server.create())
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[2_000])
    parser.add_argument("--experts", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--train", action="store_true")
    options = parser.parse_args()
    for items in options.items:
        for experts in options.experts:
            with tempfile.TemporaryDirectory() as name, database_url(options.postgres, Path(name)) as url:
                db = Database(url)
                cookies = prepare(db, items, experts)
                db.dispose()
                with web(url, Path(name)) as (port, pid), training(options.train):
                    before = cpu_seconds(pid)
                    times, took = asyncio.run(drive(port, cookies, options.seconds))
                    cpu = (cpu_seconds(pid) - before) / len(times) * 1e3
            median, p99 = statistics.median(times) * 1e3, times[int(len(times) * 0.99)] * 1e3
            print(
                f"{'postgres' if options.postgres else 'sqlite'} items={items} experts={experts} "
                f"{'training ' if options.train else ''}answers={len(times)} median={median:.1f} ms p99={p99:.1f} ms "
                f"{len(times) / took:.0f} answers/s, {cpu:.1f} ms of server CPU each; "
                f"Label Studio's 196 ms is {196 / median:.1f} times the median, Potato's 72 ms {72 / median:.1f} times"
            )


if __name__ == "__main__":
    main()
