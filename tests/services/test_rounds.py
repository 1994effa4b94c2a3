"""What admins do with rounds: start, close, cancel, retry, decide ties."""

import threading

import pytest
from sqlalchemy import func, select, update

from app.db.tables import (
    Annotation,
    Assignment,
    ConsensusLabel,
    Import,
    Membership,
    ModelVersion,
    Project,
    Round,
    RoundItem,
    StageRun,
)
from app.errors import Conflict, InvalidInput, NotFound
from app.services import projects, rounds, stages
from tests.factories import make_items, make_project, make_user
from tests.services.review_factories import Review, open_review

EXAMPLES = {"benign": ["Boots, 89 euros"], "clickbait": ["You won't believe this"]}


def make_ready(db, *, items: int = 12, experts: int = 2, examples=EXAMPLES, **settings) -> int:
    with db.write() as session:
        full = projects.ProjectSettings.model_validate(settings).model_dump()
        project = make_project(
            session, experts=[make_user(session) for _ in range(experts)], settings=full, guideline=None
        )
        projects.publish_guideline(session, project, text="Label it.", examples=examples)
        make_items(session, project, items)
        return project.id


def start(db, project_id: int) -> int:
    with db.write() as session:
        return rounds.start_round(session, session.get_one(Project, project_id)).id


def obstacles(db, project_id: int) -> list[str]:
    with db.read() as session:
        return rounds.obstacles(session, session.get_one(Project, project_id))


def state(db, round_id: int) -> str:
    with db.read() as session:
        return session.get_one(Round, round_id).state


def act(db, action, round_id: int, *args, **kwargs):
    with db.write() as session:
        return action(session, session.get_one(Round, round_id), *args, **kwargs)


def put(db, round_id: int, **values) -> None:
    with db.write() as session:
        session.execute(update(Round).where(Round.id == round_id).values(**values))


def answer_one(db, review: Review) -> None:
    with db.write() as session:
        slot = session.scalars(select(Assignment).where(Assignment.round_id == review.round_id)).first()
        slot.state, slot.expert_id = "done", review.experts[0]
        session.add(
            Annotation(
                round_id=review.round_id,
                item_id=slot.item_id,
                assignment_id=slot.id,
                expert_id=review.experts[0],
                kind="blind",
                label=1,
                idempotency_key="the only one",
                guideline_version_id=session.get_one(Round, review.round_id).guideline_version_id,
            )
        )


def test_a_round_keeps_the_settings_it_began_with(db):
    project_id = make_ready(db, round_size=8, seed=5)
    round_id = start(db, project_id)
    with db.write() as session:
        project = session.get_one(Project, project_id)
        project.settings = {**project.settings, "round_size": 20}
    with db.read() as session:
        round_ = session.get_one(Round, round_id)
    assert (round_.number, round_.state, round_.seed, round_.settings["round_size"]) == (1, "preparing", 6, 8)


def test_nothing_stands_in_the_way_of_a_project_that_is_ready(db):
    assert obstacles(db, make_ready(db)) == []


def test_a_pool_of_nine_and_one_expert_of_two_are_obstacles_each_in_a_sentence(db):
    found = obstacles(db, make_ready(db, items=9, experts=1))
    assert found[0] == "The pool has 9 items; a round needs at least 10."
    assert "answered by 2 experts, but the project has 1" in found[1]


def test_an_expert_who_has_left_does_not_count(db):
    project_id = make_ready(db)
    with db.write() as session:
        member = session.scalars(select(Membership).where(Membership.project_id == project_id)).first()
        member.removed_at = member.created_at
    assert "but the project has 1" in obstacles(db, project_id)[0]


def test_an_import_under_way_is_an_obstacle_and_a_finished_one_is_not(db):
    project_id = make_ready(db)
    with db.write() as session:
        job = Import(project_id=project_id, filename="a.csv", format="csv", storage_key="a", mapping={})
        session.add(job)
    assert obstacles(db, project_id) == ["An import is still running."]
    with db.write() as session:
        session.execute(update(Import).values(state="done"))
    assert obstacles(db, project_id) == []


