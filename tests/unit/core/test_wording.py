"""Words that depend on a number."""

import pytest

from videoldm.core.wording import are, counted, have


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 files have / are"), (1, "1 file has / is"), (2, "2 files have / are"), (1200, "1,200 files have / are")],
)
def test_words_follow_the_number(number: int, words: str) -> None:
    assert f"{counted(number, 'file')} {have(number)} / {are(number)}" == words
