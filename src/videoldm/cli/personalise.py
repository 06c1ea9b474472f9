"""`videoldm personalise`: the layers of an image model under a video model's temporal ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from videoldm.cli.options import OPTIONS, Verb
from videoldm.core.config import Config

DESCRIPTION = """Make a video model show what an image model has learned, by DreamBooth for example.

The image model's layers take the place of the video model's own; the temporal layers stay. Where the two have different
text encoders, the image model's layers read with its own and the temporal ones with the video model's.

examples:
  videoldm train mini-dreambooth
  videoldm personalise mini runs/mini-dreambooth/export -o mine/
  videoldm generate --model mine/ --prompt "a white torus on a plain ground moves left"
"""


class PersonaliseOptions(Config):
    """Which two models become which."""

    model_config = OPTIONS

    video: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="VIDEO_MODEL")]]
    """A text-to-video model of our own layout: in the package or a folder."""
    image: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="IMAGE_MODEL")]]
    """Export of a run for pictures: a text-to-image model like the one that the video model grew from."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")]
    """Folder of the new model."""


def run(options: PersonaliseOptions) -> None:
    """Put together and write."""
    from videoldm.pipelines.personalise import personalise

    personalise(options.video, options.image, Path(options.output))
    print(options.output)


VERB = Verb(
    name="personalise", options=PersonaliseOptions, run=run, description=DESCRIPTION, positional=("video", "image")
)
