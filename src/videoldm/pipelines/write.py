"""Writing a model in memory as a folder of our own layout."""

from __future__ import annotations

from pathlib import Path

from videoldm.checkpoints.layouts.native import save_component
from videoldm.conditioners.text import TextConditioner
from videoldm.core.files import write_json
from videoldm.core.progress import hide_transformers_bars
from videoldm.pipelines.folder import TASK_FILE, TEMPORAL_TEXT_ENCODER
from videoldm.tasks.model import VideoModel


def write_model(folder: Path, model: VideoModel) -> None:
    """Write all networks of a model and the configuration of its task; weights keep their dtype."""
    save_component(folder / "autoencoder", model.autoencoder, model.autoencoder.config)
    with hide_transformers_bars():
        for name, text in {"text_encoder": model.text, TEMPORAL_TEXT_ENCODER: model.temporal_text}.items():
            if text is not None:
                _write_text_encoder(folder / name, text)
        if model.image is not None:
            model.image.model.save_pretrained(folder / "image_encoder")
    task = folder / model.config.task
    save_component(task / "unet", model.unet, model.unet.config)
    write_json(task / TASK_FILE, model.config.model_dump(mode="json"))


def _write_text_encoder(folder: Path, text: TextConditioner) -> None:
    """Write an encoder and its tokenizer, which fills prompts up as it did here."""
    text.model.save_pretrained(folder)
    tokenizer = text.tokenizer
    if text.config.pad_id is not None:  # that of a single file, as in the published tokenizer of Stable Diffusion 2.1
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(text.config.pad_id)
    tokenizer.save_pretrained(folder)
