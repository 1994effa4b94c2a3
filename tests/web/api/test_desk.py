"""Beside answering: what an expert knows, changes, compares and gives back, by API alone."""

from sqlalchemy import select, update

from app.db.tables import Annotation, Assignment, GuidelineVersion, Project, Round
from app.services import guidance
from app.services.answers import effective_answers
from tests.web.api.test_scopes import limited


def answer_all(world, who: str = "expert", label: int = 1) -> list[dict]:
    """Every item's answer, as it came back."""
    api, given = world.api(who), []
    desk = api.post(world.path("/next")).json()
    while desk["task"]:
        slot = desk["task"]["assignment_id"]
        body = {"assignment_id": slot, "label": label, "key": f"{who}-answers-{slot}"}
        given.append(api.post(world.path("/annotations"), json=body).json())
        desk = given[-1]["next"]
    return given


def set_reveal(world, reveal: str) -> None:
    with world.db.write() as session:
        project = session.get_one(Project, world.project_id)
        project.settings = project.settings | {"reveal": reveal}
        session.execute(update(Round).values(settings={"reveal": reveal}))


# --- answers -------------------------------------------------------------------------------------------------------


def test_an_answer_can_be_read_and_changed_and_counts_as_blind_before_its_pair_is_seen(world):
    items = world.open_round(3)
    api = world.api("expert")
    answer_all(world)
    listed = api.get(world.path("/answers")).json()
    assert [(one["text"], one["label"], one["changeable"]) for one in listed] == [
        (f"text number {n}", "clickbait", True) for n in (2, 1, 0)
    ]
    slot = listed[-1]["assignment_id"]
    body = {"label": "benign", "key": "second-thought", "note": "It names the price.", "flagged": True}
    for _ in range(2):
        changed = api.post(world.path(f"/answers/{slot}"), json=body)
        assert changed.status_code == 200, changed.text
    shown = api.get(world.path(f"/answers/{slot}")).json()
    assert shown == changed.json()
    assert (shown["label"], shown["note"], shown["flagged"], shown["seen_in_pair"]) == (
        *("benign", "It names the price."),
        *(True, False),
    )
    with world.db.read() as session:
        round_id = session.scalars(select(Round.id)).one()
        (effective,) = effective_answers(session, [round_id], item_ids=items[:1])
        assert (effective.blind_label, effective.final_label) == (0, 0)
        assert session.query(Annotation).count() == 5  # three answers, one taken back, one in its place


def test_nobody_reads_or_changes_a_colleagues_answer(world):
    world.open_round(3)
    answer_all(world, "second")
    theirs = world.api("second").get(world.path("/answers")).json()[0]["assignment_id"]
    api = world.api("expert")
    assert api.get(world.path("/answers")).json() == []
    assert api.get(world.path(f"/answers/{theirs}")).status_code == 404
    body = {"label": 0, "key": "not-mine-at-all", "note": "Why not?"}
    assert api.post(world.path(f"/answers/{theirs}"), json=body).status_code == 409


def test_after_the_review_an_answer_stays(world):
    world.open_round(2, overlap=1)
    answer_all(world)
    given = world.api("expert").get(world.path("/answers")).json()
    assert [one["changeable"] for one in given] == [False, False]
    body = {"label": 0, "key": "far-too-late", "note": "Why not?"}
    assert world.api("expert").post(world.path(f"/answers/{given[0]['assignment_id']}"), json=body).status_code == 409


# --- pairs ---------------------------------------------------------------------------------------------------------


def test_a_pair_is_seen_once_both_are_answered_and_then_the_blind_answers_are_fixed(world):
    items = world.open_round(3)
    api = world.api("expert")
    assert api.post(world.path("/contrast")).json() == {"pair": None}
    given = answer_all(world)
    assert [one["next"]["contrast"] for one in given] == [False, True, True]
    assert api.get(world.path("/contrast")).json() == {"waiting": 1}
    first = api.get(world.path("/answers")).json()[-1]["assignment_id"]
    assert not api.get(world.path(f"/answers/{first}")).json()["seen_in_pair"]
    assert api.post(world.path("/contrast/1/confirm")).status_code == 404  # not seen yet
    pair = api.post(world.path("/contrast")).json()["pair"]
    assert [(side["text"], side["label"]) for side in pair["sides"]] == [
        (f"text number {n}", "clickbait") for n in (0, 1)
    ]
    assert api.post(world.path("/contrast")).json()["pair"] == pair
    assert api.get(world.path(f"/answers/{first}")).json()["seen_in_pair"]
    without = api.post(world.path(f"/answers/{first}"), json={"label": 0, "key": "without-a-reason"})
    assert (without.status_code, without.json()["detail"]) == (422, {"field": "note"})
    body = {"assignment_id": first, "label": "benign", "reason": "Beside the other.", "key": "beside-it"}
    revised = api.post(world.path(f"/contrast/{pair['pair_id']}/revise"), json=body)
    assert (revised.status_code, revised.json()) == (200, {"waiting": 0})
    with world.db.read() as session:
        round_id = session.scalars(select(Round.id)).one()
        (effective,) = effective_answers(session, [round_id], item_ids=items[:1])
    assert (effective.blind_label, effective.final_label) == (1, 0)


