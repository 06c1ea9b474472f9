"""Ratings that people gave to clips, in a CSV file."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from videoldm.core.errors import InputError
from videoldm.core.input_file import existing_file

CLIP, RATING = "clip_id", "rating"


def read_ratings(path: Path) -> dict[str, float]:
    """The mean rating of each clip in a CSV file with the columns `clip_id` and `rating`, and any others.

    A clip may be rated by several people, each in a line. Raises InputError that names the line of what is wrong.
    """
    existing_file(path, kind="a CSV file of ratings")
    given: dict[str, list[float]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if lacking := {CLIP, RATING}.difference(reader.fieldnames or ()):
                raise InputError(f"{path}: has no column {min(lacking)}, its first line should name it")
            for line in reader:
                given.setdefault(line[CLIP], []).append(_number(line[RATING], f"{path}: line {reader.line_num}"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV in UTF-8: {error}") from None
    return {clip_id: math.fsum(ratings) / len(ratings) for clip_id, ratings in given.items()}


def _number(text: str | None, where: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where}: rating is {text!r}, it should be a number")
    return number
