"""Dates with words around them, in plain order.

This module takes from a text what does not say when (weekdays, prefixes, "de" and "Uhr"), and puts a time that stands
before or inside its date behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

LETTERS = (
    r"A-Za-zªµº\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{2FF}\x{370}-\x{1FFF}\x{2C00}-\x{2DFF}"
    r"\x{3005}\x{3006}\x{3040}-\x{D7FF}\x{F900}-\x{FAFF}\x{10000}-\x{10FFFF}"
)
"""Any letter, for the brackets of a pattern. Few ranges: a pattern with \\p{L}{3,10} compiles for 4 ms."""
_WEEKDAYS = (
    "mon(?:day)?|tue(?:s|sday)?|wed(?:nesday)?|thu(?:r|rs|rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?|"
    "mo|di|mi|do|fr|sa|so|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag|"
    "lun(?:di|es)?|mer(?:credi)?|mi[eé](?:rcoles)?|jeu(?:di)?|jue(?:ves)?|ven(?:dredi)?|vie(?:rnes)?|sam(?:edi)?|"
    "s[aá]b(?:ado)?|dim(?:anche)?|dom(?:ingo)?|mardi|martes"
)
_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?"
_PATTERNS = (
    (rf"^(?i:{_WEEKDAYS})\.?,? +([\d{LETTERS}])", r"\1"),
    (rf"^mar\.?,? +(\d{{1,2}}\.? [{LETTERS}])", r"\1"),
    (r" *[(（]?(?:星期|週|周|禮拜)[一二三四五六日天][)）]? *", " "),
    (r" *[(（](?:[一二三四五六日]|(?i:mon|tue|wed|thu|fri|sat|sun))[)）] *", " "),
    (rf" *\([{LETTERS} ]+\)$", ""),  # GMT+0800 (Taipei Standard Time)
    (r"^[A-Za-z]-(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})", r"\1"),  # D-1/3/90
    (r" del? ", " "),
    (r" +Uhr$", ""),
    (r"(?i)\b([ap])\. ?m\.?", r"\1m"),
    (rf"^(\d{{1,2}}\.? ?[{LETTERS}]{{3,10}})\. ?(\d)", r"\1 \2"),  # 13 févr. 2024
    (rf"^([{LETTERS}]{{3,10}} +\d{{1,2}}) ({_TIME})( [A-Z]{{3,4}})? (\d{{4}})$", r"\1 \4 \2\3"),  # Mar 13 08:00:00 2024
)
_TIME_FIRST = (
    rf"^({_TIME}(?: ?[AaPp][Mm])?)[ ,]+(\d{{1,4}}[-/. ].*|[{LETTERS}]{{3,}}.*\d.*|\d{{1,2}}[{LETTERS}].*)$",
    r"\2 \1",
)


def tidy(clean: pa.Array) -> pa.Array:
    """Texts with their date first, their time behind it, and nothing else.

    >>> import pyarrow as pa
    >>> tidy(pa.array(["Wed, 13 Mar 2024 08:00", "08:00 13/03/2024", "D-1/3/90"])).to_pylist()
    ['13 Mar 2024 08:00', '13/03/2024 08:00', '1/3/90']
    """
    import pyarrow.compute as pc

    wordy = pc.any(pc.match_substring_regex(clean, f"[{LETTERS}]")).as_py()
    for pattern, by in _PATTERNS if wordy else ():
        clean = pc.replace_substring_regex(clean, pattern=pattern, replacement=by)
    turned = pc.replace_substring_regex(clean, pattern=_TIME_FIRST[0], replacement=_TIME_FIRST[1])
    return pc.utf8_trim_whitespace(turned)
