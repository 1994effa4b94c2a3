from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from app.errors import InvalidInput, RoundCancelled
from app.ml import classifiers
from app.ml.artifacts import ArtifactStore
from app.ml.classifiers import TrainingSet
from app.ml.classifiers.finetune import Recipe

THINGS = ["the bank", "a new phone", "our city", "the council", "this film", "her garden", "the team", "a small cafe"]
SELLING = ["You will not believe what {} did next", "{}: the trick that everybody should know, number 7 is a shock"]
PLAIN = ["{} reports its quarterly figures", "Officials say {} will close on Monday for repairs"]
THIRD = ["How do I get a refund for {}?", "Could someone tell me where {} is?"]
TWO_EPOCHS = {"epochs": 2, "batch_size": 16, "least_batches": 1}


@dataclass
class Machine:
    cache_dir: Path
    threads: int = 1


def training_set(kinds=(PLAIN, SELLING), things=THINGS):
    rows = [(form.format(thing), label) for thing in things for label, forms in enumerate(kinds) for form in forms]
    texts, labels = zip(*rows, strict=True)
    return TrainingSet(texts, np.zeros((len(rows), 1), np.float32), np.array(labels), np.arange(len(rows)))


def fit(cache, train=None, n_labels=2, config=TWO_EPOCHS, seed=0, progress=None):
    return classifiers.engine("encoder").fit(train or training_set(), n_labels, config, seed, Machine(cache), progress)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("cache"))


@pytest.mark.slow
def test_it_learns_chooses_its_threshold_inside_the_training_set_and_tells_new_texts_apart(fitted):
    texts = ["This simple trick will leave you speechless", "Parliament votes on the budget on Friday"]
    proba = fitted.predict_proba(texts, None)
    assert proba.dtype == np.float32
    assert np.allclose(proba.sum(1), 1, atol=1e-5)
    assert fitted.labels(proba).tolist() == [1, 0]
    assert fitted.metrics["threshold_source"] == "cross_fitted"
    assert fitted.metrics["folds"] == 3
    assert fitted.metrics["recipe"] == asdict(replace(Recipe(), **TWO_EPOCHS)), "what defaults were then is known later"


def test_a_fold_takes_its_share_of_the_fewest_steps(tmp_path):
    totals = []

    def stop(_done, total):
        totals.append(total)
        raise RoundCancelled("cancelled")

    with pytest.raises(RoundCancelled):
        fit(tmp_path, config={"epochs": 1, "least_batches": 60}, progress=stop)
    assert 60 + 3 * 40 <= totals[0] <= 60 + 3 * 42, "not 60 in each of the three folds"


@pytest.mark.slow
def test_a_saved_model_gives_the_same_answers_and_plain_transformers_reads_its_backbone(fitted, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    store = ArtifactStore(str(tmp_path / "store"))
    fitted.save(store, "models/1")
    again = classifiers.load(store, "models/1", Machine(tmp_path))
    texts = list(training_set().texts)
    assert np.array_equal(again.predict_proba(texts, None), fitted.predict_proba(texts, None))
    assert (again.threshold, again.metrics, again.n_labels) == (fitted.threshold, fitted.metrics, 2)
    backbone = store.local_folder("models/1/backbone", tmp_path)
    assert AutoModel.from_pretrained(backbone).config.hidden_size == 384
    assert AutoTokenizer.from_pretrained(backbone)("a text").input_ids
    kinds = {Path(key).suffix for key in store.list()}
    assert kinds <= {".json", ".safetensors", ".txt", ".jinja"}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone(tmp_path):
    import torch

    few = training_set(things=THINGS[:2])  # below ten of each label: no cross-fit
    state = torch.get_rng_state()
    first, second = fit(tmp_path, few, seed=5), fit(tmp_path, few, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    other = fit(tmp_path, few, seed=6)
    assert first.metrics["threshold_source"] == "default"
    assert np.array_equal(first.coef, second.coef)
    pairs = zip(first.encoder.backbone.model.parameters(), second.encoder.backbone.model.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    assert not np.array_equal(first.coef, other.coef)
    assert first.encoder.key.split("-")[-4:] == second.encoder.key.split("-")[-4:]


def test_more_than_two_labels_have_no_threshold(tmp_path):
    train = training_set((PLAIN, SELLING, THIRD), THINGS[:2])
    fitted = fit(tmp_path, train, n_labels=3)
    proba = fitted.predict_proba(train.texts, None)
    assert proba.shape == (12, 3)
    assert fitted.threshold is None
    assert (fitted.labels(proba) == train.labels).mean() > 0.9


def test_progress_rises_batch_by_batch_and_may_stop_the_fit(tmp_path):
    seen = []
    few = training_set(things=THINGS[:2])
    fit(tmp_path, few, config=TWO_EPOCHS | {"batch_size": 4}, progress=lambda *step: seen.append(step))
    assert sorted(set(seen)) == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert seen == sorted(seen)

    def cancel(done, total):
        raise RoundCancelled("cancelled")

    with pytest.raises(RoundCancelled):
        fit(tmp_path, few, progress=cancel)
    assert [path for path in tmp_path.iterdir() if path.name.startswith("fine-tuned")] == []


def test_a_training_set_of_one_label_gives_a_model_that_says_so(tmp_path):
    fitted = fit(tmp_path, training_set((PLAIN,)))
    assert fitted.labels(fitted.predict_proba(["anything"], None)).tolist() == [0]
    assert "same label" in fitted.metrics["note"]


@pytest.mark.parametrize(
    "config", [{"epochs": 0}, {"epochs": 1.5}, {"batch_size": True}, {"learning_rate": "x"}, {"C": 1}]
)
def test_a_setting_that_cannot_be_used_is_refused(config, tmp_path):
    with pytest.raises(InvalidInput):
        fit(tmp_path, config=config)
