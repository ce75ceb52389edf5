"""What a cell of text says about the time.

This module reads dates: ISO, year first or last, month names, compact digits, and the calendar of
the Republic of China (民國 113/05/02 is 2 May 2024). A date that may be read in two ways is an
error that asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.evidence import Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.ledger import Note
from backmix.data.notation.cells import normal
from backmix.data.reading.columns import NAT, Times
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Place = Callable[[int], str]
Ints = NDArray[np.int64]

_HALF = "AM|PM|am|pm|Am|Pm|上午|下午|凌晨|早上|晚上|中午"
_CLOCK = (
    rf"(?:[T ]+(?P<p>{_HALF})? ?(?P<H>\d{{1,2}}):(?P<M>\d{{1,2}})"
    rf"(?::(?P<S>\d{{1,2}})(?:[.,](?P<f>\d{{1,9}})\d*)?)?"
    rf" ?(?P<q>{_HALF})? ?(?P<z>Z|z|UTC|GMT|[+-]\d{{2}}(?::?\d{{2}})?)?)?$"
)
FORMS = {
    "republic": r"^(?:民國|民国) ?(?P<y>\d{1,3})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})" + _CLOCK,
    "year_first": r"^(?P<y>\d{3,4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})" + _CLOCK,
    "year_last": r"^(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<y>\d{4}|\d{2})" + _CLOCK,
    "month_name": r"^(?P<d>\d{1,2})[-/. ]?(?P<n>[A-Za-z]{3,9})[-/., ]{0,2}(?P<y>\d{4}|\d{2})" + _CLOCK,
    "name_first": r"^(?P<n>[A-Za-z]{3,9})[. ]{1,2}(?P<d>\d{1,2}),? (?P<y>\d{4})" + _CLOCK,
}
COMPACT = (
    r"^(?P<y>\d{4}|1\d{2})(?P<m>\d{2})(?P<d>\d{2})"
    r"(?:[T_ -]?(?P<H>\d{2}):?(?P<M>\d{2}):?(?P<S>\d{2})?)?$"
)
"""20240502, 202405021030, 20240502 103000; with seven digits 1130502. Only where a time is expected."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SAMPLE = 64
_ISO = r"^\d{4}[-/]\d{2}[-/]\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})?)?$"


@dataclass(frozen=True, eq=False)
class Dates:
    """The times of a column, (N,) datetime64[ns]: UTC when ``aware``, else those of a clock on the wall."""

    times: Times
    aware: bool
    notes: tuple[Note, ...] = ()


def looks_like_dates(texts: pa.ChunkedArray) -> bool:
    """Whether the first texts of a column are all dates (compact digits do not count).

    >>> from backmix.data.reading.columns import texts
    >>> looks_like_dates(texts(["113/05/02 08:00", ""])), looks_like_dates(texts(["V-101"]))
    (True, False)
    """
    import pyarrow.compute as pc

    for chunk in texts.chunks:
        clean = _clean(chunk.filter(pc.fill_null(pc.not_equal(chunk, ""), False))[:_SAMPLE])
        clean = clean.filter(pc.not_equal(clean, ""))
        if len(clean):
            fits = np.zeros(len(clean), bool)
            for form in FORMS.values():
                fits |= pc.match_substring_regex(clean, form).to_numpy(zero_copy_only=False)
            return bool(fits.all())
    return False


def read_dates(texts: pa.ChunkedArray, *, tag: str, day_first: bool | None, at: Place) -> Dates:
    """Read every text of a column as a date; empty cells become NaT.

    Raises InputError: read.bad_date, read.day_first_unclear, read.year_unclear, read.mixed_clocks.

    >>> from backmix.data.reading.columns import texts
    >>> str(read_dates(texts(["民國113/05/02 下午 1:05"]), tag="t", day_first=None, at=str).times[0])
    '2024-05-02T13:05:00.000000000'
    """
    import pyarrow as pa

    if texts.null_count == len(texts):
        return Dates(np.full(len(texts), NAT), aware=False)
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if isinstance(whole, pa.ChunkedArray):  # newer releases keep it chunked when it has no chunks
        whole = pa.concat_arrays(whole.chunks)
    clean = _clean(whole)
    return _iso(clean) or _Reader(whole, clean, tag, at).read(day_first)


def _clean(chunk: pa.Array) -> pa.Array:
    """Chinese dates in plain separators: 113年5月2日 10時30分 becomes 113/5/2 10:30."""
    import pyarrow.compute as pc

    plain, wide = normal(chunk)
    if wide:
        for pattern, by in (
            ("[年月]", "/"),
            ("日", " "),
            (r"[時点點](\d)", r":\1"),
            ("[時点點]$", ":00"),
            (r"分(\d)", r":\1"),
            ("[分秒]", ""),
            (" +", " "),
        ):
            plain = pc.replace_substring_regex(plain, pattern=pattern, replacement=by)
        plain = pc.utf8_trim_whitespace(plain)
    return plain


