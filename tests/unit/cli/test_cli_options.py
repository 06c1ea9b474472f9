"""From words to options, and one line for whatever is wrong with them."""

import pytest
import tyro

from videoldm.cli.options import OPTIONS, OwnGrammar, Verb
from videoldm.core.config import Config
from videoldm.core.errors import InputError
from videoldm.generation.choices import Choices


class _Options(Choices):
    model_config = OPTIONS

    image: tyro.conf.Positional[str | None] = None
    """A picture."""
    output: str | None = None
    """A place."""
    from_: str | None = None
    json_: bool = False


class _Many(Config):
    model_config = OPTIONS

    first: str
    others: tuple[str, ...] = ()


class _Counted(Config):
    model_config = OPTIONS

    place: str
    numbers: tyro.conf.Suppress[tuple[int, ...]] = ()
    is_loud: bool = False


def _split_numbers(words):
    """`--up 3` and `--down 3`, as often as one likes."""
    numbers, others, remaining = [], [], iter(words)
    for word in remaining:
        if word in ("--up", "--down"):
            numbers.append(int(next(remaining)) * (1 if word == "--up" else -1))
        else:
            others.append(word)
    return numbers, others


VERB = Verb(name="make", options=_Options, run=lambda options: None, description="Makes.", positional=("image",))
MANY = Verb(name="m", options=_Many, run=lambda options: None, description="", positional=("first",), rest="others")


COUNTED = Verb(
    name="count",
    options=_Counted,
    run=lambda options: None,
    description="Counts.",
    positional=("place",),
    own_grammar=OwnGrammar(field="numbers", names=("--up", "--down"), split=_split_numbers),
)


def test_options_with_a_grammar_of_their_own() -> None:
    options = COUNTED.read(["--up", "3", "here", "--down", "2", "--is-loud", "--up", "1"])
    assert (options.place, options.numbers, options.is_loud) == ("here", (3, -2, 1), True)
    assert COUNTED.read(["here"]).numbers == ()
    for words, message in (
        (["here", "--dwon", "3"], "count: unknown option --dwon, did you mean --down?"),
        (["here", "--numbers", "3"], "count: unknown option --numbers, the options are --down, --is-loud, --up"),
        (["--up", "3"], "count: the place is missing, see videoldm count --help"),
    ):
        with pytest.raises(InputError) as caught:
            COUNTED.read(words)
        assert str(caught.value) == message


def test_every_form_of_an_option() -> None:
    words = ["--seed", "5", "photo.jpg", "--num_frames=3", "-o", "x.mp4", "--from", "old.mp4", "--json", "--fps", "7.5"]
    options = VERB.read(words)
    assert (options.seed, options.num_frames, options.output, options.from_) == (5, 3, "x.mp4", "old.mp4")
    assert (options.image, options.json_, options.fps) == ("photo.jpg", True, 7.5)


def test_defaults_and_what_was_given() -> None:
    assert VERB.read([]).seed == 23
    assert VERB.read(["--seed", "23"]).model_fields_set == {"seed"}


def test_negative_numbers_and_words_after_two_hyphens() -> None:
    assert VERB.read(["--guidance-scale", "-1.5"]).guidance_scale == -1.5
    assert VERB.read(["--", "--odd.jpg"]).image == "--odd.jpg"


def test_words_left_over() -> None:
    assert MANY.read(["a", "b=1", "c=2"]).others == ("b=1", "c=2")


def test_motion_by_name() -> None:
    assert VERB.read(["--motion-bucket-id", "low"]).motion_bucket_id == "low"
    assert VERB.read(["--motion-bucket-id", "99.5"]).motion_bucket_id == 99.5


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--sed", "1"], "make: unknown option --sed, did you mean --seed or --speed?"),
        (["--steps", "1"], "make: unknown option --steps, did you mean --num-inference-steps?"),
        (["-z"], "make: unknown option -z, the options are --azimuths-deg, --elevations-deg, --fps, --from, "),
        (["--seed"], "make: --seed has no value after it"),
        (["--seed", "--json"], "make: --seed has no value after it"),
        (["--seed", "-o", "x"], "make: --seed has no value after it"),
        (["--json=1"], "make: --json is '1', it takes no value"),
        (["--seed", "1", "--seed=2"], "make: --seed is given twice"),
        (["a.jpg", "b.jpg"], "make: 'b.jpg' is one word too many; a text of several words goes in quotes"),
        (["--seed", "abc"], "make: --seed is 'abc', should be a whole number"),
        (["--seed", "1.5"], "make: --seed is '1.5', should be a whole number"),
        (["--seed", "-1"], "make: --seed is '-1', should be greater than or equal to 0"),
        (["--seed", "9" * 30], f"make: --seed is '{'9' * 30}', should be less than or equal to 9223372036854775807"),
        (["--num-frames", "0"], "make: --num-frames is '0', should be greater than or equal to 1"),
        (["--num-frames", "1" + "0" * 9], "make: --num-frames is '1000000000', should be less than or equal to 10000"),
        (["--height", "-8"], "make: --height is '-8', should be greater than or equal to 1"),
        (["--num-inference-steps", "0"], "make: --num-inference-steps is '0', should be greater than or equal to 1"),
        (["--fps", "nan"], "make: --fps is 'nan', should be a finite number"),
        (["--fps", "0"], "make: --fps is '0', should be greater than or equal to 1"),
        (["--output-fps", "inf"], "make: --output-fps is 'inf', should be a finite number"),
        (["--output-fps", "0"], "make: --output-fps is '0', should be greater than 0"),
        (
            ["--noise-aug-strength", "-0.1"],
            "make: --noise-aug-strength is '-0.1', should be greater than or equal to 0",
        ),
        (["--guidance-scale", "inf"], "make: --guidance-scale is 'inf', should be a finite number"),
        (["--min-guidance-scale", "x"], "make: --min-guidance-scale is 'x', should be a number"),
        (["--motion-bucket-id", "fast"], "make: --motion-bucket-id is 'fast', should be low, medium, high or a number"),
        (["--motion-bucket-id", "nan"], "make: --motion-bucket-id is 'nan', should be low, medium, high or a number"),
        (["--motion-bucket-id", "-1"], "make: --motion-bucket-id is '-1', should be low, medium, high or a number"),
        (["--resize", "blur"], "make: --resize is 'blur', should be 'crop', 'pad' or 'stretch'"),
        (
            ["--guidance-scale", "2", "--max-guidance-scale", "3"],
            "make: --guidance-scale and --max-guidance-scale exclude each other",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(words: list[str], line: str) -> None:
    with pytest.raises(InputError) as caught:
        VERB.read(words)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_each_wrong_value_has_its_line() -> None:
    with pytest.raises(InputError) as caught:
        VERB.read(["--seed", "a", "--fps", "b"])
    assert [line.split(",")[0] for line in str(caught.value).splitlines()] == [
        "make: --seed is 'a'",
        "make: --fps is 'b'",
    ]


def test_missing_word() -> None:
    with pytest.raises(InputError, match="m: the first is missing"):
        MANY.read([])


def test_help_names_every_option_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(options: _Options) -> None:
        raise AssertionError(options)

    for words in (["--help"], ["a.jpg", "-h"], ["--no-such-option", "--help"]):
        Verb(name="make", options=_Options, run=fail, description="Makes.\n\nexample: x", positional=("image",))(words)
        page = capsys.readouterr().out
        assert "Makes." in page
        assert all(name in page for name in ("--seed", "--num-frames", "--motion-bucket-id", "--resize {crop,pad,"))
