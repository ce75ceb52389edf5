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
from backmix.data.notation.ticks import even_steps
from backmix.data.notation.words_of_time import (
    AMBIGUOUS,
    HALF_DAYS,
    PERIODS,
    century,
    days_of,
    first_days,
    half_days,
    month_number,
    offset,
)
from backmix.data.reading.columns import NAT, Times
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Place = Callable[[int], str]
Ints = NDArray[np.int64]
YearMonthDay = tuple[Ints, Ints, Ints]

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
_ORDERS = ("day_first", "month_first")


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
    return _all_fit(tidy(clean), (*FORMS.values(), *PERIODS.values(), _COMPACT_STAMP))


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
        for name, form in PERIODS.items() if left.any() else ():
            fits, parts = self._parts(form, left)
            if fits.any():
                self.date[fits] = first_days({name: texts.to_pylist() for name, texts in parts.items()})
                self._note("read.reason_period", np.ones(int(fits.sum()), bool), fits)
                left = left & ~fits
                if (lost := fits & np.isnat(self.date)).any():
                    self._refuse("read.bad_date", lost)
        if left.any():
            self._refuse("read.bad_date", left)
        times = self.date.astype("datetime64[ns]") + self.clock
        if self.zoned.any() and (self.there & ~self.zoned).any():
            self._refuse("read.mixed_clocks", self.there & ~self.zoned)
        return Dates(times, bool(self.zoned.any()), tuple(self.notes), tuple(self.evidence))

    def _year_first(self, parts: dict[str, Any], fits: NDArray[np.bool_], day_first: bool | None) -> str | None:
        """Whether a year of two digits stands first in cells such as 24/05/02.

        As told, else as only it fits, else as only it makes the rows step evenly.
        """
        if self.form is not None:
            return self.form if self.form in ("year_first", "republic") else None
        if day_first is not None:
            return None
        possible = self._possible(parts)
        row = int(np.flatnonzero(fits)[0])
        if "year_first" not in possible:
            return None
        if (even := self._even(possible, fits, parts)) is not None:
            form = "year_first" if even == "year_first" else "date"
            self._settled("time_form", form, possible[even], fits)
            return form if form == "year_first" else None
        day, month = "day_first" in possible, "month_first" in possible
        if day and month:
            return None  # the order of day and month is asked for
        read_as = {"date": possible["day_first" if day else "month_first"]} if day or month else {}
        read_as["year_first"] = possible["year_first"]
        short = _ints(parts["a"])
        if short[0] >= 32:
            _, of_month, of_day = possible["year_first"]
            read_as["republic"] = (short + 1911, of_month, of_day)
        readings = tuple(Interpretation(form, _date(ymd, 0)) for form, ymd in read_as.items())
        question = LayoutQuestion("time_form", readings, row=(self._text(row),), where=self.at(row))
        raise OpenQuestion("read.year_unclear", question=question, where=self.at(row), text=self._text(row)[:60])

    def _possible(self, parts: dict[str, Any]) -> dict[str, YearMonthDay]:
        """Year, month and day of cells such as 24/05/02, in each order in which all are dates."""
        import pyarrow.compute as pc

        first, second, third = (_ints(parts[name]) for name in "aby")
        two = [pc.utf8_length(parts[name]).to_numpy(zero_copy_only=False) == 2 for name in "ay"]
        year = np.where(two[1], century(third), third)
        orders = {"day_first": (year, second, first), "month_first": (year, first, second)}
        if all(width.all() for width in two):
            orders["year_first"] = (century(first), second, third)
        if (first == second).all():
            del orders["month_first"]  # the same dates
        return {
            name: ymd
            for name, ymd in orders.items()
            if _months(ymd[1]) and _days_of_month(ymd[2]) and not np.isnat(days_of(*ymd)).any()
        }

    def _even(self, possible: dict[str, YearMonthDay], fits: NDArray[np.bool_], parts: dict[str, Any]) -> str | None:
        """The one order under which the rows step evenly; None where there is none, or several."""
        if len(possible) < 2 or not np.array_equal(fits, self.there):
            return None
        clock = self._clock(fits, parts)
        even = [name for name, ymd in possible.items() if even_steps(days_of(*ymd).astype("datetime64[ns]") + clock)]
        return even[0] if len(even) == 1 else None

    def _settled(self, key: str, value: Any, ymd: YearMonthDay, fits: NDArray[np.bool_]) -> None:
        """Keep why a question needs not be asked."""
        row = int(np.flatnonzero(fits)[0])
        values = {"where": self.at(row), "text": self._text(row), "date": _date(ymd, 0)}
        self.evidence.append(Evidence(key, value, "clock.even_steps", values))

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
                return first + 1911 if form == "republic" else century(first), second, year
        self._note("read.reason_short_year", short, fits)
        year = np.where(short, century(year), year)
        if name == "year_last":
            if self._day_first(parts, fits, day_first):
                first, second = second, first
            return year, first, second
        names = parts["n"].to_pylist()
        known = {text: month_number(text) for text in set(names)}
        month = np.array([known[text] for text in names], np.int64)
        return year, month, _ints(parts["d"])

    def _day_first(self, parts: dict[str, Any], fits: NDArray[np.bool_], stated: bool | None) -> bool:
        """Whether the day comes before the month: as told, as days after the 12th prove, or as rows step evenly."""
        if stated is not None:
            return stated
        first, second = _ints(parts["a"]), _ints(parts["b"])
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
            possible = self._possible(parts)
            even = self._even(possible, fits, parts)
            if even not in ("day_first", "month_first"):
                self._ask_day_first(possible, fits, int(np.argmax(first != second)))
            else:
                self._settled("day_first", even == "day_first", possible[even], fits)
                day_first |= even == "day_first"
                first = second  # nothing is left to prove
        key = "read.reason_day_first" if day_first.any() else "read.reason_month_first"
        self._note(key, np.ones(len(rows), bool), fits)
        if (first != second).any():
            proof = int(rows[np.argmax(day_first | month_first)])
            values = {"where": self.at(proof), "text": self._text(proof)}
            reason = "clock.day_first" if day_first.any() else "clock.month_first"
            self.evidence.append(Evidence("day_first", bool(day_first.any()), reason, values))
        return bool(day_first.any())

    def _ask_day_first(self, possible: dict[str, YearMonthDay], fits: NDArray[np.bool_], place: int) -> None:
        """Stop with both dates that the text at a place may mean."""
        row = int(np.flatnonzero(fits)[place])
        readings = tuple(Interpretation(name == "day_first", _date(possible[name], place)) for name in _ORDERS)
        question = LayoutQuestion("day_first", readings, row=(self._text(row),), where=self.at(row))
        raise OpenQuestion("read.day_first_unclear", question=question, where=self.at(row), text=self._text(row)[:60])

    def _days(self, fits: NDArray[np.bool_], year: Ints, month: Ints, day: Ints) -> Times:
        rows = np.flatnonzero(fits)
        # datetime64[ns] reaches from 1678 to 2261
        wrong = (year < 1678) | (year > 2261) | (month < 1) | (month > 12) | (day < 1) | (day > 31)
        if not wrong.any():
            days = days_of(year, month, day)
            wrong = np.isnat(days)
        if wrong.any():
            self._refuse("read.bad_date", _only(len(fits), rows[np.argmax(wrong)]))
        return np.asarray(days)

    def _clock(self, fits: NDArray[np.bool_], parts: dict[str, Any]) -> Any:
        """Time of day less the offset to UTC."""
        rows = np.flatnonzero(fits)
        hour, minute, second = (_ints(parts[name]) for name in "HMS")
        if "p" in parts:
            hour, wrong = half_days(hour, parts)
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


def _date(ymd: YearMonthDay, row: int) -> str:
    year, month, day = (int(numbers[row]) for numbers in ymd)
    return f"{year:04d}-{month:02d}-{day:02d}"


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


def _months(numbers: Ints) -> bool:
    return bool(((numbers >= 1) & (numbers <= 12)).all())


def _days_of_month(numbers: Ints) -> bool:
    return bool(((numbers >= 1) & (numbers <= 31)).all())