def _iso(clean: pa.Array) -> Dates | None:
    """The quick way for years of four digits, two-digit months and days, all with or all without offset."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.all(pc.match_substring_regex(clean, _ISO)).as_py() is not True:
        return None
    clean = pc.replace_substring(clean, pattern="/", replacement="-")
    for kind in (pa.timestamp("ns"), pa.timestamp("ns", "UTC")):
        try:
            times = pc.cast(clean, kind)
        except pa.ArrowInvalid:  # 24:00, 30 February, or the other kind of clock
            continue
        return Dates(times.to_numpy(zero_copy_only=False).astype("datetime64[ns]"), aware=kind.tz is not None)
    return None


class _Reader:
    """The slow way through one column: every form, every fault with its row."""

    def __init__(self, texts: pa.Array, clean: pa.Array, tag: str, at: Place) -> None:
        import pyarrow.compute as pc

        self.texts, self.clean, self.tag, self.at = texts, clean, tag, at
        self.there = pc.is_valid(clean).to_numpy(zero_copy_only=False)
        self.there &= ~pc.fill_null(pc.equal(clean, ""), True).to_numpy(zero_copy_only=False)
        self.date = np.full(len(texts), np.datetime64("NaT", "D"))
        self.clock = np.zeros(len(texts), "timedelta64[ns]")
        self.zoned = np.zeros(len(texts), bool)
        self.notes: list[Note] = []

    def read(self, day_first: bool | None) -> Dates:
        left = self.there.copy()
        for name in (*FORMS, "compact"):
            if name == "year_last" and day_first is None:
                self._ask_for_short_years(left)
            fits, parts = self._parts(FORMS.get(name, COMPACT), left)
            if fits.any():
                self.date[fits] = self._days(fits, *self._order(name, parts, fits, day_first))
                self.clock[fits] = self._clock(fits, parts)
                left = left & ~fits
        if left.any():
            self._refuse("read.bad_date", left)
        times = self.date.astype("datetime64[ns]") + self.clock
        if self.zoned.any() and (self.there & ~self.zoned).any():
            self._refuse("read.mixed_clocks", self.there & ~self.zoned)
        return Dates(times, aware=bool(self.zoned.any()), notes=tuple(self.notes))

    def _ask_for_short_years(self, left: NDArray[np.bool_]) -> None:
        """Cells such as 02/05/24 may begin with anything."""
        import pyarrow.compute as pc

        short = pc.match_substring_regex(self.clean, r"^\d{2}[-/.]\d{1,2}[-/.]\d{1,2}(?:\D|$)")
        asking = left & pc.fill_null(short, False).to_numpy(zero_copy_only=False)
        if asking.any():
            self._refuse("read.year_unclear", asking)

    def _parts(self, form: str, left: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], dict[str, Any]]:
        """Where a form fits, and the texts of its named groups there."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found = pc.extract_regex(pc.if_else(pa.array(left), self.clean, pa.scalar(None, self.clean.type)), form)
        fits = pc.is_valid(found).to_numpy(zero_copy_only=False)
        found = found.filter(pa.array(fits))
        names = [field.name for field in found.type]
        return fits, {name: pc.struct_field(found, name) for name in names}

    def _order(
        self, name: str, parts: dict[str, Any], fits: NDArray[np.bool_], day_first: bool | None
    ) -> tuple[Ints, Ints, Ints]:
        """Year, month and day of the cells where a form fits."""
        import pyarrow.compute as pc

        year = _ints(parts["y"])
        digits = pc.utf8_length(parts["y"]).to_numpy(zero_copy_only=False)
        if name in ("republic", "year_first", "compact"):
            roc = digits < 4
            self._note("read.reason_roc_calendar", roc, fits)
            return np.where(roc, year + 1911, year), _ints(parts["m"]), _ints(parts["d"])
        short = digits == 2
        self._note("read.reason_short_year", short, fits)
        year = np.where(short, year + np.where(year < 70, 2000, 1900), year)
        if name == "year_last":
            first, second = _ints(parts["a"]), _ints(parts["b"])
            if self._day_first(first, second, year, fits, day_first):
                first, second = second, first
            return year, first, second
        month = np.array(
            [
                _MONTHS.index(text[:3].lower()) + 1 if text[:3].lower() in _MONTHS else 0
                for text in parts["n"].to_pylist()
            ],
            np.int64,
        )
        return year, month, _ints(parts["d"])

    def _day_first(self, first: Ints, second: Ints, year: Ints, fits: NDArray[np.bool_], told: bool | None) -> bool:
        """Whether the day comes before the month: as told, else as days after the 12th prove."""
        if told is not None:
            return told
        day_first, month_first = first > 12, second > 12
        rows = np.flatnonzero(fits)
        if day_first.any() and month_first.any():
            raise InputError(
                "read.day_first_mixed",
                where=self.at(int(rows[np.argmax(day_first)])),
                text=self._text(int(rows[np.argmax(day_first)])),
                other=self.at(int(rows[np.argmax(month_first)])),
                other_text=self._text(int(rows[np.argmax(month_first)])),
            )
        if not day_first.any() and not month_first.any() and (first != second).any():
            unclear = int(np.argmax(first != second))
            self._ask_day_first(int(rows[unclear]), int(first[unclear]), int(second[unclear]), int(year[unclear]))
        key = "read.reason_day_first" if day_first.any() else "read.reason_month_first"
        self._note(key, np.ones(len(rows), bool), fits)
        return bool(day_first.any())

    def _ask_day_first(self, row: int, first: int, second: int, year: int) -> None:
        """Stop with both dates that the text of a row may mean."""
        shown = {True: (second, first), False: (first, second)}
        readings = tuple(
            Interpretation(day_first, f"{year:04d}-{month:02d}-{day:02d}") for day_first, (month, day) in shown.items()
        )
        question = LayoutQuestion("day_first", readings, row=(self._text(row),), where=self.at(row))
        raise OpenQuestion("read.day_first_unclear", question=question, where=self.at(row), text=self._text(row)[:60])

    def _days(self, fits: NDArray[np.bool_], year: Ints, month: Ints, day: Ints) -> Times:
        rows = np.flatnonzero(fits)
        # datetime64[ns] reaches from 1678 to 2261
        wrong = (year < 1678) | (year > 2261) | (month < 1) | (month > 12) | (day < 1) | (day > 31)
        if not wrong.any():
            months = (year * 12 + month - 1 - 1970 * 12).astype("datetime64[M]")
            days = months.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
            wrong = days.astype("datetime64[M]") != months
        if wrong.any():
            self._refuse("read.bad_date", _only(len(fits), rows[np.argmax(wrong)]))
        return np.asarray(days)

    def _clock(self, fits: NDArray[np.bool_], parts: dict[str, Any]) -> Any:
        """Time of day less the offset to UTC."""
        rows = np.flatnonzero(fits)
        hour, minute, second = (_ints(parts[name]) for name in "HMS")
        if "p" in parts:
            hour, wrong = _half_days(hour, parts)
        else:
            wrong = np.zeros(len(rows), bool)
        midnight = (hour == 24) & (minute == 0) & (second == 0)  # 24:00 is the end of the day
        wrong |= ((hour > 23) & ~midnight) | (minute > 59) | (second > 59)
        if wrong.any():
            self._refuse("read.bad_date", _only(len(fits), rows[np.argmax(wrong)]))
        nanoseconds = (hour * 3600 + minute * 60 + second) * 1_000_000_000
        if "f" in parts:
            import pyarrow.compute as pc

            nanoseconds += _ints(pc.utf8_rpad(parts["f"], width=9, padding="0"))
            zone = parts["z"].to_pylist() if pc.any(pc.not_equal(parts["z"], "")).as_py() else None
            if zone:
                self.zoned[rows] = [bool(text) for text in zone]
                nanoseconds -= np.array([_offset(text) for text in zone], np.int64) * 60_000_000_000
        return nanoseconds.astype("timedelta64[ns]")

    def _note(self, reason: str, which: NDArray[np.bool_], fits: NDArray[np.bool_]) -> None:
        if which.any():
            example = self._text(int(np.flatnonzero(fits)[np.argmax(which)]))
            self.notes.append(Note("converted", reason, int(which.sum()), tag=self.tag, example=example))

    def _text(self, row: int) -> str:
        return str(self.texts[row].as_py()).strip()

    def _refuse(self, key: str, which: NDArray[np.bool_]) -> None:
        row = int(np.argmax(which))
        raise InputError(key, where=self.at(row), text=self._text(row)[:60])


