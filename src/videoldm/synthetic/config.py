"""What kinds of scenes the world draws, and how often."""

from pydantic import Field, model_validator

from videoldm.core.config import Config
from videoldm.synthetic.vocabulary import CAMERA_MOTIONS, GROUNDS, CameraMotion, Ground


def _all_but_photo() -> dict[Ground, float]:
    return {ground: 0.0 if ground == "photo" else 1.0 for ground in GROUNDS}


def _all_but_static() -> dict[CameraMotion, float]:
    return {motion: 1.0 for motion in CAMERA_MOTIONS if motion != "static"}


class WorldOptions(Config):
    """The distribution that scenes are drawn from; plain numbers are probabilities.

    `moving_object` holds under a static camera; `tilted_spin` is the part of spins that are about a tilted axis.
    `grounds` are relative weights; "photo" needs pictures at render time, so its weight is 0 unless asked for.
    """

    second_object: float = Field(default=0.15, ge=0.0, le=1.0)
    moving_object: float = Field(default=0.75, ge=0.0, le=1.0)
    moving_object_under_moving_camera: float = Field(default=0.5, ge=0.0, le=1.0)
    static_camera: float = Field(default=0.65, ge=0.0, le=1.0)
    spinning_object: float = Field(default=0.15, ge=0.0, le=1.0)
    tilted_spin: float = Field(default=0.3, ge=0.0, le=1.0)
    contact_shadow: bool = True
    grounds: dict[Ground, float] = Field(default_factory=_all_but_photo)
    cameras: dict[CameraMotion, float] = Field(default_factory=_all_but_static)

    @model_validator(mode="after")
    def _weights_are_usable(self) -> "WorldOptions":
        for name, weights in (("grounds", self.grounds), ("cameras", self.cameras)):
            if min(weights.values(), default=0.0) < 0 or sum(weights.values()) <= 0:
                raise ValueError(f"{name} is {weights}, its weights should be >= 0 and not all 0")
        is_plain_only = all(weight == 0 for ground, weight in self.grounds.items() if ground != "plain")
        if is_plain_only and self.static_camera < 1:
            raise ValueError("grounds has only plain, a moving camera (static_camera below 1) needs a patterned one")
        if self.cameras.get("static"):
            raise ValueError("cameras holds static, how often the camera is static is said by static_camera")
        return self
