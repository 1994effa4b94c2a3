"""Rounds and ties: what an admin does by POST, and that nobody else can."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.db.base import utcnow
from app.db.tables import (
    Annotation,
    Assignment,
    AuditEvent,
    ConsensusLabel,
    GuidelineVersion,
    Item,
    Membership,
    ModelVersion,
    Project,
    Round,
    RoundItem,
    StageRun,
)
from app.services import accounts, workers
from app.web.rounds import pace_words
from tests.factories import make_items, make_member

HOSTILE = '<script>alert("x")</script>'


def fill(scene, *, experts: int = 2) -> None:
    """A project in which a round can start."""
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        make_items(session, project, [f"text {n}" for n in range(19)] + [HOSTILE])
        for n in range(experts - 1):
            make_member(session, project, accounts.create_user(session, email=f"e{n}@example.org", name=f"E {HOSTILE}"))
        guideline = session.scalars(select(GuidelineVersion)).one()
        guideline.examples = {"benign": ["a"], "clickbait": ["b"]}


def state(scene, number: int = 1) -> str:
    with scene.db.read() as session:
        return session.scalars(select(Round.state).where(Round.number == number)).one()


def put_into(scene, state: str, **values) -> int:
    """The open round, moved on by hand, with the last item chosen and given to two experts."""
    with scene.db.write() as session:
        round_ = session.scalars(select(Round)).one()
        round_.state, round_.review_opened_at = state, utcnow()
        for name, value in values.items():
            setattr(round_, name, value)
        item = session.scalars(select(Item).order_by(Item.ordinal.desc()).limit(1)).one()
        detail = {"partner": 0, "similarity": 0.81, "clusters": [0, 1], "labels": [0, 1]}
        session.add(
            RoundItem(
                round_id=round_.id,
                item_id=item.id,
                reason="boundary",
                reason_detail=detail,
                group_key=0,
                position=0,
                model_label=1,
                model_score=0.7,
            )
        )
        for slot in range(2):
            session.add(Assignment(round_id=round_.id, item_id=item.id, slot=slot, position=0))
        session.flush()
        return item.id


def answer(scene, item_id: int) -> None:
    """Two experts answer the item, each with another label; one leaves a hostile note."""
    with scene.db.write() as session:
        round_ = session.scalars(select(Round)).one()
        guideline = session.scalars(select(GuidelineVersion)).one()
        experts = [m.id for m, member in accounts.members(session, scene.project_id) if member.role == "expert"]
        for label, (slot, expert) in enumerate(zip(session.scalars(select(Assignment)).all(), experts, strict=True)):
            slot.state, slot.expert_id, slot.done_at = "done", expert, utcnow()
            session.add(
                Annotation(
                    round_id=round_.id,
                    item_id=item_id,
                    assignment_id=slot.id,
                    expert_id=expert,
                    kind="blind",
                    label=label,
                    idempotency_key=f"key-of-{expert}",
                    guideline_version_id=guideline.id,
                    note=HOSTILE,
                )
            )


def tie(scene) -> int:
    item_id = put_into(scene, "adjudicating")
    answer(scene, item_id)
    with scene.db.write() as session:
        round_ = session.scalars(select(Round)).one()
        session.add(ConsensusLabel(round_id=round_.id, item_id=item_id, label=None, source="tie", votes=2))
    return item_id


def test_obstacles_are_sentences_and_hide_the_start(scene):
    page = scene.browser("admin").get(scene.path("/rounds")).text
    assert "The pool has 0 items; a round needs at least 10." in page
    assert 'id="start-round"' not in page


def test_an_admin_starts_a_round_once(scene):
    fill(scene)
    admin = scene.browser("admin")
    assert 'id="start-round"' in admin.get(scene.path("/rounds")).text
    assert admin.post(scene.path("/rounds")).headers["location"] == scene.path("/rounds/1")
    assert state(scene) == "preparing"
    assert admin.post(scene.path("/rounds")).status_code == 409


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404), (None, 303)])
def test_nobody_else_starts_stops_or_decides(scene, who, status):
    fill(scene)
    scene.browser("admin").post(scene.path("/rounds"))
    browser, here = scene.browser(who), scene.path("/rounds/1")
    for url in (scene.path("/rounds"), f"{here}/close", f"{here}/cancel", f"{here}/retry", f"{here}/ties"):
        assert browser.post(url).status_code == status, url
    assert browser.post(f"{here}/ties/1", {"label": 1}).status_code == status
    for url in (here, f"{here}/items", f"{here}/ties"):
        assert browser.get(url).status_code == status, url
    assert state(scene) == "preparing"


def test_without_its_token_a_form_starts_nothing(scene):
    fill(scene)
    assert scene.browser("admin").post(scene.path("/rounds"), {"csrf_token": "0" * 96}).status_code == 403
    with scene.db.read() as session:
        assert session.scalars(select(Round)).all() == []


def test_a_round_that_nothing_moves_says_that_no_worker_runs(scene):
    fill(scene)
    admin = scene.browser("admin")
    admin.post(scene.path("/rounds"))
    assert "No worker is running" in admin.get(scene.path("/rounds/1")).text
    with scene.db.write() as session:
        workers.heartbeat(session, "w", "host", 1)
    assert "No worker is running" not in admin.get(scene.path("/rounds/1")).text


def test_the_round_page_polls_itself_only_while_something_moves(scene):
    fill(scene)
    admin = scene.browser("admin")
    admin.post(scene.path("/rounds"))
    fragment = admin.get(scene.path("/rounds/1"), headers={"HX-Request": "true"}).text
    assert "<html" not in fragment
    assert 'hx-trigger="every 2s"' in fragment
    admin.post(scene.path("/rounds/1/cancel"))
    assert "hx-trigger" not in admin.get(scene.path("/rounds/1")).text


def test_progress_of_a_stage_is_shown(scene):
    fill(scene)
    admin = scene.browser("admin")
    admin.post(scene.path("/rounds"))
    with scene.db.write() as session:
        round_ = session.scalars(select(Round)).one()
        session.add(StageRun(round_id=round_.id, stage="embed", attempt=1, progress_done=5, progress_total=20))
    page = admin.get(scene.path("/rounds/1")).text
    assert "5 of 20 (25" in page
    assert " left</div>" in page


def test_a_stage_tells_its_cost_its_rate_and_what_is_left_of_the_budget(scene):
    fill(scene)
    admin = scene.browser("admin")
    admin.post(scene.path("/rounds"))
    item = put_into(scene, "review")
    with scene.db.write() as session:
        round_ = session.scalars(select(Round)).one()
        version = ModelVersion(
            project_id=round_.project_id,
            version=0,
            kind="prelabel",
            engine="remote_llm",
            config={},
            metrics={"usage": {"calls": 300, "cost": 1.25}},
        )
        session.add(version)
        session.flush()
        round_.base_model_id = version.id
        begun = utcnow() - timedelta(hours=2)
        round_.review_opened_at = begun
        ended = {"state": "done", "progress_done": 300, "progress_total": 300, "started_at": begun}
        done = StageRun(
            round_id=round_.id, stage="prelabel", attempt=1, finished_at=begun + timedelta(minutes=5), **ended
        )
        session.add(done)
        expert = session.scalars(select(Membership.user_id).where(Membership.role == "expert")).first()
        others = session.scalars(select(Item.id).where(Item.id != item).limit(18))
        for other in others:  # 18 of 20 slots are answered
            slot = {"item_id": other, "slot": 0, "position": 0, "expert_id": expert}
            session.add(Assignment(round_id=round_.id, state="done", **slot))
        project = session.get_one(Project, round_.project_id)
        project.settings = project.settings | {
            "next_round": "itself",
            "most_rounds": 6,
            "most_answers": 900,
            "most_cost": 5,
        }
    page = " ".join(re.sub(r"<[^>]+>", " ", admin.get(scene.path("/rounds/1")).text).split())
    assert "5 min · cost 1.25" in page
    assert "1 a second." in page
    assert "9 an hour so far, breaks and nights counted" in page
    assert "about 13 min left" in page
    assert "Rounds done 0 of 6" in page
    assert "all rounds 18 of 900" in page
    assert "trials included 1.25 of 5.00" in page


@pytest.mark.parametrize(
    ("rate", "words"),
    [(1200, "1,200 a second"), (0.5, "30 a minute"), (0.002, "7 an hour"), (0.0001, "less than one an hour")],
)
def test_a_rate_is_told_in_the_unit_that_reads_best(rate, words):
    assert pace_words(rate) == words


def test_closing_early_needs_an_answer_and_closes_the_open_slots(scene):
    fill(scene)
    admin = scene.browser("admin")
    admin.post(scene.path("/rounds"))
    item_id = put_into(scene, "review")
    assert "2 slots open" in admin.get(scene.path("/rounds/1")).text
    assert admin.post(scene.path("/rounds/1/close")).status_code == 409
    answer(scene, item_id)
    with scene.db.write() as session:
        round_ = session.scalars(select(Round)).one()
        session.add(Assignment(round_id=round_.id, item_id=item_id, slot=2, position=0))
    assert admin.post(scene.path("/rounds/1/close")).status_code == 303
    assert state(scene) == "concluding"
    assert "1 were closed unanswered" in admin.get(scene.path("/rounds/1")).text


def test_cancelling_is_recorded_with_who_did_it(scene):
    fill(scene)
    admin = scene.browser("admin")
    admin.post(scene.path("/rounds"))
    assert admin.post(scene.path("/rounds/1/cancel")).status_code == 303
    assert state(scene) == "cancelled"
    with scene.db.read() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "round.cancelled")).one()
    assert event.user_id == scene.users["admin"]


def test_a_failed_round_says_which_stage_and_why_and_can_be_retried(scene):
    fill(scene)
    admin = scene.browser("admin")
    admin.post(scene.path("/rounds"))
    put_into(scene, "failed", failed_state="preparing", error=f"No such model {HOSTILE}.")
    page = admin.get(scene.path("/rounds/1")).text
    assert "Embed failed." in page
    assert "No such model &lt;script&gt;" in page
    assert admin.post(scene.path("/rounds/1/retry")).status_code == 303
    assert state(scene) == "preparing"


def test_chosen_items_say_why_and_hostile_texts_are_escaped(scene):
    fill(scene)
    admin = scene.browser("admin")
    admin.post(scene.path("/rounds"))
    put_into(scene, "review")
    page = admin.get(scene.path("/rounds/1/items")).text
    assert "similarity 0.81" in page
    assert "text 0" in page
    assert "&lt;script&gt;alert" in page
    assert HOSTILE not in page
    assert HOSTILE not in admin.get(scene.path("/rounds/1")).text
    assert "No items here" in admin.get(scene.path("/rounds/1/items?reason=control")).text


@pytest.mark.parametrize(
    ("reason", "detail", "summary", "why"),
    [
        ("likely", {"label": 1, "score": 0.83}, "likely to have a rarer label", "(0.83), a label that the model gives"),
        ("margin", {"margin": 0.0123}, "by margin", "lies 0.012 from the line"),
        ("margin_diverse", {"margin": 0.0123}, "by margin, far apart", "lies 0.012 from the line"),
        ("random", {}, "at random", "Drawn at random from the pool."),
    ],
)
def test_every_part_of_a_mixed_strategy_is_explained(scene, reason, detail, summary, why):
    fill(scene)
    admin = scene.browser("admin")
    admin.post(scene.path("/rounds"))
    put_into(scene, "review")
    with scene.db.write() as session:
        session.execute(update(RoundItem).values(reason=reason, reason_detail=detail))
    assert summary in admin.get(scene.path("/rounds/1")).text
    assert why in admin.get(scene.path("/rounds/1/items")).text


def test_a_tie_shows_both_answers_and_a_decision_takes_the_round_on(scene):
    fill(scene)
    admin = scene.browser("admin")
    admin.post(scene.path("/rounds"))
    item_id = tie(scene)
    page = admin.get(scene.path("/rounds/1/ties")).text
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;") >= 3  # the text, the note, the name
    decided = admin.post(scene.path(f"/rounds/1/ties/{item_id}"), {"label": 1, "reason": "rule two"})
    assert decided.headers["location"] == scene.path("/rounds/1")
    assert state(scene) == "concluding"
    with scene.db.read() as session:
        row = session.scalars(select(ConsensusLabel)).one()
    assert (row.label, row.source, row.reason, row.decided_by_id) == (
        1,
        "adjudicated",
        "rule two",
        scene.users["admin"],
    )
    assert "rule two" in admin.get(scene.path("/rounds/1/ties")).text


def test_a_label_that_is_not_there_decides_nothing(scene):
    fill(scene)
    admin = scene.browser("admin")
    admin.post(scene.path("/rounds"))
    item_id = tie(scene)
    assert admin.post(scene.path(f"/rounds/1/ties/{item_id}"), {"label": 2, "reason": "x"}).status_code == 422
    assert state(scene) == "adjudicating"


def test_a_round_can_go_on_without_the_undecided(scene):
    fill(scene)
    admin = scene.browser("admin")
    admin.post(scene.path("/rounds"))
    tie(scene)
    assert admin.post(scene.path("/rounds/1/ties")).status_code == 303
    assert state(scene) == "concluding"
    with scene.db.read() as session:
        assert session.scalars(select(ConsensusLabel)).one().label is None


def test_another_projects_round_is_not_found(scene):
    assert scene.browser("admin").get(scene.path("/rounds/7")).status_code == 404
