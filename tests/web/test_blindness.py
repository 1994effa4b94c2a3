"""Nothing that an expert's browser is sent depends on the model, on why a text was chosen, or on a colleague.

The same project twice, lived through as the same expert: whatever may not sway an answer differs between the two, so
any byte that differs in what comes back has given something away. tests/web/api/test_blindness.py does so for the API.
"""

import re

import pytest

from app.db.engine import Database
from app.db.tables import Annotation, Base, BoundaryPair, ConsensusLabel, Prediction, RoundItem
from app.web.main import create_app
from tests.web import expert_day
from tests.web.conftest import Scene, make_scene
from tests.web.expert_day import Day, Hidden
from tests.web.test_i18n import pages_of

ONE = Hidden()
OTHER = Hidden(1, 0.15625, "control", (1, 0, 1), "Τι άλλο", "Μήπως όχι;", flagged=True)
MEETS_AFTERWARDS = {"/p/{slug}/rounds/{number}/ties"}  # votes on disagreements: the review is closed then


@pytest.fixture
def worlds(settings, tmp_path):
    scenes = []
    for number, hidden in enumerate((ONE, OTHER)):
        database = Database(f"sqlite:///{tmp_path}/world-{number}.sqlite")
        Base.metadata.create_all(database.engine)
        scene = make_scene(create_app(settings, database), database)
        expert_day.furnish(scene)
        scenes.append((scene, hidden, expert_day.add_review(scene, hidden)))
    yield scenes
    for scene, _, _ in scenes:
        scene.db.dispose()


def steady(text: str) -> str:
    """Without what differs from one moment to the next: keys, tokens and times."""
    text = re.sub(r"<time .*?</time>", "then", text, flags=re.DOTALL)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.+]*", "then", text)
    return re.sub(r"[0-9a-f]{16,}", "token", text)


class Seen:
    """Every step with all that came back, in order."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []

    def keep(self, step: str, response) -> None:
        headers = {name: response.headers.get(name, "") for name in ("location", "hx-redirect", "etag")}
        said = steady(f"{response.status_code} {headers} {response.text}")
        self.steps.append((re.sub(r"[0-9a-f]{16,}", "token", step), said))


def apart(one: str, other: str) -> tuple[str, str]:
    """Where two texts begin to differ."""
    place = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[max(0, place - 40) : place + 40], other[max(0, place - 40) : place + 40]


def before_answering(scene: Scene) -> tuple[Seen, Day]:
    seen = Seen()
    day = Day(scene, scene.browser("expert"), seen.keep)
    expert_day.before_the_first_answer(day)
    return seen, day


def a_whole_round(scene: Scene, hidden: Hidden, items: list[int]) -> tuple[Seen, Day]:
    seen, day = before_answering(scene)
    expert_day.the_answers(day)
    expert_day.a_new_guideline(day, hidden)
    expert_day.the_last_answers(day)
    expert_day.what_was_decided(scene, items, hidden)
    expert_day.the_round_goes_on(day)
    day.sweep()
    return seen, day


@pytest.mark.slow
def test_no_page_and_no_answer_depends_on_what_an_expert_must_not_know(worlds):
    (one, day), (other, _) = (a_whole_round(*world) for world in worlds)
    assert len(one.steps) > 200
    assert [step for step, _ in one.steps] == [step for step, _ in other.steps]
    assert [(a[0], *apart(a[1], b[1])) for a, b in zip(one.steps, other.steps, strict=True) if a != b] == []
    assert pages_of("signed_in", "expert", "voter", "labeller") - day.visited <= {"/account"}


@pytest.mark.slow
def test_nothing_of_it_is_in_words_before_the_first_answer(worlds):
    for scene, hidden, _ in worlds:
        seen, _day = before_answering(scene)
        pages = "\n".join(text for _, text in seen.steps)
        for word in (hidden.note, hidden.question, str(hidden.score), *("boundary", "similarity", "cluster")):
            assert word not in pages, word


def test_the_two_worlds_do_differ(worlds):
    """Otherwise the tests above would show nothing."""
    for scene, hidden, items in worlds:
        expert_day.what_was_decided(scene, items, hidden)
    for column in (
        *(Annotation.label, Annotation.note, Annotation.flagged, ConsensusLabel.label),
        *(RoundItem.model_label, RoundItem.model_score, RoundItem.reason, Prediction.label, Prediction.score),
        *(BoundaryPair.left_item_id, BoundaryPair.similarity, BoundaryPair.left_cluster),
    ):
        hidden = []
        for scene, _, _ in worlds:
            with scene.db.read() as session:
                hidden.append([row[0] for row in session.query(column).order_by(*column.class_.__table__.primary_key)])
        assert hidden[0] != hidden[1], column
