"""Workers that are killed with -9 at every boundary of a round, and inside its long stages."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db.engine import Database
from app.db.tables import BoundaryMap, MapProjection, Worker
from tests.workflows.loop import answer_all, make_loop, outcome, round_of, stages_of, start, wait_for

ROOT = Path(__file__).parents[2]
PREPARING = [
    r"plan_embedding\(.*",
    r"embed_shard\(1, 8, .*",
    r"finish_embedding\(.*",
    r"plan_labelling\(1, 'prelabel', .*",
    r"label_shard\(1, 'prelabel', \d+, 8, .*",
    r"finish_labelling\(1, 'prelabel', .*",
    r"mine\(.*",
]
CONCLUDING = [
    r"decide\(.*",
    r"train\(.*",
    r"plan_labelling\(1, 'predict', .*",
    r"label_shard\(1, 'predict', \d+, 8, .*",
    r"finish_labelling\(1, 'predict', .*",
    r"label_scored_items\(.*",
    r"evaluate\(.*",
]
BOUNDARIES = [[step, when, "kill"] for step in [*PREPARING, *CONCLUDING] for when in ("after", "recorded")]
INSIDE = [
    ["app.ml.embedding_store:write_shard", "after", "kill"],  # a shard is stored, and nobody knows
    ["app.workflows.pool_steps:_remember", "after", "kill"],  # in the middle of a batch of answers that cost money
    ["app.services.predictions:store_predictions", "after", "kill"],  # in the middle of a transaction
    ["app.services.selection:_store_pairs", "after", "kill"],  # some of a review's rows are written
    ["app.services.decisions:assign_splits", "after", "kill"],
    ["app.workflows.training:_engine_config", "after", "kill"],
    ["app.ml.classifiers.linear:fit_head", "after", "kill"],  # inside the fitting
    ["app.workflows.training:_record", "before", "kill"],  # the model is saved, and nobody knows
    ["app.services.evaluation:store", "after", "kill"],
]
MAP_STEPS = ("place_items(", "draw_layer(")
DRAWING = [
    ["app.ml.map_store:save_projection", "after", "kill"],  # the arrays are stored, and nobody knows
    ["app.services.maps:keep_projection", "after", "kill"],  # in the middle of a transaction
    ["app.ml.map_store:save_places", "after", "kill"],
    [r"place_items\(.*", "recorded", "kill"],
    ["app.services.maps:keep_layer", "after", "kill"],
    [r"draw_layer\(1, 'before', .*", "after", "kill"],
    [r"draw_layer\(1, 'before', .*", "recorded", "kill"],
    [r"draw_layer\(1, 'after', .*", "after", "kill"],
]


@dataclass
class Nursery:
    process: subprocess.Popen
    cache: Path  # the one whose encoder the nursery holds

    def ask(self, **orders: object) -> dict:
        self.process.stdin.write(json.dumps(orders) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the nursery has ended"
        return json.loads(line)


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    cache = tmp_path_factory.mktemp("cache")
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("nursery.py")), str(cache)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    ready = process.stdout.readline()
    assert ready, "the nursery did not start"
    yield Nursery(process, cache)
    process.stdin.close()
    process.wait(timeout=60)


@dataclass
class House:
    """A place where workers live one after another, or side by side."""

    nursery: Nursery
    db: Database
    folder: Path
    points: list = field(default_factory=list)
    pids: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "markers").mkdir(parents=True, exist_ok=True)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def bear(self, *, points: list | None = None, name: str = "data", **settings: object) -> int:
        """A new worker's process number."""
        pid = self.nursery.ask(
            log=str(self.log),
            markers=str(self.folder / "markers"),
            points=self.points if points is None else points,
            settings={
                "data_dir": str(self.folder / name),
                "artifacts_url": f"file://{self.folder / 'artifacts'}",
                "cache_dir": str(self.nursery.cache),
                "database_url": self.db.engine.url.render_as_string(hide_password=False),
                "worker_poll_seconds": 0.05,
                "worker_threads": 1,
                **settings,
            },
        )["pid"]
        self.pids.append(pid)
        return pid

    def died_of(self, pid: int) -> int:
        """0, or the signal's number below zero. Waits for the end."""
        self.pids.remove(pid)
        return self.nursery.ask(wait=pid)["code"]

    def end(self, pid: int, number: int = signal.SIGTERM) -> int:
        os.kill(pid, number)
        return self.died_of(pid)

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def markers(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "markers").iterdir())

    def acted(self) -> int:
        return len(self.markers())

    def wait_for_line(self, pattern: str, seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while not any(re.fullmatch(pattern, line) for line in self.lines()):
            assert time.monotonic() < until, f"no line {pattern} in {self.lines()}\n{self.errors()}"
            time.sleep(0.02)

    def errors(self) -> str:
        path = self.log.with_suffix(".err")
        return path.read_text()[-5000:] if path.exists() else ""

    def starts(self) -> Counter:
        """How often each step of the round was begun. The map is drawn beside the round: its steps are cut anywhere."""
        begun = (line.removeprefix("start ") for line in self.lines() if line.startswith("start "))
        return Counter(step for step in begun if not step.startswith(MAP_STEPS))

    def interrupted(self) -> Counter:
        """How often a worker ended inside each step, before the step was in the book."""
        cut = [line.split(" ", 1)[1] for line in self.lines() if line.split(" ", 1)[0] in ("kill", "wait", "stop")]
        return Counter(step for step in cut if step != "-")


@pytest.fixture
def house(nursery, db, tmp_path):
    house = House(nursery, db, tmp_path / "house")
    yield house
    for pid in list(house.pids):
        house.end(pid, signal.SIGKILL)


def is_dead(pid: int) -> bool:
    """Whether the process has ended (the nursery has not yet asked for its code)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def live_through(house: House, round_id: int) -> int:
    """Bear a new worker each time the last one has killed itself, and answer when asked; how many died before the
    round was done and every point had acted. Deaths are counted, not markers: a worker leaves its marker first and is
    killed a moment later."""
    deaths, until = 0, time.monotonic() + 60  # of one life; how many there are is the test's matter, not the machine's
    pid = house.bear()
    while (state := round_of(house.db, round_id).state) != "done" or deaths < len(house.points) or is_dead(pid):
        assert state not in ("failed", "cancelled"), (round_of(house.db, round_id).error, house.errors())
        assert time.monotonic() < until, f"{deaths} deaths, {house.markers()}, still {state}\n{house.errors()}"
        if is_dead(pid):
            assert house.died_of(pid) == -signal.SIGKILL, house.errors()
            deaths += 1
            pid, until = house.bear(), time.monotonic() + 60
        if state == "review":
            answer_all(house.db, round_id)
        time.sleep(0.02)
    assert house.end(pid) == 0, house.errors()
    return deaths


def layers(db: Database, round_id: int) -> dict[str, bytes | None]:
    with db.read() as session:
        rows = session.scalars(select(BoundaryMap).where(BoundaryMap.round_id == round_id, BoundaryMap.state == "done"))
        return {row.side: row.layer for row in rows}


def wait_for_layers(house: House, round_id: int) -> dict[str, bytes | None]:
    """Both sides of the map, through any number of workers' lives."""
    deaths, pid, until = 0, house.bear(), time.monotonic() + 120
    while len(found := layers(house.db, round_id)) < 2 or deaths < len(house.points) or is_dead(pid):
        assert time.monotonic() < until, f"{deaths} deaths, {house.markers()}\n{house.errors()}"
        if is_dead(pid):
            assert house.died_of(pid) == -signal.SIGKILL, house.errors()
            deaths += 1
            pid = house.bear()
        if round_of(house.db, round_id).state == "review":
            answer_all(house.db, round_id)
        time.sleep(0.02)
    assert house.end(pid) == 0, house.errors()
    return found


@dataclass(frozen=True)
class Undisturbed:
    """What a round leaves that nothing has happened to."""

    left: dict
    layers: dict[str, bytes | None]


@pytest.fixture(scope="module")
def undisturbed(nursery, tmp_path_factory, _sqlite_template):
    """On SQLite only: what is left must not depend on the database either."""
    folder = tmp_path_factory.mktemp("undisturbed")
    path = folder / "undisturbed.sqlite"
    shutil.copyfile(_sqlite_template, path)
    quiet = House(nursery, Database(f"sqlite:///{path}"), folder / "house")
    project_id = make_loop(quiet.db)
    round_id = start(quiet.db, project_id)
    live_through(quiet, round_id)
    found = wait_for_layers(quiet, round_id)  # the map is drawn beside the round, and may be later than its end
    left = outcome(quiet.db, project_id)
    quiet.db.dispose()
    return Undisturbed(left, found)


@pytest.mark.slow
@pytest.mark.parametrize("points", [BOUNDARIES, INSIDE], ids=["at every boundary", "inside the steps"])
def test_a_round_whose_worker_is_killed_again_and_again_ends_as_an_undisturbed_one(house, undisturbed, points):
    house.points = points
    project_id = make_loop(house.db)
    round_id = start(house.db, project_id)
    assert live_through(house, round_id) == len(points)
    assert house.acted() == len(points)
    left = outcome(house.db, project_id)
    for part, rows in undisturbed.left.items():
        assert left[part] == rows, part
    for step, times in house.starts().items():
        assert times == 1 + house.interrupted()[step], f"{step} was begun {times} times: {house.lines()}"


@pytest.mark.slow
def test_a_map_whose_worker_is_killed_again_and_again_is_the_one_of_an_undisturbed_round(house, undisturbed):
    house.points = DRAWING
    round_id = start(house.db, make_loop(house.db))
    assert wait_for_layers(house, round_id) == undisturbed.layers
    with house.db.read() as session:
        assert len(session.scalars(select(MapProjection)).all()) == 1


@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_in_a_stage_leaves_it_to_the_next_one(house):
    house.points = [
        ["app.workflows.pool_steps:_remember", "after", "stop"],
        ["app.ml.classifiers.linear:fit_head", "before", "stop"],
    ]
    project_id = make_loop(house.db)
    round_id = start(house.db, project_id)
    assert house.died_of(house.bear()) == 0, house.errors()
    assert round_of(house.db, round_id).state == "preparing"
    second = house.bear()
    wait_for(house.db, round_id, "review")
    answer_all(house.db, round_id)
    assert house.died_of(second) == 0, house.errors()
    assert round_of(house.db, round_id).state == "concluding"
    third = house.bear()
    wait_for(house.db, round_id, "done")
    assert house.end(third) == 0, house.errors()
    assert {run.attempt for run in stages_of(house.db, round_id)} == {1}
    assert set(house.interrupted().values()) == {1}
    for step, times in house.starts().items():
        assert times == 1 + house.interrupted()[step], step


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    "point",
    [["label_shard\\(1, 'prelabel', .*", "after", "wait"], ["app.ml.classifiers.linear:fit_head", "before", "wait"]],
    ids=["as it labels", "as it trains"],
)
def test_of_two_workers_one_takes_over_when_the_other_falls_silent_and_not_before(house, point):
    """As on two machines: neither sees the other's lock, so that only the heartbeat tells."""
    brief = {"worker_heartbeat_seconds": 0.2, "worker_dead_after_seconds": 2.0}
    project_id = make_loop(house.db)
    round_id = start(house.db, project_id)
    first = house.bear(points=[point], name="one", **brief)
    if point[0].startswith("app"):
        wait_for(house.db, round_id, "review")
        answer_all(house.db, round_id)
    house.wait_for_line("wait .*")
    begun = len(house.starts())
    second = house.bear(points=[], name="two", **brief)
    assert heartbeats(house.db, at_least=2, seconds=3.0), house.errors()
    assert len(house.starts()) == begun, "a living worker's round was taken from it"
    house.end(first, signal.SIGKILL)
    if not point[0].startswith("app"):
        wait_for(house.db, round_id, "review")
        answer_all(house.db, round_id)
    wait_for(house.db, round_id, "done")
    assert house.end(second) == 0, house.errors()
    for step, times in house.starts().items():
        assert times == 1 + house.interrupted()[step], step
    assert {run.attempt for run in stages_of(house.db, round_id)} == {1}


