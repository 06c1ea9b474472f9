import numpy as np
import pytest
import torch

from videoldm.core.errors import InputError
from videoldm.video.contact_sheet import contact_sheet


def _numbered(num_frames, height, width):
    """Frame i is grey of value i."""
    values = torch.arange(num_frames, dtype=torch.float32) / 127.5 - 1
    return values[:, None, None, None].expand(num_frames, 3, height, width)


def _greys(sheet, top, columns, tile_width):
    pixels = np.asarray(sheet)
    return [int(pixels[top, 4 + column * (tile_width + 4) + tile_width // 2, 0]) for column in range(columns)]


def test_small_frames_are_enlarged_by_a_whole_factor():
    noise = torch.rand(3, 3, 64, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sheet = contact_sheet([noise], ["noise"])
    assert sheet.size == (4 + 3 * (144 + 4), 22 + 192 + 4)
    tile = np.asarray(sheet)[22:214, 4:148]
    assert np.array_equal(tile[::3, ::3], tile[2::3, 2::3])
    expected = ((noise[0] + 1) * 127.5).round().permute(1, 2, 0).numpy()
    assert np.array_equal(tile[1::3, 1::3], expected)


def test_frames_are_spread_from_first_to_last():
    sheet = contact_sheet([_numbered(25, 64, 64), _numbered(3, 64, 64)], ["long", "short"], num_columns=5)
    assert _greys(sheet, 22 + 96, 5, 192) == [0, 6, 12, 18, 24]
    assert _greys(sheet, (22 + 196) + 22 + 96, 4, 192) == [0, 1, 2, 255]


def test_large_frames_are_reduced():
    sheet = contact_sheet([_numbered(2, 576, 1024), _numbered(1, 300, 200)], ["wide", "tall"])
    assert sheet.size == (4 + 2 * 196, (22 + 108 + 4) + (22 + 192 + 4))


def test_label_shows_and_is_cut_to_the_row():
    def ink(label):
        sheet = np.asarray(contact_sheet([_numbered(1, 64, 64)], [label]))[:22]
        return (sheet < 128).any(-1)

    assert not ink("").any()
    assert 10 < ink("euler 25").sum() < ink("euler 25, seed 3").sum()
    long = ink("a very long prompt " * 20)
    assert long.any()
    assert not long[:, -4:].any()


@pytest.mark.parametrize(("labels", "columns"), [([], 4), (["a", "b"], 4), (["a"], 0)])
def test_bad_requests(labels, columns):
    with pytest.raises(InputError, match="cannot be drawn"):
        contact_sheet([_numbered(1, 8, 8)], labels, num_columns=columns)
