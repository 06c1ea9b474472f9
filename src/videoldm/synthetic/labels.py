"""What a judge network should read from a clip: class indices of a scene."""

from dataclasses import dataclass

from videoldm.synthetic.elements import Scene
from videoldm.synthetic.vocabulary import LABELS


@dataclass(frozen=True)
class SceneLabels:
    """Indices into the classes of LABELS, for the scene's first object."""

    shape: int
    colour: int
    motion: int
    camera: int


def labels(scene: Scene) -> SceneLabels:
    """The class indices of `scene`."""
    body = scene.objects[0]
    return SceneLabels(
        shape=LABELS["shape"].index(body.shape),
        colour=LABELS["colour"].index(body.colour),
        motion=LABELS["motion"].index(body.motion),
        camera=LABELS["camera"].index(scene.camera.motion),
    )
