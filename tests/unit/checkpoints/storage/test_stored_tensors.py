import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_networks import numbers

from videoldm.checkpoints.storage.safetensors import stored_tensors
from videoldm.core.errors import InputError

TENSORS = {
    "net.full": numbers(3, 4),
    "net.half": numbers(5).half(),
    "net.brain": numbers(2, 2).bfloat16(),
    "net.eight": numbers(4).to(torch.float8_e4m3fn),
    "net.scalar": torch.tensor(3.5),
    "other.none": torch.zeros(0, 3),
    "other.index": torch.arange(5),
    "other.flag": torch.tensor([True, False]),
}


@pytest.fixture
def path(tmp_path):
    save_file(TENSORS, tmp_path / "weights.safetensors", metadata={"format": "pt"})
    return tmp_path / "weights.safetensors"


def test_every_tensor_is_what_the_library_reads(path):
    stored, expected = stored_tensors(path), load_file(path)
    assert stored.keys() == expected.keys()
    for key, value in expected.items():
        assert (stored[key].shape, stored[key].dtype) == (tuple(value.shape), value.dtype)
        assert stored[key].num_bytes == value.nbytes
        read = stored[key].read()
        assert read.dtype is value.dtype
        assert torch.equal(
            read.view(torch.uint8) if value.ndim else read, value.view(torch.uint8) if value.ndim else value
        )


def test_two_reads_share_no_memory(path):
    stored = stored_tensors(path)["net.full"]
    stored.read().zero_()
    assert torch.equal(stored.read(), TENSORS["net.full"])


def test_tensors_in_several_files(path, tmp_path):
    save_file({"far": numbers(2)}, tmp_path / "second.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"far": "second.safetensors", "net.full": path.name}}))
    stored = stored_tensors(index)
    assert stored.keys() == TENSORS.keys() | {"far"}
    assert torch.equal(stored["far"].read(), numbers(2))
    index.write_text("{}")
    with pytest.raises(InputError, match="has no weight_map"):
        stored_tensors(index)
    index.write_text(json.dumps({"weight_map": {"far": "third.safetensors"}}))
    with pytest.raises(InputError, match=r"third.safetensors: does not exist"):
        stored_tensors(index)


def test_damaged_files(path):
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:20], whole[:4], b"a text", b"", b"\xff" * 100):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"^.*weights\.safetensors: "):
            stored_tensors(path)


def test_a_file_that_shrinks_while_it_is_read(path):
    stored = stored_tensors(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="ends too early"):
        [tensor.read() for tensor in stored.values()]
