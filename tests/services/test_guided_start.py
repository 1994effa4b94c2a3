"""The steps to a first round, on both databases."""

from app.db.tables import Import
from app.services import guided_start, projects
from app.services.guideline_template import guideline_template, places_to_fill
from tests.factories import make_items, make_project, make_user


def states(session, project):
    return {step.key: step.state for step in guided_start.steps(session, project)}


def test_an_empty_project_has_all_to_do(db):
    with db.write() as session:
        project = make_project(session, guideline="")
        assert states(session, project) == {
            "task": "done",
            "guideline": "missing",
            "pool": "missing",
            "baseline": "optional",
            "prelabel": "optional",
            "experts": "missing",
            "round": "missing",
        }


def test_what_is_there_is_done(db):
    with db.write() as session:
        project = make_project(session, experts=[make_user(session), make_user(session)])
        make_items(session, project, 10)
        text = "An advertisement is clickbait when it hides what it sells, so that one must click to know it."
        projects.publish_guideline(session, project, text=text, examples={"benign": ["a"], "clickbait": ["b"]})
        found = states(session, project)
        assert {key: found[key] for key in ("guideline", "pool", "experts")} == {
            "guideline": "done",
            "pool": "done",
            "experts": "done",
        }
        assert found["round"] == "ready"


def test_an_import_under_way_is_said(db):
    with db.write() as session:
        project = make_project(session)
        session.add(
            Import(project_id=project.id, filename="a.csv", format="csv", storage_key="x", mapping={"text": "t"})
        )
        session.flush()
        assert states(session, project)["pool"] == "running"


def test_a_template_that_is_published_as_it_is_still_has_places_to_fill(db):
    with db.write() as session:
        project = make_project(session)
        template = guideline_template(project.labels)
        assert template.index("## clickbait") < template.index("## benign")
        projects.publish_guideline(session, project, text=template, examples={"benign": ["a"], "clickbait": ["b"]})
        assert states(session, project)["guideline"] == "missing"
    assert places_to_fill(template) == 11
    assert places_to_fill("What a text is.") == 0


def test_a_round_costs_its_experts_the_time_of_its_answers(db):
    with db.write() as session:
        project = make_project(
            session, settings={"round_size": 90, "overlap": 2}, experts=[make_user(session), make_user(session)]
        )
        time = guided_start.review_time(session, project)
    assert (time.answers, time.hours, time.hours_each, time.measured_on) == (180, 1.0, 0.5, 0)
