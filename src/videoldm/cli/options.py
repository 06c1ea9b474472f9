"""From the words of a command line to the frozen options of a verb, and the help on them.

Reading is ours, because each thing that is wrong should come out as one line that names the option; the help page is
tyro's, made from the same class.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict

from videoldm.core.config import Config, validate
from videoldm.core.errors import InputError, hint

O = TypeVar("O", bound=Config)  # noqa: E741 - O for options

SHORT_NAMES = {"-o": "--output", "-h": "--help"}
END_OF_OPTIONS = "--"


def option_name(field: str) -> str:
    """`num_frames` is read from --num-frames, `from_` (a word of Python) from --from."""
    return "--" + field.rstrip("_").replace("_", "-")


OPTIONS = ConfigDict(alias_generator=option_name)
"""The model_config of every class of options, so that errors name options as they are typed."""


class PickleOption(Config):
    """The option of verbs that read published checkpoints."""

    model_config = OPTIONS

    allow_pickle: bool = False
    """Also read .ckpt, .bin and .pt files: their tensors only, no code in them runs."""


def trust_in_pickles(options: PickleOption) -> AbstractContextManager[None]:
    """Return a context in which pickles are read if the options say so."""
    from videoldm.checkpoints.storage.trust import pickles_trusted

    return pickles_trusted(when=options.allow_pickle)


@dataclass(frozen=True, kw_only=True)
class OwnGrammar:
    """Options of a verb that are read by rules of their own, before the others, into one field."""

    field: str
    names: Sequence[str]
    split: Callable[[Sequence[str]], tuple[object, list[str]]]
    """The field's value, and the words that are left."""


@dataclass(frozen=True, kw_only=True)
class Verb(Generic[O]):
    """A verb: how its words are read, explained and carried out.

    Every field of `options` is an option with one value, or a flag if it is a bool. Words without an option go to the
    `positional` fields in their order, those left over to the field `rest`. `aliases` are other names of options, as
    users of other programs type them.
    """

    name: str
    options: type[O]
    run: Callable[[O], None]
    description: str
    positional: Sequence[str] = ()
    rest: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    own_grammar: OwnGrammar | None = None

    def __call__(self, words: Sequence[str]) -> None:
        """Do what `words`, the command line after the verb, say; raises InputError for words that mean nothing."""
        if _asks_for_help(words):
            self.print_help()
            return
        options = self.read(words)
        try:
            with self._warnings_as_typed():
                self.run(options)
        except InputError as error:
            text = self._as_typed(str(error))
            if text == str(error):
                raise
            raise InputError(text) from error

    def read(self, words: Sequence[str]) -> O:
        """The options that `words` give; raises InputError with one line for each thing that is wrong."""
        values, others = self._split(words)
        for name in self.positional:
            if option_name(name) in values:
                continue
            if others:
                values[option_name(name)] = others.pop(0)
            elif self.options.model_fields[name].is_required():
                raise InputError(f"{self.name}: the {name} is missing, see videoldm {self.name} --help")
        if self.rest is not None:
            values[option_name(self.rest)] = others
        elif others:
            raise InputError(f"{self.name}: {others[0]!r} is one word too many; a text of several words goes in quotes")
        try:
            return validate(self.options, values, source=self.name)
        except InputError as error:
            raise InputError(self._with_option_names(str(error))) from None

    def print_help(self) -> None:
        """Write the help page to stdout."""
        import tyro

        with suppress(SystemExit):  # main ends the process
            tyro.cli(
                self.options,
                prog=f"videoldm {self.name}",
                description=self.description,
                args=["--help"],
                config=(tyro.conf.DisallowNone, tyro.conf.FlagCreatePairsOff),
            )

    def _split(self, words: Sequence[str]) -> tuple[dict[str, object], list[str]]:
        """Values by option, and the words that belong to none."""
        is_flag = self._is_flag_by_option()
        own: Sequence[str] = ()
        values: dict[str, object] = {}
        if self.own_grammar is not None:
            own = self.own_grammar.names
            values[option_name(self.own_grammar.field)], words = self.own_grammar.split(words)
        others: list[str] = []
        remaining = iter(words)
        for word in remaining:
            if word == END_OF_OPTIONS:
                others.extend(remaining)
            elif not word.startswith("-") or word == "-":
                others.append(word)
            else:
                typed, sign, value = word.partition("=")
                name = SHORT_NAMES.get(typed, typed.replace("_", "-"))
                name = self.aliases.get(name, name)
                if name not in is_flag:
                    listed = f"the options are {', '.join(sorted([*self._listed(), *own]))}"
                    raise InputError(f"{self.name}: unknown option {typed}, {hint(name, [*is_flag, *own], listed)}")
                if name in values:
                    raise InputError(f"{self.name}: {name} is given twice")
                values[name] = self._value(typed, value if sign else None, remaining, is_flag=is_flag[name])
        return values, others

    def _value(self, typed: str, value: str | None, remaining: Iterator[str], *, is_flag: bool) -> str | bool:
        if is_flag:
            if value is not None:
                raise InputError(f"{self.name}: {typed} is {value!r}, it takes no value")
            return True
        if value is None:
            value = next(remaining, None)
            if value is None or value.startswith("--") or value in SHORT_NAMES:
                raise InputError(f"{self.name}: {typed} has no value after it")
        return value

    def _is_flag_by_option(self) -> Mapping[str, bool]:
        without = (self.rest, self.own_grammar and self.own_grammar.field)
        fields = self.options.model_fields.items()
        return {option_name(name): info.annotation is bool for name, info in fields if name not in without}

    def _listed(self) -> list[str]:
        """The options as help lists them: without those that need no name."""
        return [option for option in self._is_flag_by_option() if option not in map(option_name, self.positional)]

    def _as_typed(self, text: str) -> str:
        """Return a message about a field with the field spelled as it is typed: "--seed is ..." for "seed is ..."."""
        name, _, rest = text.partition(" ")
        is_field = name in self.options.model_fields and rest.startswith(("is ", "are ", "has ", "cannot "))
        return f"{option_name(name)} {rest}" if is_field else text

    @contextmanager
    def _warnings_as_typed(self) -> Generator[None]:
        with warnings.catch_warnings():
            show: Callable[..., None] = warnings.showwarning

            def show_as_typed(message: Warning | str, *others: Any, **named: Any) -> None:
                show(self._as_typed(str(message)), *others, **named)

            warnings.showwarning = show_as_typed
            yield

    def _with_option_names(self, text: str) -> str:
        """`text` with the names of fields, as rules about several fields use them, spelled as they are typed."""
        names = [name for name in self.options.model_fields if "_" in name.rstrip("_")]
        for name in names:
            text = re.sub(rf"(?<![\w-]){name}(?!\w)", option_name(name), text)
        return text


def _asks_for_help(words: Sequence[str]) -> bool:
    before_end = words[: words.index(END_OF_OPTIONS)] if END_OF_OPTIONS in words else words
    return any(word in ("-h", "--help") for word in before_end)
