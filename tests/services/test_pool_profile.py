"""What an import finds in the pool: lengths, near-duplicates, languages."""

import io

import pytest

from app.ml.artifacts import ArtifactStore
from app.services import pool
from app.services.pool.languages import UNSURE, guess_language
from app.services.pool.profile import near_key, profile
from tests.factories import make_items, make_project


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("You will not believe what happened to the man in this house", "English"),
        ("Das ist nicht der Weg, den wir mit ihr gehen", "German"),
        ("Le chat est dans la maison avec une souris", "French"),
        ("¿Por qué los perros son más fieles que el gato?", "Spanish"),
        ("Почему вода мокрая", "Cyrillic script"),
        ("これは日本語です", "Japanese"),
        ("这是中文", "Chinese"),
        ("Zürich Basel Bern", UNSURE),
        ("12 € !!", "no letters"),
    ],
)
def test_languages_are_guessed_from_script_and_small_words(text, language):
    assert guess_language(text) == language


def test_near_keys_ignore_case_punctuation_and_digits_and_nothing_else():
    assert near_key("Buy 3 shoes, now!") == near_key("buy 20 SHOES now")
    assert near_key("Buy 3 shoes") != near_key("Sell 3 shoes")
    assert near_key("😀") != near_key("😡")


def test_a_pool_is_summed_up(db):
    texts = ["Buy 3 shoes!", "buy 4 shoes", "BUY SHOES", "An ordinary text that is the longest of them all", "Tiny"]
    with db.write() as session:
        project = make_project(session)
        project_id = project.id
        make_items(session, project, texts)
    found = profile(db, project_id)
    assert found["items"] == 5
    assert (found["lengths"]["shortest"], found["lengths"]["median"], found["lengths"]["longest"]) == (4, 11, 48)
    assert found["lengths"]["histogram"] == [[20, 4], [50, 1]]
    assert (found["near_duplicates"]["texts"], found["near_duplicates"]["groups"]) == (2, 1)
    assert found["near_duplicates"]["examples"] == [{"count": 3, "texts": ["Buy 3 shoes!", "buy 4 shoes"]}]
    assert found["languages_n"] == 5
    assert sum(share for _, share in found["languages"]) == pytest.approx(1)


def test_an_empty_pool_has_nothing_to_sum_up(db):
    with db.write() as session:
        project_id = make_project(session).id
    assert profile(db, project_id) == {"items": 0}


def test_an_import_keeps_its_language_column_and_the_summary(db, tmp_path):
    store = ArtifactStore(str(tmp_path))
    with db.write() as session:
        project_id = make_project(session).id
    file = io.BytesIO(b"text,lang\nfirst one,en\nsecond one,en\nzweiter,de\n,\n")
    with db.write() as session:
        job = pool.create_import(
            session, store, project_id, "a.csv", file, {"text": "text", "language": "lang"}, skip_bad_rows=True
        )
    pool.run_import(db, store, job.id)
    with db.read() as session:
        summary = pool.newest_summary(session, project_id)
        kept = [item.meta for item in pool.list_items(session, project_id)]
    assert summary["languages"] == [["en", pytest.approx(2 / 3)], ["de", pytest.approx(1 / 3)]]
    assert summary["languages_from"] == "lang"
    assert kept == [{"lang": "en"}, {"lang": "en"}, {"lang": "de"}]
