"""Which characters the bytes of a text file are.

This module finds the encoding of a file and decodes it before anything is split: in Big5 (cp950)
the second byte of a character may be ``\\`` or ``|``, so that splitting bytes would tear characters.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from backmix.data.layout.evidence import Interpretation, LayoutQuestion, OpenQuestion
from backmix.errors import InputError, PlanError

_MARKS = (  # UTF-32 first, because its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 4096
_PIECE = 1 << 24
_NO_FILES = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "unicode-escape"})
"""Codecs for names and for source code: no table is written in them."""
_LATIN_SYMBOLS = re.compile(rb"[\xb0\xb1\xb2\xb3\xb5\xb7\xd7](?=[\x00-\x7f]|$)")
"""° ± ² ³ µ · × as one byte each. Followed by a letter they are also the first half of a Big5 character."""


@dataclass(frozen=True)
class Encoding:
    """What was chosen. ``told`` when the plan named it, ``marked`` when a byte-order mark did."""

    name: str
    told: bool = False
    marked: bool = False

    @property
    def plain(self) -> bool:
        """Whether nothing had to be chosen or removed: unmarked UTF-8."""
        return self.name == "utf-8"


def detect(raw: bytes, where: str, stated: str | None = None) -> Encoding:
    """The encoding of ``raw``: byte-order mark, else UTF-16 by its zeros, else UTF-8, else Big5 (cp950).

    Raises PlanError (read.unknown_encoding) when ``stated`` is none, InputError when no encoding
    fits (read.undecodable) or when Latin-1 symbols and Big5 cannot be told apart
    (read.encoding_unclear).

    >>> detect("溫度,1".encode("cp950"), "a.csv").name
    'cp950'
    """
    marked = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    if stated is not None:
        name = _text_codec(stated)
        if name == "utf-8" and marked != "utf-8-sig":
            if not _decodes(raw, "utf-8"):
                raise _undecodable(raw, "utf-8", where, "read.undecodable_as")
            return Encoding("utf-8", told=True)
        return Encoding("utf-8-sig" if name == "utf-8" else stated, told=True)
    if marked:
        return Encoding(marked, marked=True)
    if wide := _wide(raw[:_SAMPLE]):
        return Encoding(wide)
    if _decodes(raw, "utf-8"):
        return Encoding("utf-8")
    if _decodes(raw, "cp950"):
        if first := _latin(raw):
            raise _ask(raw, first, where)
        return Encoding("cp950")
    raise _undecodable(raw, "cp950", where, "read.undecodable")


def _text_codec(stated: str) -> str:
    """The name of a codec from bytes to text; rot13, zlib and their like are none."""
    try:
        codec = codecs.lookup(stated)
    except (LookupError, ValueError):
        raise PlanError("read.unknown_encoding", encoding=stated) from None
    if not codec._is_text_encoding or codec.name in _NO_FILES:
        raise PlanError("read.no_text_encoding", encoding=stated)
    return codec.name


def decode(raw: bytes, encoding: Encoding, where: str) -> str:
    """The text of ``raw``; InputError (read.undecodable_as) with row and byte when a byte does not fit."""
    try:
        return raw.decode(encoding.name)
    except UnicodeError:
        raise _undecodable(raw, encoding.name, where, "read.undecodable_as") from None


def _latin(raw: bytes) -> int | None:
    """The first of the bytes beyond ASCII when all of them may be Latin-1 symbols standing alone."""
    high = len(raw) - len(raw.translate(None, bytes(range(0x80, 0x100))))
    symbols = [match.start() for match in _LATIN_SYMBOLS.finditer(raw)] if high <= _SAMPLE else []
    return symbols[0] if symbols and len(symbols) == high else None


def _decodes(raw: bytes, name: str) -> bool:
    if raw.isascii():
        return True
    decoder = codecs.getincrementaldecoder(name)()
    try:
        for start in range(0, len(raw), _PIECE):  # in pieces: the text of a whole file may take four times its bytes
            decoder.decode(raw[start : start + _PIECE], final=start + _PIECE >= len(raw))
    except UnicodeDecodeError:
        return False
    return True


def _undecodable(raw: bytes, name: str, where: str, key: str) -> InputError:
    try:
        raw.decode(name)
    except UnicodeDecodeError as fault:
        row, byte = _row(raw, fault.start)
        return InputError(key, where=f"{where}:{row}", encoding=name, byte=f"0x{byte:02x}")
    except UnicodeError:  # utf-16 without a mark complains so
        return InputError(key, where=where, encoding=name, byte="-")
    raise AssertionError(f"{name} decodes")


def _ask(raw: bytes, first: int, where: str) -> OpenQuestion:
    """Stop with the row of the first doubtful byte as either encoding has it."""
    line = _row(raw, first)[0]
    start = max(raw.rfind(b"\n", 0, first), raw.rfind(b"\r", 0, first)) + 1
    ends = [spot for spot in (raw.find(b"\n", first), raw.find(b"\r", first)) if spot >= 0]
    text = raw[start : min(ends, default=len(raw))]
    names = ("cp1252", "cp950")
    readings = tuple(Interpretation(name, text.decode(name, "replace").strip()[:80]) for name in names)
    place = f"{where}:{line}"
    question = LayoutQuestion("encoding", readings, (readings[0].shown,), place)
    return OpenQuestion("read.encoding_unclear", question=question, where=place)


def _row(raw: bytes, spot: int) -> tuple[int, int]:
    """The line of byte ``spot`` and the byte itself."""
    head = raw[:spot]
    return max(head.count(b"\n"), head.count(b"\r")) + 1, raw[spot] if spot < len(raw) else 0


def _wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: in plant tables nearly every other byte is zero, or three of four."""
    if len(head) < 8:
        return None
    zeros = [head[start::4].count(0) / (len(head) // 4) for start in range(4)]
    if min(zeros[2:]) > 0.9 and zeros[0] < 0.5:
        return "utf-32-le"
    if min(zeros[:2]) > 0.9 and zeros[3] < 0.5:
        return "utf-32-be"
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if odd > 0.4 * half and even < 0.1 * half:
        return "utf-16-le"
    if even > 0.4 * half and odd < 0.1 * half:
        return "utf-16-be"
    return None
