import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from app.errors import InvalidInput, RoundCancelled, Unavailable
from app.ml import classifiers
from app.ml.artifacts import ArtifactStore
from app.ml.causal_lm import load_model
from app.ml.classifiers import Examples, PoolSample, TrainingSet
from app.ml.classifiers.lora_config import parse_lora_config
from app.ml.classifiers.lora_training import Lesson, accumulate, train_adapter
from app.ml.label_tokens import tokenise_item, tokenise_prompt
from app.simulate import sample
from tests.ml.tiny_llm import CHATML, NO_SYSTEM, save_tiny

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

THINGS = ["bank", "phone", "city", "council", "film", "garden", "team", "cafe", "car", "shoe", "lamp", "book"]
QUICK = {"epochs": 1, "batch_size": 8, "r": 4, "folds": 0, "guideline": "Shouting is loud."}


@dataclass
class Machine:
    cache_dir: Path
    threads: int = 1


def training_set(things=THINGS, n_labels=2):
    rows = [(f"{thing}{'!?.'[label] * 6}", label) for thing in things for label in range(n_labels)]
    texts, labels = zip(*rows, strict=True)
    return TrainingSet(texts, np.zeros((len(rows), 1), np.float32), np.array(labels), np.arange(len(rows)))


def fit(folder, train=None, n_labels=2, seed=0, progress=None, **config):
    config = {"model": f"path:{folder}", **QUICK, **config}
    return classifiers.engine("lora").fit(train or training_set(), n_labels, config, seed, Machine(folder), progress)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("tiny"), chat_template=CHATML)


@pytest.fixture(scope="module")
def learned(tiny):
    return fit(tiny, epochs=12, learning_rate=0.01, folds=2)


@pytest.fixture
def fp32(monkeypatch):
    """Gradients are compared, and rounding to bf16 would hide what is wrong."""
    monkeypatch.setattr("app.ml.classifiers.lora_training.best_precision", lambda: "fp32")


@pytest.mark.slow
def test_it_learns_and_chooses_its_threshold_on_held_out_items(learned):
    losses = learned.metrics["loss_by_epoch"]
    assert losses[-1] < losses[0] / 4
    proba = learned.predict_proba(["sofa!!!!!!", "sofa??????"], None)
    assert proba.dtype == np.float32
    np.testing.assert_allclose(proba.sum(1), 1, atol=1e-5)
    assert learned.labels(proba).tolist() == [0, 1]
    assert learned.metrics["folds"] == 2
    assert learned.metrics["threshold_source"] == "cross_fitted"
    assert learned.metrics["cross_fitted_kappa"] > 0.8


@pytest.mark.slow
def test_a_saved_model_gives_the_same_answers_and_is_what_peft_reads(learned, tiny, tmp_path):
    store = ArtifactStore(str(tmp_path / "store"))
    learned.save(store, "models/1")
    again = classifiers.load(store, "models/1", Machine(tmp_path))
    texts = [*training_set().texts, "", "x" * 3000]
    np.testing.assert_array_equal(again.predict_proba(texts, None), learned.predict_proba(texts, None))
    assert (again.threshold, again.metrics, again.n_labels) == (learned.threshold, learned.metrics, 2)
    assert {Path(key).suffix for key in store.list()} == {".json", ".safetensors"}
    adapter = json.loads(store.get_bytes("models/1/adapter/adapter_config.json"))
    assert adapter["base_model_name_or_path"] == f"path:{tiny}"
    again.save(store, "models/2")
    weights = [store.get_bytes(f"models/{number}/adapter/adapter_model.safetensors") for number in (1, 2)]
    assert weights[0] == weights[1]


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone(tiny):
    state = torch.get_rng_state()
    first, second, other = fit(tiny, seed=5), fit(tiny, seed=5), fit(tiny, seed=6)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.adapter == second.adapter
    assert first.adapter["adapter_model.safetensors"] != other.adapter["adapter_model.safetensors"]
    assert first.metrics["threshold_source"] == "default"


