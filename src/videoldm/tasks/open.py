"""Finding a model by what a user calls it."""

from __future__ import annotations

import re
from pathlib import Path

from videoldm.assets.models import shipped_models
from videoldm.core.errors import InputError
from videoldm.tasks.config import TaskName
from videoldm.tasks.files import ModelFiles, require_task
from videoldm.tasks.folder import NativeFolder, is_native

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(/[\w./-]+\.safetensors)?")


def may_be_model(name: str) -> bool:
    """Whether the name is that of a model in the package or could be one on the hub."""
    return name in shipped_models() or _HUB_ID.fullmatch(name) is not None


def open_model(
    name: str,
    *,
    variant: str | None = None,
    unet: str | None = None,
    tokenizer: str | None = None,
    allow_pickle: bool = False,
) -> ModelFiles:
    """A model that is in the package, a folder (ours or a pipeline of diffusers), a file, or a model of the hub.

    No weights are read. `variant` names one of several precisions in a pipeline's folder, such as "fp16", `unet` the
    file of another UNet for a published model, such as a distilled one, and `tokenizer` the folder of one for a model
    that has none. Of pickles, if they are allowed, only tensors are read. Raises InputError if there is no such model
    or its files do not fit together.
    """
    shipped = shipped_models()
    path = shipped.get(name, Path(name))
    if not name.strip():
        raise InputError("model is '', it should be a name or a path")
    if path.is_dir() and is_native(path):
        for what, given in {"another UNet": unet, "another tokenizer": tokenizer, "a variant": variant}.items():
            if given is not None:
                raise InputError(f"model {name} is one of ours, {what} ({given}) goes with published models only")
        return NativeFolder(name=name, folder=path)
    if path.exists() or _HUB_ID.fullmatch(name):
        from videoldm.tasks.published import open_published

        return open_published(name, variant=variant, unet=unet, tokenizer=tokenizer, allow_pickle=allow_pickle)
    raise InputError(
        f"model {name!r} is neither in the package ({', '.join(shipped)}) nor a folder or file nor a name on the hub "
        "such as stabilityai/stable-video-diffusion-img2vid"
    )


def open_for_task(name: str, task: TaskName) -> ModelFiles:
    """As `open_model`; also raises InputError if the model cannot do the task."""
    files = open_model(name)
    require_task(files, task)
    return files
