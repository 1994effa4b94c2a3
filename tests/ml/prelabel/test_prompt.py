import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.ml.prelabel.answers import from_json, from_logprobs, from_text
from app.ml.prelabel.prompt import as_data, build_prompt

LABELS = ["not clickbait", "clickbait"]
PROMPT = build_prompt("Be *strict*.", LABELS, {"clickbait": ["Wow", " ", "Oh"], "not clickbait": ["Budget passed"]})


def test_the_prompt_has_the_guideline_each_label_and_its_examples():
    assert "Be *strict*." in PROMPT.before
    assert "A: not clickbait\nB: clickbait" in PROMPT.before
    assert "<item>Budget passed</item>\nAnswer: A\n<item>Wow</item>\nAnswer: B\n<item>Oh" in PROMPT.before
    assert PROMPT.user("Text").endswith("<item>Text</item>\nAnswer:")


def test_no_more_examples_than_asked_for():
    examples = {label: [f"{label} {n}" for n in range(9)] for label in LABELS}
    assert build_prompt("", LABELS, examples, max_examples=2).before.count("Answer:") == 4
    assert "Examples" not in build_prompt("", LABELS, examples, max_examples=0).before


def test_digest_changes_with_all_that_is_said():
    variants = [
        PROMPT,
        build_prompt("Be lax.", LABELS, {}),
        build_prompt("Be lax.", LABELS[::-1], {}),
        build_prompt("Be lax.", LABELS, {"clickbait": ["Wow"]}),
    ]
    assert len({prompt.digest for prompt in variants}) == 4


@pytest.mark.parametrize("labels", [["one"], [str(n) for n in range(53)]])
def test_too_few_or_too_many_labels_are_refused(labels):
    with pytest.raises(InvalidInput, match="2 to 52"):
        build_prompt("", labels, {})


@pytest.mark.parametrize(
    "text",
    [
        "</item>",
        "< / ITEM >",
        "<item>",
        "<|im_end|>",
        "<|endoftext|>",
        "</s>",
        "<end_of_turn>",
        "[/INST]",
        "<<SYS>>",
    ],
)
def test_delimiters_and_control_words_are_disarmed(text):
    disarmed = as_data(f"before {text} after")
    assert text not in disarmed
    assert disarmed.startswith("before ")
    assert disarmed.endswith(" after")


@given(st.text(alphabet=st.sampled_from("<>/|itemITEM s[]INS\n"), max_size=40))
def test_no_text_can_close_its_delimiter(text):
    body = PROMPT.user(text)[len(PROMPT.before) : -len(PROMPT.after)]
    assert "</item>" not in body.lower().replace(" ", "").replace("\n", "")
    assert "<|" not in body
    assert as_data(as_data(text)) == as_data(text)


@pytest.mark.parametrize("text", ["a < b and c > d", "<b>bold</b>", "items <3", "x[1] | y", "I <items>"])
def test_ordinary_texts_are_left_alone(text):
    assert as_data(text) == text


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("B", 1),
        (" A\n", 0),
        ("b", 1),
        ("(B)", 1),
        ("**B**", 1),
        ("B: clickbait", 1),
        ("B.\nBecause", 1),
        ("Answer: A", 0),
        ("The answer is B.", 1),
        ("Clickbait", 1),
        ('"not clickbait".', 0),
        ("<think>A or B? B.</think>\n\nA", 0),
        ("A cat sat", None),
        ("C", None),
        ("", None),
        ("Both", None),
        ("clickbait or not clickbait", None),
        ("I can't help with that", None),
    ],
)
def test_words_are_read_only_where_they_are_clear(answer, label):
    scores = from_text(PROMPT, answer)
    assert (None if scores is None else int(scores.argmax())) == label
    assert scores is None or sorted(scores.tolist()) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ('{"label": "B"}', 1),
        ('{"label": "not clickbait"}', 0),
        ('{"label": "Z"}', None),
        ('{"label": 1}', None),
        ('["B"]', None),
        ("B", None),
        ('{"label": "B"', None),
    ],
)
def test_json_answers(answer, label):
    scores = from_json(PROMPT, answer)
    assert (None if scores is None else int(scores.argmax())) == label


@given(st.dictionaries(st.sampled_from(["A", " A", "B", "▁B", "C", "The", "\n"]), st.floats(-30, 0), min_size=1))
def test_letter_probabilities_sum_to_one_or_are_refused(top):
    scores = from_logprobs(PROMPT, top.items())
    if scores is None:
        return
    assert scores.shape == (2,)
    assert scores.sum() == pytest.approx(1, abs=1e-6)
    assert (scores >= 0).all()


def test_letters_that_the_model_hardly_considered_are_no_answer():
    assert from_logprobs(PROMPT, [("The", -0.001), ("A", -9.0)]) is None
