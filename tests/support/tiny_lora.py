"""Random LoRAs for small networks, and their files in the styles that exist."""

from safetensors.torch import save_file
from tiny_networks import numbers

from videoldm.models.adapters.low_rank import LowRank, adaptable_layers


def random_lora(network, *, stream, rank=3, alpha=2.0, scale=0.3, only=lambda path: True):
    """Updates, of about `scale` times the weights' size, of all layers whose path passes `only`.

    Every second layer has one rank more and another alpha.
    """
    lora = {}
    for position, (path, layer) in enumerate(adaptable_layers(network).items()):
        if not only(path):
            continue
        out, *inner = layer.weight.shape
        size = rank + position % 2
        down = numbers(size, *inner, stream=f"{stream} down {path}")
        up = numbers(out, size, *[1] * (len(inner) - 1), stream=f"{stream} up {path}")
        lora[path] = LowRank(down=scale * down / down[0].numel() ** 0.5, up=up / size**0.5, alpha=alpha + position % 2)
    return lora


def write_kohya(path, lora, *, prefix="lora_unet_", rename=lambda path: path, extra=None):
    """A file of kohya's scripts."""
    tensors = dict(extra or {})
    for native, update in lora.items():
        name = prefix + rename(native).replace(".", "_")
        tensors[f"{name}.lora_down.weight"] = update.down
        tensors[f"{name}.lora_up.weight"] = update.up
        tensors[f"{name}.alpha"] = update.down.new_tensor(update.alpha)
    save_file(tensors, path)
    return path


def is_same(lora, expected):
    """Whether two LoRAs are equal to the bit."""
    return lora.keys() == expected.keys() and all(
        update.alpha == expected[path].alpha
        and update.down.equal(expected[path].down)
        and update.up.equal(expected[path].up)
        for path, update in lora.items()
    )
