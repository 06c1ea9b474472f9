import pytest
import torch

from videoldm.diffusion.conditioning import FIELDS, Conditioning


@pytest.fixture
def full():
    return Conditioning(
        context=torch.arange(24.0).view(2, 3, 4),
        temporal_context=torch.ones(2, 5, 4),
        vector=torch.arange(10.0).view(2, 1, 5).expand(-1, 6, -1),
        concat=torch.ones(2, 6, 3, 2, 2),
        noise_index=torch.tensor([3, 20]),
        frame_mask=torch.ones(2, 6),
        image_only=torch.tensor([[False] * 6, [True] * 6]),
    )


def test_temporal_tokens_are_the_context_unless_given(full):
    assert full.temporal_tokens is full.temporal_context
    assert full.replace(temporal_context=None).temporal_tokens is full.context


def test_to_casts_numbers_and_leaves_booleans_and_indices(full):
    cast = full.to(dtype=torch.bfloat16)
    dtypes = {name: getattr(cast, name).dtype for name in FIELDS}
    assert dtypes.pop("image_only") is torch.bool
    assert dtypes.pop("noise_index") is torch.int64
    assert set(dtypes.values()) == {torch.bfloat16}
    assert cast.to("meta").context.is_meta


def test_zeros_touches_the_named_fields_only(full):
    emptied = full.zeros("context", "concat")
    assert not emptied.context.any()
    assert not emptied.concat.any()
    assert emptied.vector is full.vector
    assert full.context.any()
    assert Conditioning().zeros("context").context is None


def test_an_unknown_field_is_an_error(full):
    with pytest.raises(AttributeError):
        full.zeros("colour")
    with pytest.raises(TypeError):
        full.replace(colour=None)


def test_cat_undoes_selection(full):
    joined = Conditioning.cat([full[0:1], full[[1]]])
    assert all(torch.equal(getattr(joined, name), getattr(full, name)) for name in FIELDS)


def test_selection_follows_the_indices(full):
    swapped = full[torch.tensor([1, 0])]
    assert torch.equal(swapped.context[0], full.context[1])
    assert swapped.image_only[0].all()


def test_cat_leaves_out_what_no_part_has():
    assert Conditioning.cat([Conditioning(), Conditioning()]) == Conditioning()


def test_cat_refuses_parts_with_different_fields(full):
    with pytest.raises(ValueError, match="'vector' is given in 1 of 2 parts"):
        Conditioning.cat([full, full.replace(vector=None)])
