"""The recipes by name; torch-free."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from videoldm.recipes import camera_lora, discrete, dreambooth, finetune, mini, svd, temporal_decoder
from videoldm.training.recipe import Recipe

FUNCTIONS: tuple[Callable[[], Recipe], ...] = (
    mini.mini_autoencoder,
    mini.mini_encoders,
    mini.mini_judge,
    mini.mini_image,
    mini.mini_video,
    mini.mini_video_from_scratch,
    mini.mini_text_to_video,
    mini.mini_image_to_video,
    finetune.finetune,
    finetune.mini_finetune,
    camera_lora.mini_moving_camera,
    camera_lora.camera_horizontal,
    camera_lora.mini_camera_horizontal,
    camera_lora.camera_zooming,
    camera_lora.mini_camera_zooming,
    camera_lora.camera_static,
    camera_lora.mini_camera_static,
    camera_lora.style,
    camera_lora.mini_style,
    dreambooth.dreambooth,
    dreambooth.mini_dreambooth,
    svd.mini_stable_diffusion,
    svd.svd_image_warmup,
    svd.mini_svd_image_warmup,
    svd.svd_image,
    svd.mini_svd_image,
    svd.svd_video_256x384,
    svd.mini_svd_video_256x384,
    svd.svd_video_320x576,
    svd.mini_svd_video_320x576,
    svd.svd_text_to_video_576x1024,
    svd.mini_svd_text_to_video_576x1024,
    svd.svd_image_to_video_320x576,
    svd.mini_svd_image_to_video_320x576,
    svd.svd_image_to_video_576x1024,
    svd.mini_svd_image_to_video_576x1024,
    svd.svd_xt_image_to_video_576x1024,
    svd.mini_svd_xt_image_to_video_576x1024,
    discrete.video_ldm_frames,
    discrete.mini_video_ldm_frames,
    discrete.video_ldm,
    discrete.mini_video_ldm,
    discrete.svd_ablation,
    discrete.mini_svd_ablation,
    discrete.svd_ablation_from_scratch,
    discrete.mini_svd_ablation_from_scratch,
    discrete.svd_ablation_finetuned,
    discrete.mini_svd_ablation_finetuned,
    temporal_decoder.mini_temporal_decoder,
    temporal_decoder.temporal_decoder,
)
"""In the order in which they can be run: later ones read what earlier ones export."""

RECIPES: Mapping[str, Callable[[], Recipe]] = MappingProxyType(
    {function.__name__.replace("_", "-"): function for function in FUNCTIONS}
)
