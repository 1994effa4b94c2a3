"""A whole round through queue, worker and services, without a browser."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.cli.demo import demo_settings
from app.cli.processes import child_environment
from app.db.engine import Database
from app.db.tables import Annotation, ConsensusLabel, Item
from app.simulate.demo import SLUG, find_demo, sign_in_links

_ROUND = """
import json, sys
from pathlib import Path
from app.cli.demo import demo_settings
from app.services.projects import ProjectSettings
from app.simulate import sample
from app.simulate.headless import simulate_rounds
config = demo_settings(Path(sys.argv[1]), worker_poll_seconds=0.05)
settings = ProjectSettings(round_size=30)
found = simulate_rounds(config, 1, seed=5, project_settings=settings, ads=sample.read_ads()[:300])
print(json.dumps([outcome.as_json() for outcome in found]))
"""


def simulated(folder: Path) -> dict:
    """In a process of its own, since a process has one worker."""
    command = [sys.executable, "-c", _ROUND, str(folder)]
    result = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])[0]


@pytest.mark.slow
def test_a_simulated_round_leaves_what_people_would_have_left_and_can_be_repeated(tmp_path: Path) -> None:
    first, again = simulated(tmp_path / "a"), simulated(tmp_path / "b")
    for outcome in (first, again):
        assert set(outcome.pop("seconds")) >= {"prepare", "review", "conclude", "embed", "mine", "train", "evaluate"}
    assert first == again
    assert (first["labels"], first["answers"]) == (30, 60)
    assert first["model"]["n"] == first["evaluation"] > 0
    db = Database(demo_settings(tmp_path / "a").resolved_database_url)
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(Item)) == 300
        assert not [meta for meta in session.scalars(select(Item.meta)) if "degree" in meta]
        assert session.scalar(select(func.count()).where(Annotation.kind == "blind")) == 60
        adjudicated = session.scalar(select(func.count()).where(ConsensusLabel.source == "adjudicated"))
    assert adjudicated == first["ties"]
    links = sign_in_links(db, find_demo(db), "http://127.0.0.1:1")
    assert [role for _, role, _ in links] == ["admin", "expert", "expert", "expert"]
    assert len({link for _, _, link in links}) == 4
    assert SLUG == "clickbait-ads"
    db.dispose()