def heartbeats(db: Database, *, at_least: int, seconds: float) -> bool:
    """Whether so many workers were heard of during ``seconds``."""
    with db.read() as session:
        before = {worker.id: worker.heartbeat_at for worker in session.scalars(select(Worker))}
    time.sleep(seconds)
    with db.read() as session:
        after = {worker.id: worker.heartbeat_at for worker in session.scalars(select(Worker))}
    return sum(worker not in before or beat > before[worker] for worker, beat in after.items()) >= at_least


@pytest.mark.slow
def test_a_worker_that_dies_and_restarts_at_once_does_not_wait_for_the_heartbeat(house):
    round_id = start(house.db, make_loop(house.db))
    house.points = [["app.workflows.pool_steps:_remember", "after", "kill"]]
    patient = {"worker_dead_after_seconds": 600.0}
    assert house.died_of(house.bear(**patient)) == -signal.SIGKILL
    reborn = house.bear(**patient)
    wait_for(house.db, round_id, "review")
    assert house.end(reborn) == 0, house.errors()
    with house.db.read() as session:
        assert session.scalars(select(Worker)).all() == [], "the dead worker is still in the table"
    assert list((house.folder / "data" / "workers").rglob("*.lock")) == []


@pytest.mark.slow
def test_ties_decided_while_the_worker_was_dead_are_taken_up_once(house):
    """The worker dies when it has found the ties, before that is in the book; the admin decides meanwhile."""
    from app.db.tables import ConsensusLabel, Round, RoundItem
    from app.services import rounds

    house.points = [["decide\\(.*", "after", "kill"]]
    project_id = make_loop(house.db)
    round_id = start(house.db, project_id)
    first = house.bear()
    wait_for(house.db, round_id, "review")
    with house.db.read() as session:
        items = list(session.scalars(select(RoundItem.item_id).where(RoundItem.round_id == round_id)))
    answer_all(house.db, round_id, ties=items[:2])
    assert house.died_of(first) == -signal.SIGKILL, house.errors()
    with house.db.write() as session:
        for row in session.scalars(select(ConsensusLabel).where(ConsensusLabel.source == "tie")).all():
            rounds.adjudicate(session, session.get_one(Round, round_id), row.item_id, 1, n_labels=2, reason="Rule.")
    second = house.bear()
    wait_for(house.db, round_id, "done")
    assert house.end(second) == 0, house.errors()
    decisions = [step for step in house.starts() if step.startswith("train(")]
    assert [house.starts()[step] for step in decisions] == [1]
