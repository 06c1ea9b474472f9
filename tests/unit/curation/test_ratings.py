"""Files of ratings: read, averaged, and refused with the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from videoldm.core.errors import InputError
from videoldm.curation.ratings import read_ratings


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8"))
    return path


def test_ratings_of_a_clip_are_averaged(tmp_path: Path) -> None:
    text = '\ufeffwho,clip_id,rating\r\nann,a,3\r\nbob,a,4.5\r\n"c, d",b,-1e0\r\n'
    assert read_ratings(write(tmp_path / "ratings.csv", text)) == {"a": 3.75, "b": -1.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clip_id,stars\na,3\n", "has no column rating, its first line should name it"),
        ("clip_id,rating\na,3\nb,good\n", "line 3: rating is 'good', it should be a number"),
        ("clip_id,rating\na\n", "line 2: rating is None, it should be a number"),
        ("clip_id,rating\na,nan\n", "line 2: rating is 'nan', it should be a number"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_ratings(write(tmp_path / "ratings.csv", text))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_bytes(b"clip_id,rating\n\xff\xfe,3\n")
    with pytest.raises(InputError, match="cannot be read as CSV in UTF-8"):
        read_ratings(tmp_path / "ratings.csv")
    with pytest.raises(InputError, match="does not exist, it should be a CSV file of ratings"):
        read_ratings(tmp_path / "nothing.csv")