def lesson(tokenizer):
    train = training_set(THINGS[:4])
    items = [tokenise_item(tokenizer, text * (1 + row % 3)) for row, text in enumerate(train.texts)]
    return Lesson(items, np.eye(2, dtype=np.float32)[train.labels], np.linspace(0.5, 1.5, len(items), dtype=np.float32))


def gradients(folder, **settings):
    """Of one batch; the adapter is moved off its start, where half of the gradients are nought."""
    config = parse_lora_config({**QUICK, "dropout": 0.0, "learning_rate": 0.01, **settings})
    model, tokenizer = load_model(f"path:{folder}", folder)
    prompt = tokenise_prompt(tokenizer, config.prompt(2))
    adapted, _ = train_adapter(model, prompt, lesson(tokenizer), config, 0, lambda: None)
    adapted.train()
    adapted.zero_grad()
    loss = accumulate(adapted.get_base_model(), prompt, lesson(tokenizer), config)
    found = {name: p.grad for name, p in adapted.named_parameters() if p.requires_grad}
    assert all(grad is not None and grad.abs().max() > 0 for grad in found.values())
    return loss, found


@pytest.mark.parametrize("window", [None, 64], ids=["full", "sliding window"])
@pytest.mark.parametrize(
    "settings",
    [{"gradient_checkpointing": True}, {"micro_batch_size": 3}],
    ids=["whole rows, checkpointed", "accumulated in parts"],
)
def test_gradients_do_not_depend_on_how_texts_are_read(tmp_path, fp32, window, settings):
    """A checkpointed row holds the whole prompt: the shared start must pass on exactly its gradients."""
    folder = save_tiny(tmp_path, chat_template=CHATML, window=window)
    loss, shared = gradients(folder)
    other_loss, other = gradients(folder, **settings)
    assert loss == pytest.approx(other_loss, rel=1e-4)
    assert shared.keys() == other.keys()
    for name, grad in shared.items():
        torch.testing.assert_close(grad, other[name], rtol=2e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("chat_template", [None, NO_SYSTEM], ids=["plain", "chat without system"])
def test_other_kinds_of_prompt_and_more_labels_can_be_learnt(tmp_path, chat_template):
    folder = save_tiny(tmp_path, chat_template=chat_template)
    train = training_set(THINGS[:6], n_labels=3)
    fitted = fit(folder, train, n_labels=3, epochs=15, learning_rate=0.01, labels=["loud", "asking", "calm, or so"])
    proba = fitted.predict_proba(train.texts, None)
    assert proba.shape == (18, 3)
    assert fitted.threshold is None
    assert (fitted.labels(proba) == train.labels).mean() > 0.8
    assert "calm, or so" in fitted.about["prompt"]["before"]


@pytest.mark.slow
def test_a_rare_label_weighs_as_much_as_a_frequent_one(tiny):
    full = training_set()
    rare = full.take(np.flatnonzero((full.labels == 0) | (np.arange(len(full)) < 6)))
    fitted = fit(tiny, rare, epochs=12, learning_rate=0.01)
    assert np.bincount(rare.labels).tolist() == [12, 3]
    assert fitted.labels(fitted.predict_proba(["sofa!!!!!!", "sofa??????"], None)).tolist() == [0, 1]


@pytest.mark.slow
def test_with_a_sample_of_the_pool_the_threshold_expects_the_pools_share_and_scores_are_calibrated(tiny, tmp_path):
    loud = [f"{kind}{number}!!!!!!" for kind in THINGS for number in range(8)]
    texts = [*loud, *[f"{kind}??????" for kind in THINGS[:5]]]
    pool = PoolSample(texts, np.zeros((len(texts), 1), np.float32))
    examples = Examples(["zoo??????"], np.zeros((1, 1), np.float32), np.array([1]))
    train = replace(training_set(), pool=pool, examples=examples)
    fitted = fit(tiny, train, epochs=12, learning_rate=0.01, folds=2)
    assert fitted.metrics["threshold_source"] == "pool"
    assert fitted.metrics["training_items"] == 25
    assert fitted.metrics["expected_share_positive"] == pytest.approx(5 / len(texts), abs=0.02)
    assert fitted.labels(fitted.predict_proba(texts, None)).sum() == pytest.approx(5, abs=2)
    assert fitted.reader.calibration.slope != 1
    store = ArtifactStore(str(tmp_path / "store"))
    fitted.save(store, "models/1")
    again = classifiers.load(store, "models/1", Machine(tmp_path))
    np.testing.assert_array_equal(again.predict_proba(texts[-9:], None), fitted.predict_proba(texts[-9:], None))
    assert fit(tiny, train, pool_sample=0).metrics["threshold_source"] == "default"


def test_more_labels_than_two_are_not_cross_fitted_for_a_threshold_that_they_lack(tiny):
    fitted = fit(tiny, training_set(n_labels=3), n_labels=3, folds=3)
    assert (fitted.metrics["folds"], fitted.threshold) == (0, None)


@pytest.mark.slow
def test_texts_on_which_experts_were_divided_are_answered_with_doubt(tiny):
    full = training_set()
    divided = replace(full, soft=np.eye(2)[full.labels] * 0.4 + 0.3)
    sure, doubting = (
        fit(tiny, train, epochs=12, learning_rate=0.01).predict_proba(full.texts, None) for train in (full, divided)
    )
    assert (doubting.argmax(1) == full.labels).mean() > 0.9
    assert doubting.max(1).mean() == pytest.approx(0.7, abs=0.1)
    assert sure.max(1).mean() > 0.9


def test_progress_rises_step_by_step_and_may_stop_the_fit(tiny):
    seen = []
    fit(tiny, epochs=2, folds=1, progress=lambda done, total: seen.append((done, total)))
    steps = [done for done, _ in seen]
    total = 2 * 3 + 2 * 3  # 19 of 24 items in the fold, then all, by 8
    assert steps == sorted(steps)
    assert sorted(set(steps)) == list(range(1, total + 1))
    assert {of for _, of in seen} == {total}

    state = torch.get_rng_state()

    def cancel(done, total):
        raise RoundCancelled("cancelled")

    with pytest.raises(RoundCancelled):
        fit(tiny, progress=cancel)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_training_set_of_one_label_gives_a_model_that_says_so(tmp_path):
    train = training_set().take(np.arange(0, 24, 2))
    fitted = fit(tmp_path / "no model is looked for", train)
    assert fitted.labels(fitted.predict_proba(["anything"], None)).tolist() == [0]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"r": 0}, "r"),
        ({"alpha": "x"}, "alpha"),
        ({"dropout": 1.0}, "dropout"),
        ({"epochs": 1.5}, "epochs"),
        ({"batch_size": True}, "batch_size"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 4090}, "max_tokens"),
        ({"labels": ["only one"]}, "labels"),
        ({"C": 1}, "C"),
        ({"model": "SmolLM2"}, "model"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_its_name(tiny, config, field):
    with pytest.raises(InvalidInput) as caught:
        fit(tiny, **config)
    assert caught.value.detail["field"] == field


def test_a_model_that_cannot_be_loaded_is_said_to_be_unavailable(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "no such kind"}')
    with pytest.raises(Unavailable, match="could not be loaded"):
        fit(tmp_path)


@pytest.mark.slow
def test_smollm2_learns_twenty_ads_from_their_wording(model_cache):
    plain = [ad.text for ad in sample.read_ads() if ad.degree < 0.5]
    bait = [ad.text for ad in sample.read_ads() if ad.degree > 2.2]
    texts, labels = [*plain[:10], *bait[:10]], np.repeat([0, 1], 10)
    train = TrainingSet(texts, np.zeros((20, 1), np.float32), labels, np.arange(20))
    config = {"epochs": 4, "batch_size": 5, "folds": 0, "learning_rate": 1e-3, "labels": sample.LABELS}
    fitted = classifiers.engine("lora").fit(train, 2, config, 0, Machine(model_cache))
    losses = fitted.metrics["loss_by_epoch"]
    assert losses[-1] < losses[0] / 2
    proba = fitted.predict_proba([*plain[20:30], *bait[20:30]], None)
    assert (fitted.labels(proba) == np.repeat([0, 1], 10)).mean() >= 0.75
