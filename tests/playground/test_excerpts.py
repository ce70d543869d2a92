"""How inputs and outputs read."""

import pytest

from chains.playground import excerpts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"tone": "kind", "topic": "  two\nlines "}, "two lines"),
        ({"chat": [{"type": "human", "content": "Hi"}]}, "Hi"),
        ({"count": 3}, '{"count": 3}'),
        ([], "[]"),
        ("x" * 200, "x" * 139 + "…"),
        ({"file": "QUJD" * 100, "note": "A photo"}, "A photo"),
        (
            {
                "history": [{"type": "human", "content": "Before"}, {"type": "ai", "content": "Long ago"}],
                "q": "Now",
            },
            "Now",
        ),
    ],
)
def test_an_excerpt_is_the_longest_new_text_on_one_line(value, text):
    assert excerpts.excerpt(value) == text


def test_a_message_is_shown_by_its_content_and_other_values_as_json():
    assert excerpts.as_text({"type": "ai", "content": "Hello"}) == "Hello"
    assert excerpts.as_text({"a": 1}) == '{\n  "a": 1\n}'


def test_a_message_of_blocks_is_shown_by_their_text_and_one_without_any_as_json():
    blocks = ["One ", {"type": "text", "text": "two"}, {"type": "image_url", "image_url": "data:"}]
    assert excerpts.as_text({"type": "ai", "content": blocks}) == "One two"
    assert '"tool_calls"' in excerpts.as_text({"type": "ai", "content": "", "tool_calls": []})
