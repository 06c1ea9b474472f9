"""Processes of a job: numbers from torchrun's environment, and helpers that are trivial where there is one."""

import pytest

from videoldm.core import ranks
from videoldm.core.errors import InputError


def test_one_process_is_the_first_and_waits_for_nobody() -> None:
    assert (ranks.rank(), ranks.world_size(), ranks.is_first()) == (0, 1, True)
    assert ranks.device_of_rank("cuda:3") == "cuda:3"
    assert ranks.local_share(range(5)) == range(5)
    assert ranks.all_gather("here") == ["here"]
    assert ranks.on_first(lambda: 3) == ranks.first_then_others(lambda: 3) == 3
    with ranks.process_group("cpu"):
        ranks.barrier()


def test_shares_are_contiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    shares = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        shares.append(list(ranks.local_share(range(10, 16))))
    assert shares == [[10, 11], [12, 13], [14, 15]]
    assert not ranks.is_first()
    with pytest.raises(AssertionError, match="7 items cannot be shared by 3 processes"):
        ranks.local_share(range(7))


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert ranks.device_of_rank("cpu") == "cpu"
    assert ranks.device_of_rank("cuda") == "cuda:1"
    with pytest.raises(InputError, match="--device is 'cuda:0', with 4 processes it should be cpu or cuda"):
        ranks.device_of_rank("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(InputError, match="this machine has 2 GPUs, too few for its processes"):
        ranks.device_of_rank("cuda")