def test_both_answers_may_stand_and_the_review_waits_for_pairs_that_are_shown_at_the_end(world):
    world.open_round(3, overlap=1)
    set_reveal(world, "end")
    api = world.api("expert")
    given = answer_all(world)
    assert [one["next"]["contrast"] for one in given] == [False, False, True]
    assert given[-1]["next"]["empty"]["reason"] == "waiting_for_colleagues"
    pair = api.post(world.path("/contrast")).json()["pair"]["pair_id"]
    for _ in range(2):
        confirmed = api.post(world.path(f"/contrast/{pair}/confirm"))
        assert (confirmed.status_code, confirmed.json()) == (200, {"waiting": 0})
    with world.db.read() as session:
        assert session.scalars(select(Round.state)).one() == "concluding"


def test_where_a_project_shows_no_pairs_none_is_told_of(world):
    world.open_round(3)
    set_reveal(world, "off")
    api = world.api("expert")
    assert [one["next"]["contrast"] for one in answer_all(world)] == [False] * 3
    assert api.get(world.path("/contrast")).json() == {"waiting": 0}
    assert api.post(world.path("/contrast")).json() == {"pair": None}


def test_a_colleague_settles_nothing(world):
    world.open_round(3, overlap=3)  # so that the review stays open
    answer_all(world)
    pair = world.api("expert").post(world.path("/contrast")).json()["pair"]
    second = world.api("second")
    answer_all(world, "second")
    assert second.post(world.path(f"/contrast/{pair['pair_id']}/confirm")).status_code == 404
    body = {"assignment_id": pair["sides"][0]["assignment_id"], "label": 0, "reason": "Why?", "key": "not-mine-"}
    assert second.post(world.path(f"/contrast/{pair['pair_id']}/revise"), json=body).status_code == 404
    second.post(world.path("/contrast"))
    assert second.post(world.path(f"/contrast/{pair['pair_id']}/revise"), json=body).status_code == 409


def test_seeing_a_pair_is_no_reading(world):
    """A token that may only read must not fix anybody's answers."""
    world.open_round(3)
    answer_all(world)
    reader = limited(world, "expert", "read")
    assert reader.get(world.path("/contrast")).json() == {"waiting": 1}
    assert reader.post(world.path("/contrast")).status_code == 403
    assert not any(one["seen_in_pair"] for one in reader.get(world.path("/answers")).json())


# --- what there is to know -----------------------------------------------------------------------------------------


def test_the_desk_tells_of_a_new_guideline_until_the_expert_knows_it(world):
    world.open_round(6)
    api = world.api("expert")
    before = api.get(world.path("/desk")).json()
    assert before == {
        "progress": {"round_number": 1, "done": 0, "left": 6},
        **{"seconds_per_answer": None, "practice": "none", "news": None, "returned": 0},
    }
    with world.db.read() as session:
        assert session.query(Assignment).filter_by(state="claimed").count() == 0
    answer_all(world)
    with world.db.write() as session:
        project = session.get_one(Project, world.project_id)
        text = {"text": "# New", "examples": {}, "summary": "Prices count."}
        guidance.publish(session, project, **text, user_id=world.users["admin"])
        guidance.queue_again(session, project, [1], user_id=world.users["admin"])
    told = api.get(world.path("/desk")).json()
    assert (told["news"]["version"], told["news"]["summary"], told["returned"]) == (2, "Prices count.", 6)
    assert api.post(world.path("/guideline/seen")).status_code == 204
    assert api.get(world.path("/desk")).json()["news"] is None
    with world.db.read() as session:
        assert session.query(GuidelineVersion).count() == 2


def test_what_is_given_back_goes_to_a_colleague(world):
    world.open_round(2, overlap=1)
    api = world.api("expert")
    first = api.post(world.path("/next")).json()["task"]
    assert api.post(world.path("/release")).json() == {"released": 1}
    assert api.post(world.path("/release")).json() == {"released": 0}
    assert world.api("second").post(world.path("/next")).json()["task"] == first
