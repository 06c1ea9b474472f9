"""Exact captions of a scene in a small closed vocabulary, and its class labels."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from videoldm.synthetic.elements import Scene, SceneObject
from videoldm.synthetic.vocabulary import COLOURS, LABELS, SHAPES, CameraMotion, Ground, ObjectMotion

VERBS: Mapping[ObjectMotion, tuple[str, str]] = {
    "still": ("stands still", "stays in place"),
    "left": ("moves left", "moves to the left"),
    "right": ("moves right", "moves to the right"),
    "towards": ("comes closer", "moves towards the camera"),
    "away": ("moves away", "moves away from the camera"),
    "up": ("rises", "moves up"),
}

CAMERAS: Mapping[CameraMotion, tuple[str, str]] = {
    "static": ("the camera is still", "the camera does not move"),
    "pan_left": ("the camera pans left", "the camera pans to the left"),
    "pan_right": ("the camera pans right", "the camera pans to the right"),
    "zoom_in": ("the camera zooms in", "the view zooms in"),
    "zoom_out": ("the camera zooms out", "the view zooms out"),
    "orbit_left": ("the camera orbits left", "the camera circles to the left"),
    "orbit_right": ("the camera orbits right", "the camera circles to the right"),
}

AROUND: Mapping[CameraMotion, str] = {
    "static": "over",
    "pan_left": "over",
    "pan_right": "over",
    "zoom_in": "on",
    "zoom_out": "from",
    "orbit_left": "around",
    "orbit_right": "around",
}
"""Preposition between a camera's motion and the still object it looks at."""

GROUND_PHRASES: Mapping[Ground, str] = {
    "plain": "a plain ground",
    "checker": "a checkered ground",
    "stripes": "a striped ground",
    "speckle": "a speckled ground",
    "photo": "a printed ground",
}

NUM_VARIANTS = 24
"""Number of wordings of `caption`; larger variants start over."""


@dataclass(frozen=True)
class SceneLabels:
    """Indices into the classes of `LABELS`, for the scene's first object and its camera."""

    shape: int
    colour: int
    motion: int
    camera: int


def mirrored_caption(text: str) -> str:
    """Return what a caption says of the mirror image: left and right change places."""
    return re.sub(r"\b(left|right)\b", lambda word: "right" if word[0] == "left" else "left", text)


def caption(scene: Scene, variant: int = 0) -> str:
    """Return a sentence that states exactly what moves and how; `variant` selects a wording of the same facts."""
    template, wording = variant % 6, variant // 6 % 4
    body, path = scene.objects[0], scene.camera.motion
    subject = _subject(scene)
    verb = VERBS[body.motion][wording % 2]
    camera = CAMERAS[path][wording // 2]
    place = _place(scene)
    aside = "" if path == "static" else f", {camera}"
    match template:
        case 0:
            return f"{subject} {verb} {place}{aside}"
        case 1:
            return f"{subject} {verb}{aside}"
        case 2:
            return f"{place}, {subject} {verb}{aside}"
        case 3:
            return f"{camera} while {subject} {verb}"
        case 4 if body.motion == "still" and path != "static":
            return f"{CAMERAS[path][0]} {AROUND[path]} {subject} {place}"
        case _:
            return f"{subject} {verb} {place}, {camera}"


def image_caption(scene: Scene) -> str:
    """Return a sentence about one frame, without any motion."""
    return f"{_subject(scene, with_motion=False)} {_place(scene)}"


def caption_words() -> tuple[str, ...]:
    """Return every word that a caption can contain, sorted; beside words there are only commas."""
    phrases = [*GROUND_PHRASES.values(), *AROUND.values(), *SHAPES, *COLOURS, "on over while an spinning in front of"]
    phrases += [wording for pair in (*VERBS.values(), *CAMERAS.values()) for wording in pair]
    return tuple(sorted({word for phrase in phrases for word in phrase.split()}))


def labels(scene: Scene) -> SceneLabels:
    """Return the class indices of `scene`, which a classifier should predict from a clip."""
    body = scene.objects[0]
    return SceneLabels(
        shape=LABELS["shape"].index(body.shape),
        colour=LABELS["colour"].index(body.colour),
        motion=LABELS["motion"].index(body.motion),
        camera=LABELS["camera"].index(scene.camera.motion),
    )


def _subject(scene: Scene, *, with_motion: bool = True) -> str:
    body = scene.objects[0]
    spinning = "spinning " if with_motion and body.spin_rate else ""
    others = "".join(f" in front of {_article(_name(other))}" for other in scene.objects[1:])
    return _article(f"{spinning}{_name(body)}") + others


def _name(body: SceneObject) -> str:
    return f"{body.colour} {body.shape}"


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _place(scene: Scene) -> str:
    preposition = "over" if scene.objects[0].motion == "up" else "on"
    return f"{preposition} {GROUND_PHRASES[scene.backdrop.ground]}"