def _only(rows: int, row: Any) -> NDArray[np.bool_]:
    mask = np.zeros(rows, bool)
    mask[row] = True
    return mask


def _ints(texts: Any) -> Ints:
    """Digits as whole numbers, nothing as 0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = pc.if_else(pc.equal(texts, ""), "0", texts)
    numbers: Ints = pc.cast(filled, pa.int64()).to_numpy(zero_copy_only=False)
    return numbers


def _half_days(hour: Ints, parts: dict[str, Any]) -> tuple[Ints, NDArray[np.bool_]]:
    """Hours of 24 from hours of 12, and where that makes no sense."""
    pairs = zip(parts["p"].to_pylist(), parts["q"].to_pylist(), strict=True)
    word = np.array([(before + behind).upper() for before, behind in pairs], dtype=object)
    after = np.isin(word, ("PM", "下午", "晚上", "中午"))
    before = np.isin(word, ("AM", "上午", "凌晨", "早上"))
    wrong = (word != "") & ~after & ~before
    # 下午 13:00 is written too: an hour beyond 12 stands as it is
    wrong |= before & (hour > 12)
    hour = np.where(after & (hour < 12), hour + 12, np.where(before & (hour == 12), 0, hour))
    return hour, wrong


def _offset(text: str) -> int:
    """Minutes east of UTC."""
    if not text or text[0] not in "+-":
        return 0
    digits = text[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return minutes if text[0] == "+" else -minutes
