"""The stranger's walk of scripts/walk.py on a small pool: from an empty database to two rounds and the report, in the
browser only."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

from tests.browser.site import EXAMPLES, ROOT, some_ads

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def walk():
    spec = importlib.util.spec_from_file_location("walk", ROOT / "scripts" / "walk.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["walk"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def files(folder: Path) -> tuple[Path, Path, dict[str, int]]:
    """A pool and a crowd's labels of every second text, and the answers by text."""
    answers = {ad["text"].strip(): int(ad["degree"] >= 2) for ad in some_ads()}
    pool, crowd = folder / "ads.csv", folder / "crowd.csv"
    with pool.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("ad_id", "ad"), *((f"a{n}", text) for n, text in enumerate(answers))])
    labelled = [(f"a{n}", ("Honest", "Clickbait")[label]) for n, label in enumerate(answers.values()) if n % 2]
    with crowd.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("ad_id", "crowd"), *labelled])
    return pool, crowd, answers


def test_a_stranger_gets_from_an_empty_database_to_two_rounds_and_the_report(walk, tmp_path, chrome):
    pool, crowd, answers = files(tmp_path)
    out, data = tmp_path / "pictures", tmp_path / "data"
    out.mkdir()
    data.mkdir()
    with walk.an_empty_linecall(data) as (base, link):
        labels, examples = ("Honest", "Clickbait"), (EXAMPLES["Honest"], EXAMPLES["Clickbait"])
        stranger = walk.Walk(
            chrome, base, out, pool, answers, labels, walk.GUIDELINE, examples, crowd, rounds=2, round_size=16
        )
        walk.whole(stranger, link)
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "Table 2: models and experts" in report
    assert "Baseline (crowd.csv)" in report
    assert report.count("<circle") == 3, "the pre-labeller and a model of each round"
