"""Selections as they are typed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from made_tables import typed

from videoldm.core.config import from_yaml, to_yaml
from videoldm.core.errors import InputError
from videoldm.curation.selection.config import (
    AtMost,
    DropHighest,
    DropLowest,
    Selection,
    Where,
    parse_share,
    split_filters,
)


def test_filters_of_the_paper_are_read_in_their_order() -> None:
    words = "data --drop-lowest motion=25% aesthetics=12.5% text_similarity=0.5 --drop-highest text_area=25% --out x"
    filters, others = split_filters([*words.split(), "--text-area-max", "0.07", "--where", "duration_s > 2"])
    assert filters == (
        DropLowest(value="motion", share=Fraction(1, 4)),
        DropLowest(value="aesthetics", share=Fraction(1, 8)),
        DropLowest(value="text_similarity", share=Fraction(1, 2)),
        DropHighest(value="text_area", share=Fraction(1, 4)),
        AtMost(value="text_area", limit=0.07),
        Where(sql="duration_s > 2"),
    )
    assert others == ["data", "--out", "x"]


def test_other_spellings_mean_the_same() -> None:
    other, _ = split_filters(["--drop_lowest=motion=25%", "--text-area-max=7%", "--where=a = 1"])
    plain, _ = split_filters(["--drop-lowest", "motion=0.25", "--text-area-max", ".07", "--where", "a = 1"])
    assert other == plain


def test_values_end_where_no_pair_follows() -> None:
    filters, others = split_filters(["--drop-lowest", "motion=25%", "folder", "--", "--where"])
    assert len(filters) == 1
    assert others == ["folder", "--", "--where"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--drop-lowest", "motion"], "--drop-lowest is 'motion', it should be NAME=SHARE such as motion=25%"),
        (["--drop-lowest", "motion=25"], "--drop-lowest motion is '25', it should be a share between 0 and 1"),
        (["--drop-lowest", "motion=0%"], "motion is '0%', it should be a share between 0 and 1 such as 25% or 0.25"),
        (["--drop-highest", "a=25%", "b=x"], "--drop-highest b is 'x', it should be a share"),
        (["--drop-lowest", "--where", "a"], "--drop-lowest: its value is missing"),
        (["--where"], "--where: its value is missing"),
        (["--where", " "], "--where is ' ', it should be a condition"),
        (["--text-area-max", "7"], "--text-area-max is '7', it should be a share of the frame such as 0.07"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=r"^[^\n]*$") as caught:
        split_filters(words)
    assert message in str(caught.value)


def test_shares_are_exact() -> None:
    assert parse_share("29%", name="x") * 100 == 29
    assert parse_share("0.1", name="x") == Fraction(1, 10)


def test_selection_survives_yaml() -> None:
    selection = typed(["--drop-lowest", "motion=12.5%", "--where", "path LIKE '%é''%'", "--keep-missing"])
    assert selection.keep_missing
    text = to_yaml(selection)
    assert "share: 1/8" in text
    assert from_yaml(Selection, text) == selection


@pytest.mark.parametrize(("share", "label"), [("1/4", "25%"), ("1/8", "12.5%"), ("1/3", "1/3")])
def test_labels_show_shares_as_people_write_them(share: str, label: str) -> None:
    assert DropLowest(value="motion", share=Fraction(share)).label == f"drop-lowest motion={label}"