def test_a_label_without_an_example_is_named_until_a_model_has_labelled_the_pool(db):
    project_id = make_ready(db, examples={"benign": ["Boots"]})
    assert "none for 'clickbait'" in obstacles(db, project_id)[0]
    with db.write() as session:
        session.add(
            ModelVersion(project_id=project_id, version=0, kind="prelabel", engine="few_shot", config={}, state="ready")
        )
    assert obstacles(db, project_id) == []


def test_of_eight_admins_who_start_a_round_at_once_one_does(db):
    project_id, gate, ends = make_ready(db), threading.Barrier(8), []

    def race() -> None:
        gate.wait()
        try:
            ends.append(start(db, project_id))
        except Conflict as error:
            ends.append(error.message)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 8
    assert sum(isinstance(end, int) for end in ends) == 1
    assert {end for end in ends if isinstance(end, str)} == {"A round is open already. Finish or cancel it first."}
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(Round)) == 1


def test_a_review_closes_early_with_the_answers_that_are_there(db):
    review = open_review(db, items=3)
    with pytest.raises(Conflict, match="Nobody has answered"):
        act(db, rounds.close_review, review.round_id)
    answer_one(db, review)
    act(db, rounds.close_review, review.round_id)
    assert state(db, review.round_id) == "concluding"
    with db.read() as session:
        states = session.scalars(select(Assignment.state)).all()
    assert sorted(states) == ["closed"] * 5 + ["done"]
    with pytest.raises(Conflict, match="not in review"):
        act(db, rounds.close_review, review.round_id)


@pytest.mark.parametrize("standing", ["preparing", "review", "adjudicating", "concluding", "failed"])
def test_an_open_round_can_be_cancelled_wherever_it_stands_and_only_once(db, standing):
    review = open_review(db)
    with db.write() as session:
        session.add(StageRun(round_id=review.round_id, stage="embed", attempt=1))
    put(db, review.round_id, state=standing)
    act(db, rounds.cancel, review.round_id)
    assert state(db, review.round_id) == "cancelled"
    with db.read() as session:
        assert set(session.scalars(select(Assignment.state))) == {"closed"}
        assert session.scalars(select(StageRun.state)).all() == ["cancelled"]
    with pytest.raises(Conflict, match="over already"):
        act(db, rounds.cancel, review.round_id)


def failed_round(db, *done: str, phase: str = "concluding", **settings) -> tuple[int, int]:
    project_id = make_ready(db, **settings)
    round_id = start(db, project_id)
    put(db, round_id, state=phase)
    with db.write() as session:
        session.add_all(StageRun(round_id=round_id, stage=stage, attempt=1, state="done") for stage in done)
        assert stages.fail(session, round_id, "It broke.", phase=phase, attempt=1)
    return project_id, round_id


def test_a_failed_round_is_retried_where_it_stood(db):
    _, round_id = failed_round(db)
    with db.read() as session:
        failed = session.get_one(Round, round_id)
    assert (failed.state, failed.failed_state, failed.error) == ("failed", "concluding", "It broke.")
    act(db, rounds.retry, round_id)
    with db.read() as session:
        again = session.get_one(Round, round_id)
    assert (again.state, again.failed_state, again.error, again.attempt) == ("concluding", None, None, 2)
    with pytest.raises(Conflict, match="Only a failed round"):
        act(db, rounds.retry, round_id)


def test_a_retry_reads_mended_settings_for_the_stages_that_are_not_done_and_no_others(db):
    project_id, round_id = failed_round(db, "embed", "prelabel", "mine", "decide", engine_config={"wrong": 1})
    with db.write() as session:
        project = session.get_one(Project, project_id)
        project.settings = {**project.settings, "engine_config": {}, "round_size": 50, "evaluation_share": 0.5}
    act(db, rounds.retry, round_id)
    with db.read() as session:
        settings = session.get_one(Round, round_id).settings
    assert (settings["engine_config"], settings["round_size"], settings["evaluation_share"]) == ({}, 100, 0.38)


