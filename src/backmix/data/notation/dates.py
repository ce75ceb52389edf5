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

from backmix.data.layout.evidence import Evidence, Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.ledger import Note
from backmix.data.notation.iso import clean_dates, iso_times
from backmix.data.notation.stamps import LETTERS, tidy
from backmix.data.notation.words_of_time import AMBIGUOUS, month_number, offset
from backmix.data.reading.columns import NAT, Times
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Place = Callable[[int], str]
Ints = NDArray[np.int64]

HALF_DAYS = "AM|PM|am|pm|Am|Pm|上午|下午|凌晨|早上|晚上|中午"
ZONES = r"Z|z|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?|[A-Za-z]{2,5}"
_CLOCK = (
    rf"(?:(?:[T ,]+|:)(?P<p>{HALF_DAYS})? ?(?P<H>\d{{1,2}})"
    rf"(?::(?P<M>\d{{1,2}})(?::(?P<S>\d{{1,2}})(?:[.,:](?P<f>\d{{1,9}})\d*)?)?)?"
    rf" ?(?P<q>{HALF_DAYS})? ?(?P<z>{ZONES})?)?$"
)
_NAME = rf"(?P<n>[{LETTERS}]{{3,10}})"
FORMS = {
    "republic": r"^(?:民國|民国) ?(?P<y>\d{1,3})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})" + _CLOCK,
    "year_first": r"^(?P<y>\d{3,4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})" + _CLOCK,
    "year_last": r"^(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<y>\d{4}|\d{2})" + _CLOCK,
    "month_name": rf"^(?P<d>\d{{1,2}})[-/. ]{{0,2}}{_NAME}[-/., ]{{0,2}}(?P<y>\d{{4}}|\d{{2}})" + _CLOCK,
    "name_first": rf"^{_NAME}[-. ]{{1,2}}(?P<d>\d{{1,2}})(?:st|nd|rd|th)?[-, ]{{1,2}}(?P<y>\d{{4}})" + _CLOCK,
    "year_and_name": rf"^(?P<y>\d{{4}})[-/. ]?{_NAME}[-/. ]{{1,2}}(?P<d>\d{{1,2}})" + _CLOCK,
}
_STAMP = r"T(?P<H>\d{2})(?::?(?P<M>\d{2})(?::?(?P<S>\d{2})(?:[.,](?P<f>\d{1,9})\d*)?)?)?"
COMPACT = (
    r"^(?P<y>\d{4}|1\d{2})(?P<m>\d{2})(?P<d>\d{2})"
    rf"(?:{_STAMP.replace('T', '[T_ -]?', 1)} ?(?P<z>{ZONES})?)?$"
)
"""20240502, 202405021030, 20240502 103000; with seven digits 1130502. Only where a time is expected."""
_COMPACT_STAMP = rf"^\d{{8}}{_STAMP} ?(?:{ZONES})?$"
"""20240502T1030 is a time wherever it stands."""
_HOURS = (
    rf"^(?:{HALF_DAYS})? ?\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:[.,:]\d{{1,9}})?)?"
    rf" ?(?:{HALF_DAYS}|[ap]\.m\.)? ?(?:{ZONES})?$"
)
_SAMPLE = 64


