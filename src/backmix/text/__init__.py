"""Every sentence a person reads, in English and Traditional Chinese.

In: a key of the catalogue, ``stage.name`` (``data.empty_file``), and values for the blanks (``str.format``).
Out: the sentence in the language of the moment (`say`).
The catalogue is one TOML file per stage beside this module, one table per sentence, both languages side by side,
so that neither can be forgotten:

    [empty_file]
    en = "{where} is empty. Export the table again with its header row."
    zh_TW = "{where} 是空檔。請連同標題列重新匯出。"
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

Language = Literal["en", "zh_TW"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

_spoken: ContextVar[Language | None] = ContextVar("backmix_language", default=None)


def language() -> Language:
    """The language of the moment: the one set by `speak`, else ``BACKMIX_LANG``, else English.

    >>> with speak("zh_TW"):
    ...     language()
    'zh_TW'
    """
    chosen = _spoken.get()
    if chosen is not None:
        return chosen
    return "zh_TW" if os.environ.get("BACKMIX_LANG", "").replace("-", "_").startswith("zh") else "en"


@contextmanager
def speak(lang: Language) -> Iterator[None]:
    """Use one language inside a ``with`` block."""
    token = _spoken.set(lang)
    try:
        yield
    finally:
        _spoken.reset(token)


def say(key: str, lang: Language | None = None, /, **values: Any) -> str:
    """The sentence of ``key`` (``stage.name``) in ``lang`` with its blanks filled.

    Raises KeyError for a key that the catalogue lacks: that is a fault of the program.
    """
    stage, _, name = key.partition(".")
    return sentences(stage)[name][lang or language()].format(**values)


def title_of(key: str, lang: Language | None = None, /, *, otherwise: str) -> str:
    """The sentence of ``key``; ``otherwise`` for a part of another distribution, which has none here.

    >>> title_of("tasks.soft_sensor", "en", otherwise="soft_sensor"), title_of("tasks.mine", otherwise="mine")
    ('soft sensor', 'mine')
    """
    stage, _, name = key.partition(".")
    return say(key, lang) if name in sentences(stage) else otherwise


@cache
def sentences(stage: str) -> dict[str, dict[str, str]]:
    """All sentences of one stage: name -> language -> text."""
    return tomllib.loads((files(__name__) / f"{stage}.toml").read_text("utf-8"))


def stages() -> list[str]:
    """The stages that have sentences, in alphabetical order."""
    return sorted(f.name.removesuffix(".toml") for f in files(__name__).iterdir() if f.name.endswith(".toml"))
