"""Columns that say how far the value beside them may be trusted.

This module finds status columns by their names and their contents, reads their words and codes (Good and 良好, OPC DA
192 and 0, OPC UA 0x80000000, states of PI, flags), and makes them the quality of their tags: a bad value is missing,
an uncertain one is kept and marked. A status column is never a tag.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.evidence import Evidence, Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.ledger import Note
from backmix.data.notation.cells import STATES
from backmix.data.quality import Quality
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.reading import ReadPlan
from backmix.data.shapes import words
from backmix.data.shapes.clocks import is_clock, labels
from backmix.data.shapes.series import shown
from backmix.data.table import missing_column
from backmix.errors import InputError
from backmix.text import say

ALL = "*"
"""In place of a tag: the status of the whole row."""
_MOST = 200
"""Different words that a status column may have."""
_GOOD = "good ok o.k. normal valid confirmed g gut gültig bon bueno 良好 良 好 正常 有效 合格 可用 良质量"
_UNCERTAIN = (
    "uncertain unsicher questionable doubtful suspect suspicious substituted estimated u ? "
    "可疑 不確定 存疑 待確認 估計 估算 不确定"
)
_BAD = (
    "bad schlecht ungültig mauvais malo error fail failed failure fault invalid b x "
    "不良 壞 壞值 不佳 異常 異常值 無效 錯誤 失敗 故障 不合格 坏 异常 无效 错误"
)
_WORDS = {
    **dict.fromkeys(_GOOD.split(), Quality.GOOD),
    **dict.fromkeys(_UNCERTAIN.split(), Quality.UNCERTAIN),
    **dict.fromkeys(_BAD.split(), Quality.BAD),
}
_LEADS = (("good", Quality.GOOD), ("uncertain", Quality.UNCERTAIN), ("bad", Quality.BAD))
_SURE = words.several("""quality qualities qual opcquality questionable substituted annotated
品質 質量 質量碼 品質碼 品質狀態 可疑 质量 质量码""")
"""Words that can mean nothing but a quality; "status" may be the state of a pump."""
_ONE_IS_GOOD = frozenset(["good", "valid", "isgood", "is_good", "isvalid", "is_valid", "有效"])
_ONE_IS_BAD = frozenset(["bad", "invalid", "invalidity", "questionable", "可疑"])
_ONE_IS_DOUBT = frozenset(["substituted", "annotated"])
_FLAGS = {
    "true": 1.0,
    "false": 0.0,
    "t": 1.0,
    "f": 0.0,
    "yes": 1.0,
    "no": 0.0,
    "y": 1.0,
    "n": 0.0,
    "是": 1.0,
    "否": 0.0,
}
_OPC_DA = frozenset((0, 4, 8, 12, 16, 20, 24, 28, 32, 64, 68, 80, 84, 88, 192, 216))
"""Codes of OPC DA; the two lowest bits say at which limit a value stands."""
_ENDING = "|".join(sorted((re.escape(word).replace("_", "[ _]?") for word in words.QUALITY), key=len, reverse=True))
_REPEAT = r"(?:\.\d{1,3}|[ _]?\(\d{1,3}\))?"
_BEHIND = re.compile(rf"(?i)^(?P<base>.+?)(?P<gap>[\s._\-/:|,(\[@]*)(?P<word>{_ENDING})[)\]]?{_REPEAT}$")
_BEFORE = re.compile(rf"(?i)^(?P<word>{_ENDING})(?P<gap>[\s._\-/:|,(\[@]+)(?P<base>.+?)[)\]]?$")
_VALUE_OF = re.compile(r"(?i)[\s._\-/:|]+(?:pv|value|val|mv|reading|數值|值|測值)$")


@dataclass(frozen=True, eq=False)
class RowQuality:
    """What a status column says of each row: (N,) `Quality`; an empty cell says nothing, so it is good."""

    quality: NDArray[np.uint8]

    def applied(self, column: RawColumn, rows: int, name: str) -> tuple[RawColumn, list[Note]]:
        """The column of a tag with these qualities; what is bad is no value any more."""
        import pyarrow as pa
        import pyarrow.compute as pc

        bad = self.quality == Quality.BAD
        quality = self.quality if column.quality is None else np.maximum(self.quality, column.quality)
        marked = replace(column, quality=quality)
        if bad.any():
            if marked.numbers is not None:
                marked = replace(marked, numbers=np.where(bad, np.nan, marked.numbers))
            if marked.texts is not None:
                kept = pc.if_else(pa.array(bad), None, marked.texts.combine_chunks())
                marked = replace(marked, texts=kept if isinstance(kept, pa.ChunkedArray) else pa.chunked_array([kept]))
        counts = ((Quality.BAD, "shape.reason_bad"), (Quality.UNCERTAIN, "shape.reason_uncertain"))
        notes = [
            Note("marked", reason, int((self.quality == level).sum()), tag=name or None) for level, reason in counts
        ]
        return marked, [note for note in notes if note.count]


def attached(raw: RawTable, plan: ReadPlan, clock: Sequence[str]) -> RawTable:
    """The table with its status columns turned into the qualities of their tags.

    Raises InputError (data.missing_column, shape.bad_status), OpenQuestion (shape.which_status, shape.what_is_good).
    """
    status = dict(plan.status) if plan.status is not None else _found(raw, plan, clock)
    if not status:
        return raw
    columns = {column.name: column for column in raw.columns}
    for name, tag in status.items():
        for wanted in (name, tag):
            if wanted != ALL and wanted not in columns:
                raise missing_column(wanted, raw.names, raw.where)
    notes = list(raw.notes)
    axes = {*clock, plan.batch}
    together = [columns[name] for name in status]
    for name, tag in status.items():
        judged = qualities(columns[name], raw.rows, plan, raw, together)
        of = [tag] if tag != ALL else [other for other in columns if other not in status and other not in axes]
        for each in of:
            columns[each], marked = judged.applied(columns[each], raw.rows, each)
            notes += marked
    kept = tuple(columns[name] for name in raw.names if name not in status)
    return replace(raw, columns=kept, notes=tuple(notes), evidence=(*raw.evidence, *_evidence(status, plan)))


def _evidence(status: dict[str, str], plan: ReadPlan) -> tuple[Evidence, ...]:
    if plan.status is not None:
        return ()
    name, tag = next(iter(status.items()))
    values = {"column": name, "tag": tag, "count": len(status)}
    return (Evidence("status", status, "shape.evidence_status", values),)


def _found(raw: RawTable, plan: ReadPlan, clock: Sequence[str]) -> dict[str, str]:
    """Status columns and their tags, by name, by place, and by what stands in them."""
    described = {tag.name for tag in plan.tags if tag.role is not None or tag.type is not None}
    lab = set(plan.lab.reports) | set(plan.lab.named) if plan.lab is not None else set()
    rest = [c for c in raw.columns if c.name not in (*clock, plan.batch) and c.name not in described | lab]
    named = owners([column.name for column in rest], raw.names)
    generic = [c for c in rest if c.name not in named and words.plain(c.name) in words.QUALITY]
    others = [
        c.name
        for c in raw.columns
        if c.name not in (*clock, plan.batch, *named) and c not in generic and not is_clock(c)
    ]
    by_place = {}
    for column in generic:
        before = raw.names[raw.names.index(column.name) - 1] if raw.names.index(column.name) else ""
        if before in others:
            by_place[column.name] = before
    columns = {column.name: column for column in raw.columns}
    status = {}
    pairs = len(by_place) == len(others)  # every tag has its status behind it
    for name in raw.names:
        owner = named.get(name) or by_place.get(name)
        if owner is None:
            continue
        column, word = columns[name], _word(name)
        levels = _levels(column, raw.rows, plan, word, [columns[other] for other in (*named, *by_place)])
        flags = levels is None and _are_flags(column, raw.rows)
        if name in by_place and not pairs:
            if levels is not None and not flags:
                raise _which_status(raw, name, owner, rows_too=True)
            continue
        if name in by_place and len(by_place) == 1 and levels and column.texts is not None:
            raise _which_status(raw, name, owner, rows_too=False)  # good and bad may be the classes of a target
        if levels is not None or (word in _SURE and (flags or _are_words(column, raw.rows))):
            status[name] = owner
        elif flags and name in named:
            raise _which_status(raw, name, owner, rows_too=False)
    return status


def owners(columns: Iterable[str], names: Sequence[str]) -> dict[str, str]:
    """Column -> the tag whose status it is, going by the names alone; those that are none's are left out.

    >>> owners(["FI101.Status", "品質 FI101", "IQ"], ["FI101", "FI101.Status", "I", "IQ"])
    {'FI101.Status': 'FI101', '品質 FI101': 'FI101'}
    """
    exact, bases = defaultdict(list), defaultdict(list)
    for name in names:
        exact[name.strip().casefold()].append(name)
        bases[_VALUE_OF.sub("", name.strip()).casefold()].append(name)
    tags = {}
    for column in columns:
        for form in (_BEHIND, _BEFORE):
            fits = form.match(column.strip())
            if fits is None:
                continue
            ascii_word = fits["word"].isascii()
            if ascii_word and not fits["gap"] and not (fits["word"][0].isupper() and len(fits["word"]) > 3):
                continue
            key = fits["base"].strip().casefold()
            others = [name for name in (*exact.get(key, [])[::-1], *bases.get(key, ())) if name != column]
            if others:
                tags[column] = others[0]
                break
    return tags


def _word(name: str) -> str:
    """The word by which a column says that it is a status."""
    plain = words.plain(name)
    if plain in words.QUALITY:
        return plain
    fits = _BEHIND.match(name.strip()) or _BEFORE.match(name.strip())
    return words.plain(fits["word"]) if fits else ""


def qualities(
    column: RawColumn, rows: int, plan: ReadPlan, raw: RawTable, together: Sequence[RawColumn] = ()
) -> RowQuality:
    """What a column of words or codes says of each row.

    together: all status columns of the file, which write in one manner
    Raises OpenQuestion (shape.what_is_good), InputError (shape.bad_status) for a word that nobody knows.
    """
    levels = _levels(column, rows, plan, _word(column.name), together or [column])
    known = labels(column, rows)
    if levels is None:
        raise _what_is_good(raw, column, known.names)
    quality = np.array([*(levels[name] for name in known.names), Quality.GOOD], np.uint8)
    return RowQuality(quality[known.codes])


def _levels(
    column: RawColumn, rows: int, plan: ReadPlan, word: str, together: Sequence[RawColumn]
) -> dict[str, Quality] | None:
    """Word or code -> quality; None when it is not known what they mean."""
    if column.times is not None:
        return None
    names = labels(column, rows).names
    if len(names) > _MOST:
        return None
    if plan.good is not None:
        good = {f"{item:.15g}" if isinstance(item, float | int) else item.casefold() for item in plan.good}
        return {name: Quality.GOOD if name.casefold() in good or _same(name, good) else Quality.BAD for name in names}
    if not names:
        return {}
    levels: dict[str, Quality] = {}
    numbers = {name: code for name in names if (code := _code(name)) is not None}
    for name in names:
        if name not in numbers:
            level = _of_word(name)
            if level is None:
                return _flagged(names, word)
            levels[name] = level
    if numbers:
        codes = {
            code
            for other in together
            for name in labels(other, rows).names[:_MOST]
            if (code := _code(name)) is not None
        }
        of_code = _of_codes(codes | set(numbers.values()))
        if of_code is None:
            return _flagged(names, word)
        levels |= {name: of_code(code) for name, code in numbers.items()}
    return levels


def _same(name: str, good: set[str]) -> bool:
    code = _code(name)
    return code is not None and f"{code:.15g}" in good


def _code(name: str) -> float | None:
    if re.fullmatch(r"0[xX][0-9A-Fa-f]{1,8}", name):
        return float(int(name, 16))
    return float(name) if re.fullmatch(r"-?\d{1,10}(?:\.0*)?", name) else None


def _of_word(name: str) -> Quality | None:
    """The quality that a word says, also in forms such as "Good, Non-Specific", "BadNoData", "192 (Good)"."""
    word = " ".join(name.split()).casefold()
    if word in _WORDS:
        return _WORDS[word]
    if word in STATES:
        return Quality.BAD
    bare = re.sub(r"^(?:0x[0-9a-f]+|\d+)\s*[-:(\[]*\s*|[)\]]+$", "", word)
    for lead, level in _LEADS:
        if re.match(rf"{lead}(?:[^a-z]|$)", bare) or re.match(rf"(?i:{lead})[A-Z_]", name):
            return level
    return None


def _of_codes(codes: set[float]) -> Callable[[float], Quality] | None:
    """How a set of codes is read: OPC DA, OPC UA, or states of PI; None for flags and everything else."""
    whole = all(code == int(code) for code in codes)
    if not whole:
        return None
    if all(int(code) & ~3 in _OPC_DA for code in codes) and any(code >= 64 for code in codes):
        return lambda code: (Quality.BAD, Quality.UNCERTAIN, Quality.BAD, Quality.GOOD)[int(code) >> 6]
    if all(code == 0 or 0x40000000 <= code <= 0xFFFFFFFF or 0 < code < 0x10000000 for code in codes) and any(
        code >= 0x40000000 for code in codes
    ):
        return lambda code: (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD, Quality.BAD)[int(code) >> 30]
    if min(codes) < 0 and max(codes) == 0:
        return lambda code: Quality.GOOD if code == 0 else Quality.BAD
    return None


def _flagged(names: Sequence[str], word: str) -> dict[str, Quality] | None:
    """Flags whose meaning their name decides: good = 1, questionable = 1."""
    flags = {name: _flag(name) for name in names}
    if None in flags.values():
        return None
    if word in _ONE_IS_GOOD:
        return {name: Quality.GOOD if flag else Quality.BAD for name, flag in flags.items()}
    if word in _ONE_IS_BAD | _ONE_IS_DOUBT:
        raised = Quality.BAD if word in _ONE_IS_BAD else Quality.UNCERTAIN
        return {name: raised if flag else Quality.GOOD for name, flag in flags.items()}
    return None


def _flag(name: str) -> float | None:
    code = _code(name)
    return code if code in (0, 1) else _FLAGS.get(name.casefold())


def _are_flags(column: RawColumn, rows: int) -> bool:
    names = labels(column, rows).names if column.times is None else ()
    return bool(names) and all(_flag(name) is not None for name in names)


def _are_words(column: RawColumn, rows: int) -> bool:
    """Few words or codes: a quality that is not known yet, rather than a measured one."""
    return column.times is None and 0 < len(labels(column, rows).names) <= 6


def _which_status(raw: RawTable, name: str, owner: str, *, rows_too: bool) -> OpenQuestion:
    """Stop with the tags whose status a column may be."""
    answers: list[dict[str, str]] = [{name: owner}]
    answers += [{name: ALL}] if rows_too else []
    shown_as = [say("shape.status_of", tag=owner)] + ([say("shape.status_of_rows")] if rows_too else [])
    readings = (
        *(Interpretation(value, text) for value, text in zip(answers, shown_as, strict=True)),
        Interpretation({}, say("shape.status_none", column=name)),
    )
    columns = {column.name: column for column in raw.columns}
    row = tuple(f"{each} = {shown(columns[each], 0)}" for each in (owner, name))
    question = LayoutQuestion("status", readings, row=row, where=raw.at(0, name))
    return OpenQuestion("shape.which_status", question=question, where=raw.where, column=name, tag=owner)


def _what_is_good(raw: RawTable, column: RawColumn, names: Sequence[str]) -> InputError:
    """Stop with each word that may be the good one; with too many words it is an error that shows one."""
    if not 0 < len(names) <= 6:
        return InputError("shape.bad_status", where=raw.where, column=column.name, text=next(iter(names), "")[:60])
    options: list[float | str] = [code if (code := _code(name)) is not None else name for name in names]
    if set(options) <= {0.0, 1.0}:
        options = [0.0, 1.0]
    readings = tuple(
        Interpretation([_whole(choice)], say("shape.good_is", column=column.name, word=_whole(choice)))
        for choice in options
    )
    known = labels(column, raw.rows)
    row = int(np.argmax(known.codes >= 0))
    question = LayoutQuestion("good", readings, row=(shown(column, row),), where=raw.at(row, column.name))
    return OpenQuestion(
        "shape.what_is_good", question=question, where=raw.where, column=column.name, words=", ".join(map(str, names))
    )


def _whole(choice: float | str) -> float | str:
    return int(choice) if isinstance(choice, float) and choice == int(choice) else choice
