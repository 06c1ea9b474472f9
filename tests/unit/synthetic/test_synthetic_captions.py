"""Captions must say the truth: a parser written here gets every fact of the scene back from the sentence."""

import itertools
import re

import pytest

from videoldm.synthetic.captions import NUM_VARIANTS, caption, caption_words, image_caption, labels, mirrored_caption
from videoldm.synthetic.scene import sample_scene, scene_from
from videoldm.synthetic.vocabulary import CAMERA_MOTIONS, COLOURS, OBJECT_MOTIONS, SHAPES, mirrored

MOTION_PATTERNS = {
    "left": r"(?<!camera )moves (to the )?left",
    "right": r"(?<!camera )moves (to the )?right",
    "towards": r"comes closer|moves towards",
    "away": r"moves away",
    "up": r"rises|moves up",
}
CAMERA_PATTERNS = {
    "pan_left": r"pans (to the )?left",
    "pan_right": r"pans (to the )?right",
    "zoom_in": r"zooms in",
    "zoom_out": r"zooms out",
    "orbit_left": r"(orbits|circles to the) left",
    "orbit_right": r"(orbits|circles to the) right",
}
GROUND_PATTERNS = {"plain": "plain", "checker": "checkered", "stripes": "striped", "speckle": "speckled"}


def only_match(patterns, text, default):
    found = [name for name, pattern in patterns.items() if re.search(pattern, text)]
    assert len(found) <= 1, text
    return found[0] if found else default


def parse(text):
    names = re.findall(rf"\b({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})\b", text)
    colour, shape = names[0]
    motion = only_match(MOTION_PATTERNS, text, "still")
    camera = only_match(CAMERA_PATTERNS, text, "static")
    return (
        SHAPES.index(shape),
        list(COLOURS).index(colour),
        OBJECT_MOTIONS.index(motion),
        CAMERA_MOTIONS.index(camera),
    )


def facts(scene):
    truth = labels(scene)
    return truth.shape, truth.colour, truth.motion, truth.camera


@pytest.mark.parametrize("camera", CAMERA_MOTIONS)
def test_every_wording_of_every_motion_can_be_read_back(camera):
    for (number, motion), variant in itertools.product(enumerate(OBJECT_MOTIONS), range(NUM_VARIANTS)):
        scene = scene_from(shape=SHAPES[number % 5], colour="orange", motion=motion, camera=camera, seed=variant)
        assert parse(caption(scene, variant)) == facts(scene), caption(scene, variant)


def test_captions_of_drawn_scenes_can_be_read_back_and_stay_in_the_vocabulary():
    words, used = set(caption_words()), set()
    assert len(words) <= 80
    for index in range(800):
        scene = sample_scene(5, "train", index)
        text = caption(scene, index)
        assert parse(text) == facts(scene), text
        assert ("spinning" in text) == bool(scene.objects[0].spin_rate)
        assert text == text.lower()
        used |= set(re.findall(r"[a-z]+", text))
        assert re.fullmatch(r"[a-z ,]+", text)
    assert used | {"printed"} == words  # nothing is listed that is never said


@pytest.mark.parametrize("camera", CAMERA_MOTIONS)
def test_a_mirrored_caption_says_what_the_mirror_image_shows(camera):
    for (number, motion), variant in itertools.product(enumerate(OBJECT_MOTIONS), range(NUM_VARIANTS)):
        seen = {"shape": SHAPES[number % 5], "colour": "orange", "seed": variant}
        text = caption(scene_from(motion=motion, camera=camera, **seen), variant)
        mirror_image = scene_from(motion=mirrored(motion), camera=mirrored(camera), **seen)
        assert parse(mirrored_caption(text)) == facts(mirror_image), text


def test_both_objects_are_named_in_order():
    scene = next(s for s in (sample_scene(0, "train", i) for i in range(200)) if len(s.objects) == 2)
    names = [f"{body.colour} {body.shape}" for body in scene.objects]
    for text in (*(caption(scene, variant) for variant in range(NUM_VARIANTS)), image_caption(scene)):
        assert re.search(f"{names[0]} in front of an? {names[1]}", text)


def test_image_caption_names_object_and_ground_and_no_motion():
    for index in range(300):
        scene = sample_scene(0, "test", index)
        text = image_caption(scene)
        assert parse(text)[:2] == facts(scene)[:2]
        assert only_match(GROUND_PATTERNS, text, None) == scene.backdrop.ground
        assert not {"camera", "moves", "spinning", "still", "rises", "view"} & set(text.split())


def test_articles():
    assert caption(scene_from(shape="cube", colour="orange")).startswith("an orange cube")
    assert caption(scene_from(shape="cube", colour="red")).startswith("a red cube")


def test_different_variants_give_different_sentences():
    scene = scene_from(shape="cube", colour="red", motion="left", camera="pan_left")
    assert len({caption(scene, variant) for variant in range(NUM_VARIANTS)}) >= 14