def test_a_retry_before_the_pool_is_labelled_takes_the_newest_guideline(db):
    project_id, round_id = failed_round(db, "embed", phase="preparing")
    with db.write() as session:
        newest = projects.publish_guideline(
            session, session.get_one(Project, project_id), text="Clearer.", examples=EXAMPLES
        ).id
    act(db, rounds.retry, round_id)
    with db.read() as session:
        assert session.get_one(Round, round_id).guideline_version_id == newest


def adjudicating(db, ties: int = 2) -> Review:
    review = open_review(db, items=4)
    with db.write() as session:
        for place, item_id in enumerate(review.items):
            tied = place < ties
            session.add(
                ConsensusLabel(
                    round_id=review.round_id,
                    item_id=item_id,
                    label=None if tied else 1,
                    source="tie" if tied else "unanimous",
                    votes=2,
                )
            )
    put(db, review.round_id, state="adjudicating")
    return review


def test_the_round_goes_on_when_the_last_tie_is_decided(db):
    review = adjudicating(db)
    assert act(db, rounds.adjudicate, review.round_id, review.items[0], 1, n_labels=2, reason=" by policy ") == 1
    assert state(db, review.round_id) == "adjudicating"
    assert act(db, rounds.adjudicate, review.round_id, review.items[1], 0, n_labels=2, reason="rule 2") == 0
    with db.read() as session:
        round_ = session.get_one(Round, review.round_id)
        rows = session.scalars(select(ConsensusLabel).order_by(ConsensusLabel.item_id)).all()
    assert (round_.state, round_.attempt) == ("concluding", 2)
    assert [(row.source, row.label, row.reason) for row in rows[:2]] == [
        ("adjudicated", 1, "by policy"),
        ("adjudicated", 0, "rule 2"),
    ]


def test_only_a_tie_can_be_decided_and_only_by_a_label_that_exists(db):
    review = adjudicating(db)
    with pytest.raises(NotFound):
        act(db, rounds.adjudicate, review.round_id, review.items[3], 1, n_labels=2, reason="x")
    with pytest.raises(InvalidInput):
        act(db, rounds.adjudicate, review.round_id, review.items[0], 2, n_labels=2, reason="x")
    with pytest.raises(InvalidInput, match="why"):
        act(db, rounds.adjudicate, review.round_id, review.items[0], 1, n_labels=2, reason=" ")
    put(db, review.round_id, state="concluding")
    with pytest.raises(Conflict):
        act(db, rounds.adjudicate, review.round_id, review.items[0], 1, n_labels=2, reason="x")


def test_leaving_ties_out_goes_on_without_a_label_for_them(db):
    review = adjudicating(db)
    act(db, rounds.leave_ties_out, review.round_id)
    with db.read() as session:
        round_ = session.get_one(Round, review.round_id)
        assert (round_.state, round_.ties_left_out, round_.attempt) == ("concluding", True, 2)
        assert rounds.ties_left(session, round_) == 2
    with pytest.raises(Conflict):
        act(db, rounds.leave_ties_out, review.round_id)


def test_the_model_of_a_cancelled_round_is_never_the_current_one(db):
    review = open_review(db)
    with db.write() as session:
        for version, round_id in ((0, None), (1, review.round_id)):
            kind = "prelabel" if round_id is None else "trained"
            session.add(
                ModelVersion(
                    project_id=review.project_id,
                    round_id=round_id,
                    version=version,
                    kind=kind,
                    engine="linear",
                    config={},
                    state="ready",
                )
            )
    for state_of_round, current in (("done", 1), ("cancelled", 0)):
        put(db, review.round_id, state=state_of_round)
        with db.read() as session:
            assert rounds.current_model(session, review.project_id).version == current
            assert session.scalar(select(func.count()).select_from(RoundItem)) == 4
