"""Small decoders of all kinds with random weights, temporal ones included."""

from tiny_networks import AUTOENCODER

from videoldm.models.autoencoder.config import TemporalDecoder

TEMPORAL = AUTOENCODER.model_copy(update={"decoder": TemporalDecoder()})
DECODERS = {
    "plain": AUTOENCODER,
    "temporal": TEMPORAL,
    "patches": AUTOENCODER.model_copy(update={"patch_size": 2}),
    "temporal patches, wide kernel": TEMPORAL.model_copy(
        update={"patch_size": 2, "decoder": TemporalDecoder(kernel=5, merge_init=0.3)}
    ),
    "one frame kernel": TEMPORAL.model_copy(update={"decoder": TemporalDecoder(kernel=1)}),
    "one level": TEMPORAL.model_copy(update={"channels": (8,)}),
    "maps that shrink": TEMPORAL.model_copy(update={"channels": (4, 32, 4), "norm_groups": 2}),
}
