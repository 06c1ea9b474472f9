"""Transitions in videos that are drawn here, frame by frame."""

import dataclasses
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from videoldm.curation.cuts.config import CutConfig, HardCutConfig
from videoldm.curation.cuts.signals import CutSignals
from videoldm.curation.cuts.timeline import find_transitions, safe_spans
from videoldm.synthetic.long import LongVideo
from videoldm.synthetic.timeline import LongVideoOptions

HEIGHT, WIDTH = 72, 128
TICKS = 40
# As many ticks as milliseconds: 25 frames a second.
TIME_BASE = Fraction(1, 1000)
CONFIG = CutConfig()


def scene(seed):
    """A picture in whose middle half a frame can move about."""
    cells = np.random.default_rng(seed).integers(0, 256, (12, 21, 3)).astype(np.uint8)
    return cv2.resize(cells, (3 * WIDTH, 3 * HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.float32)


def view(picture, right=0, down=0):
    return picture[HEIGHT + down : 2 * HEIGHT + down, WIDTH + right : 2 * WIDTH + right]


def shot(seed, num_frames):
    """A slow pan."""
    picture = scene(seed)
    return [view(picture, right=number // 8) for number in range(num_frames)]


def veiled(pictures, strengths, goal):
    return [picture + strength * (goal - picture) for picture, strength in zip(pictures, strengths, strict=True)]


def found_in(pictures, pts=None):
    pts = pts or [TICKS * number for number in range(len(pictures))]
    signals = CutSignals(CONFIG)
    for picture, tick in zip(pictures, pts, strict=True):
        frame = av.VideoFrame.from_ndarray(picture.round().clip(0, 255).astype(np.uint8), format="rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = tick, TIME_BASE
        signals.add(frame)
    table = signals.finish()
    end_pts = pts[-1] + TICKS
    transitions = find_transitions(table, end_pts, CONFIG)
    return transitions, safe_spans(transitions, table, end_pts, CONFIG)


def as_frames(transitions):
    return [(one.kind, one.start_pts // TICKS, one.end_pts // TICKS) for one in transitions]


def test_a_cut_is_the_first_frame_of_the_new_shot():
    transitions, spans = found_in(shot(1, 30) + shot(2, 20) + shot(3, 25))
    assert as_frames(transitions) == [("cut", 30, 30), ("cut", 50, 50)]
    assert [tuple(span) for span in spans] == [(0, 1200, 30), (1200, 2000, 20), (2000, 3000, 25)]
    assert all(0.5 <= one.score <= 1 for one in transitions)


def test_cuts_have_the_source_s_own_time_stamps():
    pts = np.cumsum(np.random.default_rng(0).integers(10, 90, 60)).tolist()
    transitions, spans = found_in(shot(1, 25) + shot(2, 35), pts)
    assert [(one.kind, one.start_pts, one.end_pts) for one in transitions] == [("cut", pts[25], pts[25])]
    assert [tuple(span) for span in spans] == [(pts[0], pts[25], 25), (pts[25], pts[-1] + TICKS, 35)]


def test_one_frame_has_no_transition_and_is_a_span():
    assert found_in(shot(1, 1)) == ([], [(0, TICKS, 1)])


def test_jolts_and_texts_are_no_cuts():
    picture = scene(1)
    jolted = [view(picture, *((0, 0) if number < 20 else (4, -2))) for number in range(40)]
    texted = [view(picture).copy() for _ in range(40)]
    for pixels in texted[20:]:
        pixels[50:62, 10:90] = 255
    assert found_in(jolted)[0] == []
    assert found_in(texted)[0] == []


@pytest.mark.parametrize("still", [np.full((HEIGHT, WIDTH, 3), 60), 0.2 * view(scene(1))], ids=["grey", "picture"])
def test_a_number_that_changes_over_a_still_picture_is_no_cut(still):
    pictures = [still.clip(0, 255).astype(np.uint8) for _ in range(2)]
    for picture, number in zip(pictures, ("12", "48"), strict=True):
        cv2.putText(picture, number, (20, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (255, 255, 255), 3)
    assert found_in([pictures[0]] * 25 + [pictures[1]] * 25)[0] == []


@pytest.mark.parametrize("num_black", [1, 2, 40])
def test_a_fade_through_black_is_two_transitions(num_black):
    ramp = np.linspace(0, 1, 12)[1:-1]
    strengths = np.concatenate([np.zeros(30), ramp, np.ones(num_black), ramp[::-1], np.zeros(30)])
    half = 40 + num_black // 2
    pictures = shot(1, half) + shot(2, len(strengths) - half)
    transitions, spans = found_in(veiled(pictures, strengths, 0))
    middle = transitions[0].end_pts // TICKS
    assert as_frames(transitions) == [("fade_out", 30, middle), ("fade_in", middle, 50 + num_black)]
    assert 40 < middle <= 40 + num_black + 2
    assert [span.num_frames for span in spans] == [30, 30]


def test_a_fade_whose_black_frame_is_missing_is_found():
    strengths = [0] * 20 + [0.5, 0.75, 0.75, 0.5] + [0] * 20
    transitions, _ = found_in(veiled(shot(1, 22) + shot(2, 22), strengths, 0))
    assert [one.kind for one in transitions] == ["fade_out", "fade_in"]
    assert (transitions[0].start_pts, transitions[1].end_pts) == (20 * TICKS, 24 * TICKS)


def test_videos_begin_and_end_with_fades():
    ramp = np.linspace(1, 0, 11)[:-1]
    strengths = np.concatenate([ramp, np.zeros(30), ramp[::-1]])
    transitions, spans = found_in(veiled(shot(1, 50), strengths, 0))
    assert as_frames(transitions) == [("fade_in", 0, 10), ("fade_out", 40, 50)]
    assert [span.num_frames for span in spans] == [30]


def test_a_dark_shot_with_a_light_in_it_is_a_shot():
    dark = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    dark[30:50, 50:70] = view(scene(3))[30:50, 50:70]
    transitions, spans = found_in([dark] * 40 + shot(1, 30))
    assert as_frames(transitions) == [("cut", 40, 40)]
    assert [span.num_frames for span in spans] == [40, 30]


def test_a_dark_shot_that_begins_with_a_cut_does_not_begin_with_a_fade():
    dark = [0.07 * one for one in shot(2, 10)] + [0.3 * one for one in shot(2, 40)[10:]]
    transitions, spans = found_in(shot(1, 30) + dark)
    assert transitions[0].kind == "cut"
    assert spans[0].num_frames == 30


def test_black_is_no_shot():
    black = [np.zeros((HEIGHT, WIDTH, 3), np.float32)] * 30
    transitions, spans = found_in(shot(1, 30) + black + shot(2, 20))
    assert as_frames(transitions) == [("fade_out", 30, 60)]
    assert [span.num_frames for span in spans] == [30, 20]


@pytest.mark.parametrize("level", [(30, 30, 30), (120, 120, 120), (16, 40, 96)], ids=["pedestal", "grey", "blue"])
@pytest.mark.parametrize("has_ramps", [True, False])
def test_one_colour_is_no_shot(level, has_ramps):
    ramp = np.linspace(0, 1, 12)[1:-1] if has_ramps else []
    strengths = np.concatenate([np.zeros(30), ramp, np.ones(40), ramp[::-1], np.zeros(30)])
    half = len(strengths) // 2
    colour = np.float32(level)
    transitions, spans = found_in(veiled(shot(1, half) + shot(2, len(strengths) - half), strengths, colour))
    assert {one.kind for one in transitions} <= {"fade_out", "fade_in"}
    assert [span.num_frames for span in spans] == pytest.approx([30, 30], abs=2)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_video_of_one_colour_has_no_shot(level):
    assert found_in([np.full((HEIGHT, WIDTH, 3), level, np.float32)] * 20)[1] == []


def test_black_under_a_logo_is_no_shot():
    pictures = shot(1, 30) + [np.zeros((HEIGHT, WIDTH, 3), np.float32)] * 40 + shot(2, 30)
    pictures = [one.copy() for one in pictures]
    for one in pictures:
        one[4:14, WIDTH - 24 : WIDTH - 4] = 230
    _, spans = found_in(pictures)
    assert [span.num_frames for span in spans] == [30, 30]


@pytest.mark.parametrize("peak", [1.0, 0.6])
def test_flashes_divide_spans_only_between_shots(peak):
    strengths = peak * np.array([0] * 30 + [0.5, 1, 0.5] + [0] * 30)
    transitions, spans = found_in(veiled(shot(1, 63), strengths, 255))
    assert as_frames(transitions) == [("flash", 30, 33)]
    assert [span.num_frames for span in spans] == [63]
    transitions, spans = found_in(veiled(shot(1, 32) + shot(2, 31), strengths, 255))
    assert as_frames(transitions) == [("flash", 30, 33)]
    assert [span.num_frames for span in spans] == [30, 30]


def test_a_cut_right_after_a_flash_is_found():
    strengths = [0] * 30 + [0.5, 1, 0.5] + [0] * 20
    darker = [0.6 * picture for picture in shot(2, 18)]
    transitions, spans = found_in(veiled(shot(1, 35) + darker, strengths, 255))
    assert as_frames(transitions) == [("flash", 30, 33), ("cut", 35, 35)]
    assert [span.num_frames for span in spans] == [35, 18]


def test_a_white_that_lasts_is_a_fade():
    ramp = np.linspace(0, 1, 12)[1:-1]
    strengths = np.concatenate([np.zeros(30), ramp, ramp[::-1], np.zeros(30)])
    transitions, _ = found_in(veiled(shot(1, 40) + shot(2, 40), strengths, 255))
    assert [one.kind for one in transitions] == ["fade_out", "fade_in"]


@pytest.mark.parametrize("num_mixed", [5, 12, 40])
def test_dissolves_are_left_out_whole(num_mixed):
    before, after = shot(1, 40 + num_mixed), shot(2, 40 + num_mixed)
    shares = np.linspace(0, 1, num_mixed + 2)[1:-1]
    mixed = [old + share * (new - old) for old, new, share in zip(before[40:], after[:num_mixed], shares, strict=True)]
    transitions, spans = found_in(before[:40] + mixed + after[num_mixed:])
    assert [one.kind for one in transitions] == ["dissolve"]
    assert transitions[0].start_pts / TICKS == pytest.approx(40, abs=1 + num_mixed / 20)
    assert transitions[0].end_pts / TICKS == pytest.approx(40 + num_mixed, abs=1 + num_mixed / 20)
    assert sum(span.num_frames for span in spans) == pytest.approx(80, abs=2 + num_mixed / 10)


def test_a_dissolve_between_stills_is_found_although_nothing_moves():
    old, new = view(scene(3)), view(scene(4))
    mixed = [old + share * (new - old) for share in np.linspace(0, 1, 7)[1:-1]]
    transitions, _ = found_in([old] * 20 + mixed + [new] * 20)
    assert as_frames(transitions) == [("dissolve", 20, 25)]


def test_fast_motion_is_no_cut():
    picture = scene(4)
    right = np.cumsum([0] * 15 + [3, 8, 14, 14, 14, 8, 3] + [0] * 15)
    assert [one.kind for one in found_in([view(picture, right=at - 30) for at in right])[0]] == []


def test_a_cut_to_the_same_view_is_a_jump_cut():
    def acted(right, actor):
        picture = view(scene(12), right=right).copy()
        picture[20:, 10 + actor : 60 + actor] = scene(13)[20:HEIGHT, :50]
        return picture

    transitions, spans = found_in(
        [acted(0, at // 8) for at in range(30)] + [acted(2, 44 + at // 8) for at in range(30)]
    )
    assert as_frames(transitions) == [("jump_cut", 30, 30)]
    assert [span.num_frames for span in spans] == [30, 30]


def test_cuts_between_dark_views_of_one_place_are_found():
    noise = np.random.default_rng(8)
    picture = scene(6) * 0.12
    views = [view(picture, right=at // 4) for at in range(25)] + [view(picture, right=100, down=50)] * 25
    transitions, _ = found_in([pixels + noise.normal(0, 1.5, pixels.shape) for pixels in views])
    assert as_frames(transitions) == [("cut", 25, 25)]


def under_a_light(shots, light, half):
    gain, red, blue = light
    lit = [20 <= number < 60 and number // half % 2 for number in range(80)]
    return lit, [gain * one + (red, 0, blue) if on else one for one, on in zip(shots, lit, strict=True)]


LIGHTS = pytest.mark.parametrize(
    ("half", "light"), [(2, (0.12, 0, 0)), (4, (1.6, 50, 50)), (5, (1.0, 90, -20))], ids=["dark", "bright", "colour"]
)


@LIGHTS
@pytest.mark.parametrize("cut", [40, 43])
def test_a_cut_under_a_light_that_goes_on_and_off_is_a_cut(half, light, cut):
    _, pictures = under_a_light(shot(7, cut) + shot(8, 80 - cut), light, half)
    transitions, spans = found_in(pictures)
    assert ("cut", cut, cut) in as_frames(transitions)
    assert {one.kind for one in transitions} == {"cut", "flicker"}
    assert [span.num_frames for span in spans] == [cut, 80 - cut]


@LIGHTS
def test_lights_that_go_on_and_off_are_flicker_over_one_shot(half, light):
    lit, pictures = under_a_light(shot(7, 80), light, half)
    transitions, spans = found_in(pictures)
    assert [one.kind for one in transitions] == ["flicker"]
    assert transitions[0].start_pts / TICKS == pytest.approx(lit.index(1), abs=1)
    assert transitions[0].end_pts / TICKS == pytest.approx(60, abs=half)
    assert [span.num_frames for span in spans] == [80]


@pytest.mark.parametrize("is_after", [True, False], ids=["after", "before"])
def test_black_beside_a_strobe_is_no_clip(is_after):
    _, pictures = under_a_light(shot(7, 80), (0.0, 0, 0), 4)
    black = [np.zeros_like(pictures[0])] * 50
    lit = pictures[20:60]
    transitions, spans = found_in(pictures[:60] + black if is_after else black + pictures[20:])
    assert {one.kind for one in transitions} == {"flicker", "fade_out" if is_after else "fade_in"}
    assert [span.num_frames for span in spans] == [pytest.approx(len(lit) + 20, abs=4)]


@pytest.mark.parametrize("num_frames", [3, 6])
def test_two_shots_that_take_turns_are_cuts_and_no_flicker(num_frames):
    bright, dark = shot(1, 80), [0.4 * picture for picture in shot(2, 80)]
    pictures = [(dark if number // num_frames % 2 else bright)[number] for number in range(10 * num_frames)]
    transitions, _ = found_in(pictures)
    assert as_frames(transitions) == [("cut", at, at) for at in range(num_frames, 10 * num_frames, num_frames)]


def test_flicker_reaches_to_where_the_lamp_is_switched_on_and_off():
    gains = [0.5] * 12 + 3 * ([1.6] * 4 + [1.0] * 4) + [1.6] * 4 + [0.5] * 12
    transitions, _ = found_in([gain * one for gain, one in zip(gains, shot(7, len(gains)), strict=True)])
    assert as_frames(transitions) == [("flicker", 12, 40)]


ACROSS = np.broadcast_to(np.arange(WIDTH) / WIDTH, (HEIGHT, WIDTH))
IRIS = np.hypot(ACROSS - 0.5, np.arange(HEIGHT)[:, None] / HEIGHT - 0.5) / 0.71


@pytest.mark.parametrize("field", [ACROSS, IRIS], ids=["line", "iris"])
@pytest.mark.parametrize("num_frames", [10, 30])
def test_wipes_have_their_own_kind(field, num_frames):
    before, after = shot(1, 40 + num_frames), shot(2, 40 + num_frames)
    parts = np.linspace(0, 1, num_frames + 2)[1:-1]
    wiped = [
        np.where((field < part)[..., None], new, old)
        for old, new, part in zip(before[40:], after[:num_frames], parts, strict=True)
    ]
    transitions, spans = found_in(before[:40] + wiped + after[num_frames:])
    assert [one.kind for one in transitions] == ["wipe"]
    assert transitions[0].start_pts / TICKS == pytest.approx(40, abs=1 + num_frames / 8)
    assert transitions[0].end_pts / TICKS == pytest.approx(40 + num_frames, abs=1 + num_frames / 8)
    assert len(spans) == 2


def test_pans_are_no_dissolves():
    picture = scene(5)
    sweep = (60 * np.sin(np.arange(100) / 12)).round().astype(int)
    assert found_in([view(picture, right=at) for at in sweep])[0] == []


def blocks_under_a_slow_pan():
    cells = np.random.default_rng(3).integers(0, 256, (12, 40, 3)).astype(np.float32)
    wall = cells.repeat(8, axis=0).repeat(8, axis=1)
    return [wall[:HEIGHT, at : at + WIDTH] for at in range(90)]


def someone_who_walks_by():
    pictures = shot(9, 70)
    coat = scene(10)[: HEIGHT - 12, : WIDTH // 2]
    for number in range(20, 60):
        left = 4 * (number - 20) - WIDTH // 2
        inside = slice(max(left, 0), min(left + WIDTH // 2, WIDTH))
        pictures[number] = pictures[number].copy()
        pictures[number][12:, inside] = coat[:, inside.start - left : inside.stop - left]
    return pictures


def a_zoom_out_of_focus():
    picture, pictures = scene(11), list[np.ndarray]()
    for number in range(60):
        reach = 1 - number / 120
        height, width = round(HEIGHT * reach), round(WIDTH * reach)
        part = picture[HEIGHT : HEIGHT + height, WIDTH : WIDTH + width]
        sigma = 0.3 + 2.5 * np.sin(np.pi * number / 60)
        pictures.append(cv2.GaussianBlur(cv2.resize(part, (WIDTH, HEIGHT)), (0, 0), sigma))
    return pictures


@pytest.mark.parametrize("motion", [blocks_under_a_slow_pan, someone_who_walks_by, a_zoom_out_of_focus])
def test_what_moves_is_no_dissolve(motion):
    assert found_in(motion())[0] == []


def test_thresholds_decide_without_the_frames():
    pictures = shot(1, 30) + shot(2, 30)
    signals = CutSignals(CONFIG)
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture.clip(0, 255).astype(np.uint8), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        signals.add(frame)
    table = signals.finish()
    strict = CutConfig(hard=HardCutConfig(least_probability=1))
    assert len(find_transitions(table, 60, CONFIG)) == 1
    assert find_transitions(table, 60, strict) == []
    shifted = dataclasses.replace(table, pts=table.pts + 1000)
    assert [one.start_pts for one in find_transitions(shifted, 1060, CONFIG)] == [1030]


def test_a_generated_video_has_the_transitions_that_it_was_made_with():
    options = LongVideoOptions(num_shots=5, height=HEIGHT, width=WIDTH, static_shot=0.5)
    video = LongVideo(11, 0, options)
    transitions, _ = found_in([frame.astype(np.float32) for frame in video.frames()])
    cuts = [one.new_shot_frame for one in video.record.transitions if one.kind == "cut"]
    assert [one.start_pts // TICKS for one in transitions if one.kind == "cut"] == cuts
    kinds = [one.kind for one in transitions if one.kind not in ("flash", "fade_in")]
    wanted = [one.kind.replace("fade", "fade_out") for one in video.record.transitions if one.kind != "flash"]
    assert kinds == wanted
    for one in video.record.transitions:
        if one.kind != "cut":
            near = min(transitions, key=lambda other: abs(other.start_pts // TICKS - one.span.first_frame))
            assert abs(near.start_pts // TICKS - one.span.first_frame) <= 2


@pytest.mark.parametrize(("name", "wanted"), [("bikes.mp4", [30, 76, 137, 187, 242]), ("cockatoo.mp4", [])])
def test_real_videos_have_the_cuts_that_can_be_seen(videos_folder, name, wanted):
    signals = CutSignals(CONFIG)
    with av.open(str(videos_folder / name)) as container:
        for frame in container.decode(video=0):
            signals.add(frame)
    table = signals.finish()
    transitions = find_transitions(table, int(table.pts[-1]) + 1, CONFIG)
    assert [(one.kind, table.pts.tolist().index(one.start_pts)) for one in transitions] == [
        ("cut", number) for number in wanted
    ]
