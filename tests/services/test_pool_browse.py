"""Browsing the pool gives exactly the items that a plain reading of the filters gives, page after page."""

from dataclasses import replace

import numpy as np
import pytest

from app.db.tables import Baseline, BaselineLabel, ConsensusLabel, ModelVersion, Project, Round, RoundItem
from app.errors import InvalidInput
from app.services import predictions
from app.services.pool import browse as pool_browse
from app.services.pool import search
from app.services.pool.browse import Filters
from tests.factories import make_items, make_project
from tests.services.review_factories import add_round

N = 60
WORDS = ("price", "Müller", "refund", "refunds", "50%", "don't", "x_y", "價格")


class Pool:
    """A pool whose every fact is known: labels, scores, what a round chose and decided, a baseline."""

    def __init__(self, db, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.db = db
        with db.write() as session:
            noise = make_project(session)
            make_items(session, noise, [f"price {i}" for i in range(5)])
            project = make_project(session, labels=("no", "yes", "maybe"))
            self.texts = [
                f"{i} " + " ".join(rng.choice(WORDS, size=rng.integers(0, 4), replace=False)) for i in range(N)
            ]
            self.ids = [item.id for item in make_items(session, project, self.texts)]
            self.project_id = project.id
            self.labels = rng.integers(0, 3, N)
            self.scores = np.round(rng.uniform(0.34, 1, N), 1)  # many are equal
            self.scores[:3] = np.nan  # the model had no answer to these
            self._predict(session)
            self.chosen = rng.choice(N, 20, replace=False)
            self.round_id = add_round(session, project, [self.ids[i] for i in self.chosen], overlap=1).id
            session.get_one(Round, self.round_id).state = "done"
            self.reasons, self.consensus, self.sources = {}, {}, {}
            self._decide(session, rng)
            self.baseline = {int(i): int(rng.integers(0, 3)) for i in self.chosen[:10]}
            self._bring_baseline(session)

    def _predict(self, session) -> None:
        version = ModelVersion(
            project_id=self.project_id, version=0, kind="prelabel", engine="few_shot", config={}, state="ready"
        )
        session.add(version)
        session.flush()
        known = [i for i in range(N) if not np.isnan(self.scores[i])]
        scores = np.zeros((len(known), 3))
        scores[np.arange(len(known)), self.labels[known]] = self.scores[known]
        ids = [self.ids[i] for i in known]
        predictions.store_predictions(session, version.id, ids, self.labels[known], scores)

    def _decide(self, session, rng) -> None:
        rows = session.query(RoundItem).filter_by(round_id=self.round_id)
        for row in rows:
            i = self.ids.index(row.item_id)
            row.reason = self.reasons[i] = str(rng.choice(["boundary", "control"]))
            self.sources[i] = str(rng.choice(["unanimous", "majority", "tie", "adjudicated"]))
            self.consensus[i] = None if self.sources[i] == "tie" else int(rng.integers(0, 3))
            label = ConsensusLabel(
                round_id=self.round_id,
                item_id=row.item_id,
                label=self.consensus[i],
                source=self.sources[i],
                votes=2,
            )
            session.add(label)

    def _bring_baseline(self, session) -> None:
        baseline = Baseline(
            project_id=self.project_id, filename="crowd.csv", format="csv", storage_key="k", mapping={}, state="done"
        )
        session.add(baseline)
        session.flush()
        for i, label in self.baseline.items():
            session.add(
                BaselineLabel(baseline_id=baseline.id, item_id=self.ids[i], label=label, votes=1, votes_total=1)
            )

    def pages(self, filters: Filters, limit: int = 7) -> list[int]:
        """The places of the items on all pages, one after the other."""
        found, after = [], ""
        with self.db.read() as session:
            project = session.get_one(Project, self.project_id)
            while True:
                page = pool_browse.browse(session, project, filters, after=after, limit=limit)
                found += [self.ids.index(item.id) for item in page.items]
                assert page.next is None or len(page.items) == limit
                if page.next is None:
                    return found
                after = page.next

    def expected(self, f: Filters) -> list[int]:
        kept = [i for i in range(N) if self._fits(i, f)]
        by_score = f.order != "pool" or (f.of_predictions and not f.of_chosen)
        if f.words or not by_score:
            return kept
        with_score = sorted((self.scores[i].astype(np.float32), i) for i in kept if not np.isnan(self.scores[i]))
        return [i for _, i in (with_score[::-1] if f.order == "sure" else with_score)]

    def _fits(self, i: int, f: Filters) -> bool:
        unsaid = np.isnan(self.scores[i])
        if f.of_predictions and unsaid:
            return False
        score = float(np.float32(self.scores[i])) if not unsaid else None
        if f.label is not None and self.labels[i] != f.label:
            return False
        if (f.low is not None and score < f.low) or (f.high is not None and score > f.high):
            return False
        if f.of_chosen and i not in self.reasons:
            return False
        if f.round is not None and f.round != 1:
            return False
        if f.reason and self.reasons[i] != f.reason:
            return False
        if f.expert_label is not None and self.consensus[i] != f.expert_label:
            return False
        return self._differs(i, f, unsaid) and self._holds(i, f.words)

    def _differs(self, i: int, f: Filters, unsaid: bool) -> bool:
        if f.differs == "experts":
            return self.sources[i] in ("majority", "tie", "adjudicated")
        if f.differs == "model":
            return self.consensus[i] is not None and not unsaid and self.labels[i] != self.consensus[i]
        if f.differs == "baseline":
            return self.consensus[i] is not None and i in self.baseline and self.baseline[i] != self.consensus[i]
        return True

    def _holds(self, i: int, words: str) -> bool:
        tokens = self.texts[i].split()
        if not words:
            return True
        return any(t.startswith(words[:-1]) if words.endswith("*") else t == words for t in tokens)


@pytest.fixture
def pool(db) -> Pool:
    return Pool(db)


PREDICTED = [{}, {"label": 1}, {"low": 0.6}, {"label": 2, "low": 0.5, "high": 0.8}, {"high": 0.7}]
CHOSEN = [{}, {"round": 1}, {"round": 2}, {"reason": "control"}, {"expert_label": 1}, {"differs": "experts"}]
CHOSEN += [{"differs": "model"}, {"differs": "baseline", "reason": "boundary"}]


@pytest.mark.parametrize("order", ["pool", "unsure", "sure"])
@pytest.mark.parametrize("words", ["", "refund", "refund*"])
def test_pages_hold_what_the_filters_say(pool, order, words):
    for predicted in PREDICTED:
        for chosen in CHOSEN:
            filters = Filters(words=words, order=order, **predicted, **chosen)
            assert pool.pages(filters) == pool.expected(filters), filters


def test_page_size_changes_nothing(pool):
    for filters in (Filters(), Filters(low=0.5), Filters(words="price"), Filters(order="sure", differs="model")):
        assert pool.pages(filters, 1) == pool.pages(filters, 100)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("price refund", [0]),
        ('"price refund"', []),
        ('"refund price"', [0]),
        ("PRICE", [0, 1]),
        ("don't", [2]),
        ("pri*", [0, 1]),
        ("pri", []),
        ("x_y", [3]),
        ('NOT "AND', None),
        ("NEAR(price)", []),
        ("価格表", [4]),
        ("価格*", [4]),
    ],
)
def test_words_mean_the_same_to_both_databases(db, words, found):
    with db.write() as session:
        project = make_project(session)
        texts = ["A refund: price not known", "price <b>", "don't", "x_y z", "価格表 !", "not and"]
        ids = [item.id for item in make_items(session, project, texts)]
        page = pool_browse.browse(session, project, Filters(words=words))
    if found is None:
        found = [5]
    assert [ids.index(item.id) for item in page.items] == found


