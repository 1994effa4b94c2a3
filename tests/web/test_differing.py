"""Words that differ between two texts, as safe HTML; tests/web/test_contrast.py has the pairs' side of it."""

from app.web.differing import marked, marked_lines


def test_texts_with_little_in_common_are_not_marked_all_over():
    one, other = (
        "The witnesses shared story after story about loans.",
        "Iniesta, the captain, apologised after",
    )
    assert [str(text) for text in marked(one, other)] == [one, other]
    assert "<mark>slammed</mark>" in marked("The court slammed the plan", "The court criticised the plan")[0]


def test_changed_words_are_marked_line_by_line_and_everything_is_escaped():
    lines = [
        ("same", "<b>Rules</b>"),
        ("removed", "Prices in the text count & more."),
        ("removed", "Gone."),
        ("added", "Prices in the picture count & more."),
        ("same", "…"),
        ("added", "New."),
    ]
    assert [(kind, str(text)) for kind, text in marked_lines(lines)] == [
        ("same", "&lt;b&gt;Rules&lt;/b&gt;"),
        ("removed", "Prices in the <mark>text</mark> count &amp; more."),
        ("removed", "Gone."),
        ("added", "Prices in the <mark>picture</mark> count &amp; more."),
        ("same", "…"),
        ("added", "New."),
    ]