@dataclass(frozen=True, eq=False)
class Dates:
    """The times of a column, (N,) datetime64[ns]: UTC when ``aware``, else those of a clock on the wall."""

    times: Times
    aware: bool
    notes: tuple[Note, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def looks_like_dates(texts: pa.ChunkedArray) -> bool:
    """Whether the first texts of a column are all dates (compact digits do not count).

    >>> from backmix.data.reading.columns import texts
    >>> looks_like_dates(texts(["113/05/02 08:00", ""])), looks_like_dates(texts(["V-101"]))
    (True, False)
    """
    clean = _first_texts(texts)
    if clean is None or not all(any(map(str.isdigit, text)) for text in clean.to_pylist()):  # states, much the quickest
        return False
    return _all_fit(tidy(clean), (*FORMS.values(), _COMPACT_STAMP))


def looks_like_hours(texts: pa.ChunkedArray) -> bool:
    """Whether the first texts of a column are all times of day, without a date.

    >>> from backmix.data.reading.columns import texts
    >>> looks_like_hours(texts(["08:00", "下午 1:05:30"])), looks_like_hours(texts(["1:2"]))
    (True, False)
    """
    clean = _first_texts(texts)
    return clean is not None and _all_fit(clean, (_HOURS,))


def without_hours(texts: pa.ChunkedArray) -> bool:
    """Whether the first dates of a column say nothing of the time of day."""
    import pyarrow.compute as pc

    clean = _first_texts(texts)
    if clean is None or pc.any(pc.match_substring_regex(clean, _COMPACT_STAMP)).as_py():
        return False
    clean = tidy(clean)
    for form in FORMS.values():
        hours = pc.struct_field(pc.extract_regex(clean, form), "H")
        if pc.any(pc.fill_null(pc.not_equal(hours, ""), False)).as_py():
            return False
    return True


def _first_texts(texts: pa.ChunkedArray) -> pa.Array | None:
    """The first texts that are not empty."""
    import pyarrow.compute as pc

    for chunk in texts.chunks:
        clean = clean_dates(chunk.filter(pc.fill_null(pc.not_equal(chunk, ""), False))[:_SAMPLE])
        clean = clean.filter(pc.not_equal(clean, ""))
        if len(clean):
            return clean
    return None


def _all_fit(clean: pa.Array, forms: tuple[str, ...]) -> bool:
    import pyarrow.compute as pc

    fits = np.zeros(len(clean), bool)
    for form in forms:
        fits |= pc.match_substring_regex(clean, form).to_numpy(zero_copy_only=False)
    return bool(fits.all())


def read_dates(
    texts: pa.ChunkedArray,
    *,
    tag: str,
    day_first: bool | None,
    at: Place,
    form: str | None = None,
    zone: str | None = None,
) -> Dates:
    """Read every text of a column as a date; empty cells become NaT.

    form: "date", "year_first" or "republic" (for years of two digits); None looks
    zone: where the clock stands; it says what an abbreviation such as CST means
    Raises InputError: read.bad_date, read.mixed_clocks, clock.zone_unknown; OpenQuestion: read.day_first_unclear,
    read.year_unclear, clock.zone_ambiguous.

    >>> from backmix.data.reading.columns import texts
    >>> str(read_dates(texts(["民國113/05/02 下午 1:05"]), tag="t", day_first=None, at=str).times[0])
    '2024-05-02T13:05:00.000000000'
    """
    import pyarrow as pa

    if texts.null_count == len(texts):
        return Dates(np.full(len(texts), NAT), aware=False)
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    if (quick := iso_times(chunks)) is not None:
        return Dates(quick.times, quick.aware)
    whole = pa.concat_arrays(chunks)
    return _Reader(whole, tidy(clean_dates(whole)), tag, at, form=form, zone=zone).read(day_first)


class _Reader:
    """The slow way through one column: every form, every fault with its row."""

    def __init__(
        self, texts: pa.Array, clean: pa.Array, tag: str, at: Place, *, form: str | None, zone: str | None
    ) -> None:
        import pyarrow.compute as pc

        self.texts, self.clean, self.tag, self.at = texts, clean, tag, at
        self.form, self.zone = form, zone
        self.there = pc.is_valid(clean).to_numpy(zero_copy_only=False)
        self.there &= ~pc.fill_null(pc.equal(clean, ""), True).to_numpy(zero_copy_only=False)
        self.date = np.full(len(texts), np.datetime64("NaT", "D"))
        self.clock = np.zeros(len(texts), "timedelta64[ns]")
        self.zoned = np.zeros(len(texts), bool)
        self.notes: list[Note] = []
        self.evidence: list[Evidence] = []

    def read(self, day_first: bool | None) -> Dates:
        left = self.there.copy()
        for name in (*FORMS, "compact"):
            if not left.any():
                break
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
        return Dates(times, bool(self.zoned.any()), tuple(self.notes), tuple(self.evidence))

    def _year_first(self, parts: dict[str, Any], fits: NDArray[np.bool_], day_first: bool | None) -> str | None:
        """Whether a year of two digits stands first in cells such as 24/05/02: as told, else as only it fits."""
        import pyarrow.compute as pc

        if self.form is not None:
            return self.form if self.form in ("year_first", "republic") else None
        if day_first is not None:
            return None
        first, second, third = (_ints(parts[name]) for name in "aby")
        two = (pc.utf8_length(parts[name]).to_numpy(zero_copy_only=False) == 2 for name in "ay")
        year_first = all(width.all() for width in two) and _months(second) and _days_of_month(third)
        day, month = (_days_of_month(first) and _months(second), _months(first) and _days_of_month(second))
        if not year_first or (day and month and (first != second).any()):
            return None
        row = int(np.flatnonzero(fits)[0])
        short = int(third[0])
        read_as = {"date": (_century(short), int(second[0]), int(first[0]))} if day else {}
        if month and not day:
            read_as = {"date": (_century(short), int(first[0]), int(second[0]))}
        read_as["year_first"] = (_century(int(first[0])), int(second[0]), short)
        if first[0] >= 32:
            read_as["republic"] = (int(first[0]) + 1911, int(second[0]), short)
        readings = tuple(
            Interpretation(form, f"{year:04d}-{month:02d}-{day:02d}") for form, (year, month, day) in read_as.items()
        )
        question = LayoutQuestion("time_form", readings, row=(self._text(row),), where=self.at(row))
        raise OpenQuestion("read.year_unclear", question=question, where=self.at(row), text=self._text(row)[:60])

    def _parts(self, form: str, left: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], dict[str, Any]]:
        """Where a form fits, and the texts of its named groups there."""
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = pc.extract_regex(pc.if_else(pa.array(left), self.clean, pa.scalar(None, self.clean.type)), form)
        fits = pc.is_valid(parts).to_numpy(zero_copy_only=False)
        parts = parts.filter(pa.array(fits))
        names = [field.name for field in parts.type]
        return fits, {name: pc.struct_field(parts, name) for name in names}

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
        if name == "year_last":
            first, second = _ints(parts["a"]), _ints(parts["b"])
            if (form := self._year_first(parts, fits, day_first)) is not None:
                self._note("read.reason_short_year", short, fits)
                return first + 1911 if form == "republic" else _century(first), second, year
        self._note("read.reason_short_year", short, fits)
        year = np.where(short, _century(year), year)
        if name == "year_last":
            if self._day_first(first, second, year, fits, day_first):
                first, second = second, first
            return year, first, second
        names = parts["n"].to_pylist()
        known = {text: month_number(text) for text in set(names)}
        month = np.array([known[text] for text in names], np.int64)
        return year, month, _ints(parts["d"])

    def _day_first(self, first: Ints, second: Ints, year: Ints, fits: NDArray[np.bool_], stated: bool | None) -> bool:
        """Whether the day comes before the month: as told, else as days after the 12th prove."""
        if stated is not None:
            return stated
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
        if (first != second).any():
            proof = int(rows[np.argmax(day_first | month_first)])
            values = {"where": self.at(proof), "text": self._text(proof)}
            reason = "clock.day_first" if day_first.any() else "clock.month_first"
            self.evidence.append(Evidence("day_first", bool(day_first.any()), reason, values))
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
        import pyarrow.compute as pc

        nanoseconds += _ints(pc.utf8_rpad(parts["f"], width=9, padding="0"))
        zone = parts["z"].to_pylist() if pc.any(pc.not_equal(parts["z"], "")).as_py() else None
        if zone:
            self.zoned[rows] = [bool(text) for text in zone]
            offsets = {text: self._offset(text, int(rows[zone.index(text)])) for text in set(zone)}
            for text in offsets:
                if text.isalpha() and text.upper() not in ("Z", "UTC", "GMT"):
                    self._note("clock.reason_abbreviation", np.array([other == text for other in zone]), fits)
            nanoseconds -= np.array([offsets[text] for text in zone], np.int64) * 60_000_000_000
        return nanoseconds.astype("timedelta64[ns]")

    def _offset(self, text: str, row: int) -> int:
        """Minutes east of UTC of what stands behind a time; an abbreviation without a single meaning is asked for."""
        if (shift := offset(text, self.zone)) is not None:
            return shift
        values = {"where": self.at(row), "text": self._text(row)[:60], "zone": text}
        if text.upper() not in AMBIGUOUS:
            raise InputError("clock.zone_unknown", **values)
        meant = AMBIGUOUS[text.upper()]
        readings = tuple(Interpretation(name, f"UTC{minutes / 60:+g} h") for name, minutes in meant.items())
        question = LayoutQuestion("time_zone", readings, row=(self._text(row),), where=self.at(row))
        raise OpenQuestion("clock.zone_ambiguous", question=question, names=", ".join(meant), **values)

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


def _months(numbers: Ints) -> bool:
    return bool(((numbers >= 1) & (numbers <= 12)).all())


def _days_of_month(numbers: Ints) -> bool:
    return bool(((numbers >= 1) & (numbers <= 31)).all())


def _century(year: Any) -> Any:
    """The year that two digits mean: 1970 to 2069."""
    return year + 2000 - 100 * (year >= 70)