@pytest.mark.parametrize("words", ["!", "' ' --", " ".join(f"w{i}" for i in range(21))])
def test_words_that_cannot_be_looked_for(words):
    with pytest.raises(InvalidInput):
        search.terms(words)


def test_a_text_that_changes_or_goes_is_found_no_more(db):
    with db.write() as session:
        project = make_project(session)
        first, second = make_items(session, project, ["alpha", "beta"])
        first.text = "gamma"
        session.flush()
        session.delete(second)
        session.flush()
        found = {
            word: len(pool_browse.browse(session, project, Filters(words=word)).items)
            for word in ("alpha", "beta", "gamma")
        }
    assert found == {"alpha": 0, "beta": 0, "gamma": 1}


def test_what_names_nothing_is_said(pool):
    with pool.db.read() as session:
        project = session.get_one(Project, pool.project_id)
        for wrong in (Filters(version=3), replace(Filters(), version=-1)):
            with pytest.raises(InvalidInput, match="version"):
                pool_browse.browse(session, project, wrong)
        for after in ("x", "1~", "~1"):
            with pytest.raises(InvalidInput, match="page"):
                pool_browse.browse(session, project, Filters(order="sure"), after=after)


def test_without_a_model_predictions_cannot_be_asked_for(db):
    with db.write() as session:
        project = make_project(session)
        make_items(session, project, 3)
        assert len(pool_browse.browse(session, project, Filters(order="unsure")).items) == 3
        with pytest.raises(InvalidInput, match="No model"):
            pool_browse.browse(session, project, Filters(label=0))


def test_a_row_says_what_is_known_of_it(pool):
    with pool.db.read() as session:
        project = session.get_one(Project, pool.project_id)
        rows = pool_browse.browse(session, project, Filters(round=1), limit=100).items
    assert len(rows) == 20
    for row in rows:
        i = pool.ids.index(row.id)
        assert row.rounds == ((1, pool.reasons[i]),)
        assert (row.consensus, row.source) == (pool.consensus[i], pool.sources[i])
        assert row.text == pool.texts[i]
        assert row.score is None if np.isnan(pool.scores[i]) else row.score == pytest.approx(pool.scores[i])
