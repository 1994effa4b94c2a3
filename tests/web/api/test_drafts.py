"""A guideline that is not published yet, and the answers that a new version is about, by API."""

from tests.web.api.test_rounds import answer_all

DRAFT = {"text": "Label what the text is.\nPrices count.", "examples": {"clickbait": ["wow"]}}


def test_a_draft_is_compared_and_not_published(world):
    world.open_round(4)
    answer_all(world, {"expert": [0, 1, 1]})
    admin = world.api("admin")
    found = admin.post(world.path("/guideline/draft"), json=DRAFT).json()
    assert [(line["kind"], line["text"]) for line in found["changes"]] == [
        ("same", "Label what the text is."),
        ("added", "Prices count."),
        ("added", "clickbait: wow"),
    ]
    assert found["affected"] == {"benign": 1, "clickbait": 2}
    assert len(admin.get(world.path("/guideline/versions")).json()) == 1


def test_what_could_be_asked_again_is_counted_and_asked(world):
    world.open_round(4)
    answer_all(world, {"expert": [0, 1, 1], "second": [1]})
    admin = world.api("admin")
    assert admin.get(world.path("/guideline/again")).json() == {
        "by_label": {"benign": 0, "clickbait": 0},
        "items": [],
        "chosen": None,
    }
    published = admin.post(world.path("/guideline"), json=DRAFT | {"summary": "Prices count."})
    assert published.status_code == 201, published.text
    found = admin.get(world.path("/guideline/again"), params={"labels": ["clickbait"]}).json()
    assert found["by_label"] == {"benign": 1, "clickbait": 3}
    assert found["chosen"] == 3
    assert sum(sum(item["answers"].values()) for item in found["items"]) == 4
    assert "expert" not in str(found).lower(), "not whose they are"
    one = found["items"][0]
    by_item = admin.get(world.path("/guideline/again"), params={"item_ids": [one["item_id"]]}).json()
    assert by_item["chosen"] == sum(one["answers"].values())
    asked = admin.post(world.path("/guideline/again"), json={"labels": ["clickbait"], "expected": found["chosen"]})
    assert asked.json() == {"answers": 3}
    assert admin.get(world.path("/guideline/again"), params={"labels": ["spam"]}).status_code == 422


def test_the_template_has_a_heading_for_each_label(world):
    text = world.api("admin").get(world.path("/guideline/template")).json()["text"]
    assert "## benign" in text
    assert "## clickbait" in text


def test_nobody_else_sees_them(world):
    world.open_round(4)
    for who, status in (("expert", 403), ("outsider", 404), (None, 401)):
        api = world.api(who)
        assert api.get(world.path("/guideline/again")).status_code == status
        assert api.get(world.path("/guideline/template")).status_code == status
        assert api.post(world.path("/guideline/draft"), json=DRAFT).status_code == status
