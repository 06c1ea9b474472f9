"""Trust in pickles: given around what opens files, taken back after it, and nobody else's."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from videoldm.checkpoints.storage.pickles import pickled_tensors
from videoldm.checkpoints.storage.trust import are_pickles_trusted, pickles_trusted
from videoldm.checkpoints.storage.weights_file import tensors_in, weights_file
from videoldm.core.errors import InputError

WEIGHT = torch.arange(6.0).reshape(2, 3)


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"weight": WEIGHT}, path)
    return path


def _refused(path: Path) -> bool:
    with pytest.raises(InputError, match=r"is a pickle, which can run any code when it is read; --allow-pickle reads"):
        tensors_in(path)
    return True


def test_a_pickle_is_refused_unless_it_is_trusted(pickled: Path) -> None:
    assert _refused(pickled)
    with pytest.raises(InputError, match="is a pickle"):
        pickled_tensors(pickled)
    with pickles_trusted():
        assert torch.equal(tensors_in(pickled)["weight"].read(), WEIGHT)
    assert _refused(pickled)


def test_what_was_opened_under_trust_is_read_later(pickled: Path) -> None:
    with pickles_trusted():
        tensors = tensors_in(pickled)
    assert not are_pickles_trusted()
    assert torch.equal(tensors["weight"].read(), WEIGHT)


def test_trust_ends_with_an_error(pickled: Path) -> None:
    with pytest.raises(RuntimeError), pickles_trusted():
        raise RuntimeError
    assert _refused(pickled)


def test_trust_of_no_other_thread(pickled: Path) -> None:
    with ThreadPoolExecutor(1) as pool, pickles_trusted():
        assert pool.submit(_refused, pickled).result()


def test_no_trust_takes_none_away(pickled: Path) -> None:
    with pickles_trusted(when=False):
        assert _refused(pickled)
    with pickles_trusted(), pickles_trusted(when=False):
        assert "weight" in tensors_in(pickled)


def test_a_folder_of_pickles(pickled: Path) -> None:
    with pytest.raises(InputError, match="is a pickle, which can run any code when it is read; --allow-pickle runs no"):
        weights_file(pickled.parent, "model", None)
    with pickles_trusted():
        assert weights_file(pickled.parent, "model", None) == pickled


def test_an_index_of_pickles_is_trusted_as_a_whole(pickled: Path) -> None:
    index = pickled.with_name("pytorch_model.bin.index.json")
    index.write_text(json.dumps({"weight_map": {"weight": pickled.name}}))
    assert _refused(index)
    with pickles_trusted():
        assert torch.equal(tensors_in(index)["weight"].read(), WEIGHT)
