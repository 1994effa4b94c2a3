import json

from benchmarks.whole_pool import table


def line(kind, seed, kappa, *, training=400, label_kappa=0.6):
    about = {"data": "d", "engine": "encoder", "prevalence": 0.01, "labels_by": kind, "seed": seed}
    return about | {"positive": 0.01, "training": training, "label_kappa": label_kappa, "measured": {"kappa": kappa}}


def test_a_row_is_of_the_seeds_that_have_both_models_and_says_how_many():
    lines = [line("experts", 0, 0.6), line("experts", 1, 0.8), line("experts", 2, 0.1)]
    lines += [line("hard", 0, 0.4, training=10_000), line("hard", 1, 0.4, training=10_000)]
    row = table(json.loads(json.dumps(lines)))[2]
    assert row == "| d, 1% | encoder | 2 | 400 | 0.700 ± 1.271 | hard | 10,000 | 0.60 | 0.400 ± 0.000 | 1.75 |"


def test_one_seed_has_no_interval_and_a_crowd_without_ours_no_row():
    lines = [line("experts", 0, 0.6), line("alike", 0, 0.5), line("hard", 1, 0.5)]
    assert [row.split(" | ")[5] for row in table(lines)[2:]] == ["alike"]
    assert "±" not in table(lines)[2]


def test_a_model_that_says_the_same_of_everything_has_no_kappa_and_no_ratio():
    lines = [line("experts", 0, None), line("anywhere", 0, 0.5)]
    assert table(lines)[2].endswith("| 0.500 | – |")


def test_all_true_labels_have_no_kappa_of_their_own():
    lines = [line("experts", 0, 0.6), line("gold", 0, 0.8, label_kappa=None)]
    assert table(lines)[2].endswith("| gold | 400 | – | 0.800 | 0.75 |")
