"""What a judge network should read from a clip: class indices of a scene."""

from dataclasses import dataclass

from videoldm.synthetic.elements import Scene
from videoldm.synthetic.vocabulary import CAMERA_MOTIONS, COLOURS, OBJECT_MOTIONS, SHAPES


@dataclass(frozen=True)
class SceneLabels:
    """Indices into SHAPES, COLOURS, OBJECT_MOTIONS and CAMERA_MOTIONS, for the scene's first object."""

    shape: int
    colour: int
    motion: int
    camera: int


def labels(scene: Scene) -> SceneLabels:
    """The class indices of `scene`."""
    body = scene.objects[0]
    return SceneLabels(
        shape=SHAPES.index(body.shape),
        colour=list(COLOURS).index(body.colour),
        motion=OBJECT_MOTIONS.index(body.motion),
        camera=CAMERA_MOTIONS.index(scene.camera.motion),
    )
