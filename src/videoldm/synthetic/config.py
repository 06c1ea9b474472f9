"""Settings of the synthetic world: kinds of scenes and their probabilities."""

from pydantic import Field, model_validator

from videoldm.core.config import Config, NonNegative, Share
from videoldm.synthetic.vocabulary import CAMERA_MOTIONS, GROUNDS, CameraMotion, Ground


def _all_but_photo() -> dict[Ground, float]:
    return {ground: 0.0 if ground == "photo" else 1.0 for ground in GROUNDS}


def _all_but_static() -> dict[CameraMotion, float]:
    return {motion: 1.0 for motion in CAMERA_MOTIONS if motion != "static"}


class WorldOptions(Config):
    """Distribution of scenes; plain numbers are probabilities.

    moving_object: applies under a static camera.
    tilted_spin: fraction of spins that are about a tilted axis.
    grounds: relative weights; "photo" needs pictures at render time, so its default is 0.
    """

    second_object: Share = 0.15
    moving_object: Share = 0.75
    moving_object_under_moving_camera: Share = 0.5
    static_camera: Share = 0.65
    spinning_object: Share = 0.15
    tilted_spin: Share = 0.3
    contact_shadow: bool = True
    grounds: dict[Ground, NonNegative] = Field(default_factory=_all_but_photo)
    cameras: dict[CameraMotion, NonNegative] = Field(default_factory=_all_but_static)

    @model_validator(mode="after")
    def _weights_are_usable(self) -> "WorldOptions":
        for name, weights in (("grounds", self.grounds), ("cameras", self.cameras)):
            if sum(weights.values()) <= 0:
                raise ValueError(f"{name} is {weights}, not all of its weights should be 0")
        is_plain_only = all(weight == 0 for ground, weight in self.grounds.items() if ground != "plain")
        if is_plain_only and self.static_camera < 1:
            raise ValueError("grounds has only plain, a moving camera (static_camera below 1) needs a patterned one")
        if self.cameras.get("static"):
            raise ValueError("cameras holds static, set the probability of a static camera by static_camera")
        return self
