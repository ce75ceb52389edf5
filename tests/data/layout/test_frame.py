"""What stands around the values of a table: title, header, units, descriptions, groups, footer, comments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backmix.data.layout.detect import Detection, detect
from backmix.data.layout.evidence import OpenQuestion
from backmix.data.sources import Reading, ReadPlan, read
from backmix.errors import InputError

ROWS = [
    f"2024-03-13 00:{minute:02d}:00,{49 + minute / 10:.3f},{82 - minute / 10:.2f},{2.5 + minute / 100}"
    for minute in range(12)
]
BODY = "\n".join(ROWS) + "\n"
NAMES = "time,FI101,TI102,PI103"


def table(tmp_path: Path, text: str, **keys) -> Reading:
    (tmp_path / "plant.csv").write_bytes(text.encode())
    return read(ReadPlan(file="plant.csv", **keys), base=tmp_path)


def found(tmp_path: Path, text: str, **keys) -> Detection:
    (tmp_path / "plant.csv").write_bytes(text.encode())
    return detect(ReadPlan(file="plant.csv", **keys), tmp_path)


def plain(tmp_path: Path) -> np.ndarray:
    return table(tmp_path, f"{NAMES}\n{BODY}").table.values


@pytest.mark.parametrize(
    "above",
    [
        "Report: Unit 100\n",
        "Report: Unit 100,,,\nStart,13-Mar-24 00:00:00,,\nEnd,13-Mar-24 09:59:00,,\n\n",
        "Report\n\n\n",
        "Unit 100; shift A, B, C, D, E, F and G\n",
        "# made by a logger\n# at 2024-03-13\n",
        "// a, b, c, d\n",
        "% 1 2 3\n",
        "'made by hand'\n,,,\n",
        "Site:,Kaohsiung,,\nUnit:,100,,\n",
        'Report "daily\n',
        'Width 3"\n\n',
        ",,,\n\n",
        "sep=,\nReport\n",
        "13-Mar-24,,,\n",
    ],
)
def test_rows_above_the_header_are_skipped_and_named(tmp_path: Path, above: str) -> None:
    detected = found(tmp_path, above + f"{NAMES}\n{BODY}")
    assert detected.reading is not None, detected.fault
    assert detected.reading.table.names == ("FI101", "TI102", "PI103")
    assert detected.layout.preamble == above.count("\n")
    assert detected.layout.header == ("name",)
    np.testing.assert_array_equal(detected.reading.table.values, plain(tmp_path))
    again = table(tmp_path, above + f"{NAMES}\n{BODY}", preamble=above.count("\n"), header=("name",))
    np.testing.assert_array_equal(again.table.values, detected.reading.table.values)


@pytest.mark.parametrize(
    ("rows", "roles"),
    [
        ("{n}\n{u}\n", ("name", "unit")),
        ("{u}\n{n}\n", ("unit", "name")),
        ("{d}\n{n}\n{u}\n", ("description", "name", "unit")),
        ("{n}\n{u}\n{d}\n", ("name", "unit", "description")),
        ("{n}\n{d}\n{u}\n", ("name", "description", "unit")),
        ("Title\n\n{u}\n{d}\n{n}\n", ("unit", "description", "name")),
        ("{n}\n{d}\n", ("name", "description")),
        ("{d}\n{n}\n", ("description", "name")),
        ("{n}\n\n{u}\n", ("name", "unit")),
        ("{n}\r\n{u}\r\n", ("name", "unit")),
    ],
)
def test_units_and_descriptions_stand_in_any_order(tmp_path: Path, rows: str, roles: tuple[str, ...]) -> None:
    for units, words in [(",m3/h,DEG C,bar", ",Feed flow,Reactor temp,Head pressure"),
                         ("Units,[m3/h],[°C],[kPa(g)]", "Description,Feed,Temperature of the bed,Pressure")]:  # fmt: skip
        text = rows.format(n=NAMES, u=units, d=words) + BODY
        detected = found(tmp_path, text)
        assert detected.reading is not None, detected.fault
        assert detected.layout.header == roles
        tags = detected.reading.table.tags
        assert [tag.name for tag in tags] == ["FI101", "TI102", "PI103"]
        if "unit" in roles:
            assert [tag.unit for tag in tags] == [unit.strip("[]") for unit in units.split(",")[1:]]
        if "description" in roles:
            assert [tag.description for tag in tags] == words.split(",")[1:]
        assert len(detected.reading.table) == len(ROWS)
        told = table(tmp_path, text, preamble=detected.layout.preamble, header=roles)
        assert told.table.tags == tags


def test_the_plan_counts_before_the_row_of_units(tmp_path: Path) -> None:
    from backmix.data.sources import TagPlan

    tags = (TagPlan(name="FI101", unit="t/h"),)
    reading = table(tmp_path, f"{NAMES}\n,m3/h,degC,bar\n{BODY}", tags=tags)
    assert [tag.unit for tag in reading.table.tags] == ["t/h", "degC", "bar"]


def test_words_that_are_no_units_are_descriptions(tmp_path: Path) -> None:
    detected = found(tmp_path, f"time,A1,B2,C3\n,sensor,true,GT\n{BODY}")
    assert detected.layout.header == ("name", "description")
    assert [tag.unit for tag in detected.reading.table.tags] == ["", "", ""]  # type: ignore[union-attr]
    exotic = found(tmp_path, f"time,A1,B2,C3\n,foo,bar,baz\n{BODY}", units=("foo", "baz"))
    assert exotic.layout.header == ("name", "unit")


def test_a_blank_name_of_quoted_cells_is_numbered(tmp_path: Path) -> None:
    text = '" ","FI101","TI102"\n" ","m3/h","DEG C"\n"03/13/2024 00:00:00", 49.4, 82.7\n"03/13/2024 00:01:00", 49.5, 82.8\n'
    reading = table(tmp_path, text)
    assert reading.table.names == ("FI101", "TI102")
    assert reading.table.time is not None
    assert reading.table.values[1, 0] == 49.5


@pytest.mark.parametrize(
    "body", [BODY, "1.5,2.5,3.5\n1.25,2.5,3.5\n", "2024-01-01 00:00:00,,3\n2024-01-01 00:01:00,1,4\n"]
)
def test_without_a_header_columns_are_numbered(tmp_path: Path, body: str) -> None:
    detected = found(tmp_path, body)
    assert detected.layout.header == ()
    assert detected.reading is not None
    assert len(detected.reading.table) == body.count("\n")
    assert all(name.startswith("column ") for name in detected.reading.table.names)
    sentence = next(entry.sentence("en") for entry in detected.evidence if entry.key == "header")
    assert sentence.startswith("row 1 already holds values")
    again = table(tmp_path, body, preamble=0, header=())
    np.testing.assert_array_equal(again.table.values, detected.reading.table.values)


def test_numbers_in_a_row_may_be_names(tmp_path: Path) -> None:
    with pytest.raises(OpenQuestion, match="may hold names or values"):
        table(tmp_path, "0,1,2\n1.5,2.5,3.5\n1.6,2.6,3.6\n")
    named = table(tmp_path, "0,1,2\n1.5,2.5,3.5\n1.6,2.6,3.6\n", header=("name",))
    assert named.table.names == ("0", "1", "2")
    assert len(table(tmp_path, "0,1,2\n1.5,2.5,3.5\n1.6,2.6,3.6\n", header=()).table) == 3
    assert table(tmp_path, "time,1,2,3\n" + BODY).table.names == ("1", "2", "3")
    assert table(tmp_path, "a,1,2\n1,2,3\n4,5,6\n").table.names == ("a", "1", "2")


def test_two_rows_of_words_are_asked_about(tmp_path: Path) -> None:
    text = "time,feed,temp,head\nwhen,inlet,jacket,vapour\n" + BODY
    with pytest.raises(OpenQuestion, match="two rows may hold the names"):
        table(tmp_path, text)
    (question,) = found(tmp_path, text).questions
    assert question.lines()[0].startswith('header = ["name", "description"]')
    answered = table(tmp_path, text, header=("description", "name"))
    assert answered.table.tag("inlet").description == "feed"


def test_a_row_of_more_words_in_every_column_describes(tmp_path: Path) -> None:
    text = "time,Feed flow,T [107],PI103\n,measured at Feed flow,measured at T [107],measured at PI103\n" + BODY
    detected = found(tmp_path, text)
    assert detected.layout.header == ("name", "description")
    assert detected.reading.table.names == ("Feed flow", "T [107]", "PI103")  # type: ignore[union-attr]


@pytest.mark.parametrize("group", ["Time,Feed,,Reactor", ",Feed,Reactor,Reactor"])
def test_a_group_above_the_names(tmp_path: Path, group: str) -> None:
    detected = found(tmp_path, f"{group}\n{NAMES}\n,m3/h,degC,bar\n{BODY}")
    assert detected.layout.header == ("skip", "name", "unit")
    assert detected.reading.table.names == ("FI101", "TI102", "PI103")  # type: ignore[union-attr]
    if group.startswith("Time"):
        kept = table(tmp_path, f"{group}\n{NAMES}\n{BODY}", header=("group", "name"))
        assert kept.table.names == ("Feed FI101", "Feed TI102", "Reactor PI103")


def test_a_group_tells_equal_names_apart(tmp_path: Path) -> None:
    detected = found(tmp_path, f",R1,,R2\ntime,Temp,Flow,Temp\n{BODY}")
    assert detected.layout.header == ("group", "name")
    assert detected.reading.table.names == ("R1 Temp", "R1 Flow", "R2 Temp")  # type: ignore[union-attr]


def test_repeated_names_follow_their_tag(tmp_path: Path) -> None:
    body = "2024-01-01 00:00,1.5,192,2.5,192\n2024-01-01 00:01,1.6,192,2.6,0\n"
    reading = table(tmp_path, "time,FI101,Quality,TI102,Quality\n" + body, status={})
    assert reading.table.names == ("FI101", "FI101 Quality", "TI102", "TI102 Quality")
    pairs = table(
        tmp_path, "Time,FI101,Time,TI102\n" + "2024-01-01 00:00,1.5,2024-01-01 00:00,2.5\n" * 2, time="FI101 Time"
    )
    assert pairs.table.names == ("FI101", "TI102")
    for names in ("time,FI101,FI101,TI102,X", "time,FI101,X,TI102,FI101", "time,a,a,a,b", "time,Q,Q,FI101,TI102"):
        with pytest.raises(InputError, match=r"plant.csv:1 — columns \d and \d are both called"):
            table(tmp_path, names + "\n" + body)


@pytest.mark.parametrize(
    "name", ["FI101 [m3/h]", "a/b", "'FI101'", r"\\SRV\Unit1|FI101.PV", "溫度（°C）", "FI-101.PV", "x=1", "T#1", "2024"]
)
def test_names_of_every_kind(tmp_path: Path, name: str) -> None:
    reading = table(tmp_path, f"Report,,,\n\ntime,{name},TI102,PI103\n{BODY}", delimiter=",")
    assert reading.table.names[0] == name


FOOTERS = [
    ("(600 rows affected)\n", 1),
    ("\n(12 rows affected)\n\n", 1),
    ("---\nSignature: Chen\n", 2),
    ("Average,50.1,82.0,2.5\nMax,51,83,2.6\n", 2),
    ("平均,50.1,82.0,2.5\n", 1),
    ("\n,600.1,950,30\n", 1),
    ("Printed by: Lin,,,\n", 1),
    ("End of report\n\n\n", 1),
    ("Total,,,\n,1,2,3\n", 2),
    ("---,---,---,---\nTotal,1,2,3\n", 2),
    ("共 12 筆\n", 1),
    ("# end\n", 1),
]


@pytest.mark.parametrize(("footer", "rows"), FOOTERS)
def test_rows_at_the_end_that_are_no_data_are_counted(tmp_path: Path, footer: str, rows: int) -> None:
    detected = found(tmp_path, f"{NAMES}\n{BODY}{footer}")
    assert detected.reading is not None, detected.fault
    assert detected.layout.footer == rows
    reading = detected.reading
    assert len(reading.table) == len(ROWS)
    assert reading.ledger.read == len(ROWS) + rows
    assert reading.ledger.dropped == rows
    first = footer.strip().replace(",", " ").split("\n")[0].split()[0]
    assert any(first in note.example for note in reading.ledger.notes)
    told = table(tmp_path, f"{NAMES}\n{BODY}{footer}", footer=rows, header=("name",), preamble=0)
    np.testing.assert_array_equal(told.table.values, reading.table.values)


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("2024-03-13 00:13:00,50\n", "this row has 2 cells"),
        ("2024-03-13 00:13:00,50,1,2,3\n", "this row has 5 cells"),
        ("2024-13-45 00:13:00,50,1,2\n", "is no date"),
        (",50,1,2\n", "no time"),
    ],
)
def test_a_damaged_last_row_is_no_footer(tmp_path: Path, last: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(tmp_path, f"{NAMES}\n{BODY}{last}")


def test_at_most_so_many_rows_are_a_footer(tmp_path: Path) -> None:
    assert len(table(tmp_path, f"{NAMES}\n{BODY}", footer=3).table) == len(ROWS)  # whole rows of values stay
    with pytest.raises(InputError):
        table(tmp_path, f"{NAMES}\n{BODY}Average,1,2,3\n", footer=0, time="time")


def test_a_ragged_row_inside_the_data_stays_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plant.csv:14 — this row has 1 cells"):
        table(tmp_path, f"{NAMES}\n{BODY}(12 rows affected)\n" + BODY.replace("03-13", "03-14"))
    with pytest.raises(InputError, match=r"plant.csv:2 — this row has 4 cells, the header has 3"):
        table(tmp_path, f"time,FI101,TI102\n{BODY}")


def test_comments_within_the_data(tmp_path: Path) -> None:
    body = "\n".join([*ROWS[:5], "# logger restarted, again", *ROWS[5:]]) + "\n"
    for head in ("# made by a logger\n", ""):
        detected = found(tmp_path, f"{head}{NAMES}\n{body}")
        assert detected.layout.comment == "#"
        reading = detected.reading
        assert reading is not None
        assert (len(reading.table), reading.ledger.read, reading.ledger.dropped) == (len(ROWS), len(ROWS) + 1, 1)
        again = table(tmp_path, f"{head}{NAMES}\n{body}", comment="#")
        np.testing.assert_array_equal(again.table.values, reading.table.values)


def test_a_header_that_is_a_comment(tmp_path: Path) -> None:
    detected = found(tmp_path, f"# logger 7\n# {NAMES}\n{BODY}")
    assert detected.reading is not None, detected.fault
    assert detected.reading.table.names == ("FI101", "TI102", "PI103")
    assert (detected.layout.comment, detected.layout.preamble) == ("#", 1)
    again = table(tmp_path, f"# logger 7\n# {NAMES}\n{BODY}", comment="#", preamble=1, header=("name",))
    assert again.table.names == ("FI101", "TI102", "PI103")
    assert table(tmp_path, f"#,x,y,z\n{BODY}").table.names == ("x", "y", "z")  # a column that is called "#"


def test_messages_name_the_row_of_the_file(tmp_path: Path) -> None:
    rows = BODY.replace("50.000", "50.0.0")
    with pytest.raises(InputError, match=r"plant.csv:15:FI101|plant.csv:16:FI101"):
        table(tmp_path, f"Report\n\n\n{NAMES}\n{rows}" + "2024-03-13 01:00:00,x,1,2\n" * 30)


def test_a_layout_found_once_reads_the_same_again(tmp_path: Path) -> None:
    text = f"Report\n\n{NAMES}\n,m3/h,degC,bar\n{BODY}(12 rows affected)\n"
    detected = found(tmp_path, text)
    again = read(detected.plan, base=tmp_path)
    np.testing.assert_array_equal(again.table.values, detected.reading.table.values)  # type: ignore[union-attr]
    assert again.table.tags == detected.reading.table.tags  # type: ignore[union-attr]
    assert not [entry for entry in again.evidence if entry.key in ("preamble", "header", "footer", "delimiter")]


@st.composite
def framed(draw: st.DrawFn) -> tuple[str, list[list[float]], list[str], list[str]]:
    """A table of numbers with any frame around it."""
    mark = draw(st.sampled_from([",", ";", "\t", "|"]))
    columns = draw(st.integers(2, 6))
    rows = draw(st.integers(4, 30))
    values = [[round(draw(st.floats(-1e4, 1e4)), 3) + 0.0 for _ in range(columns)] for _ in range(rows)]
    names = [f"{draw(st.sampled_from(['TI', 'FI', 'PIC', 'ai_']))}{100 + at}" for at in range(columns)]
    units = [draw(st.sampled_from(["m3/h", "degC", "bar", "%", "kg/h", "ppm"])) for _ in range(columns)]
    header = [mark.join(["time", *names])]
    with_units = draw(st.booleans())
    if with_units:
        header.insert(draw(st.integers(0, 1)), mark.join(["", *units]))
    titles = draw(
        st.lists(
            st.sampled_from(["Report", "", mark * columns, "Unit 100" + mark * columns, "Made by: me"]), max_size=4
        )
    )
    lines = [mark.join([f"2024-01-{1 + at:02d} 08:00:00", *map(str, row)]) for at, row in enumerate(values)]
    footer = draw(st.lists(st.sampled_from(["(9 rows affected)", "", "---", "Signature: Chen"]), max_size=3))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = end.join([*titles, *header, *lines, *footer]) + draw(st.sampled_from(["", end]))
    return text, values, names, units if with_units else [""] * columns


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(framed())
def test_a_table_in_any_frame_comes_back_equal(tmp_path: Path, case) -> None:
    text, values, names, units = case
    reading = table(tmp_path, text)
    assert reading.table.names == tuple(names)
    assert [tag.unit for tag in reading.table.tags] == units
    np.testing.assert_array_equal(reading.table.values, values)


@pytest.mark.parametrize("names", ["time FI101 TI102", "'time' 'FI101' 'TI102'", '"time"   "FI101"  "TI102"  '])
def test_cells_may_stand_apart_by_blanks(tmp_path: Path, names: str) -> None:
    rows = "".join(f"  2024-01-0{day}   {day}.5    {day}e1 \r\n" for day in range(1, 8))
    detected = found(tmp_path, f"{names}\r\n{rows}")
    assert detected.questions == ()
    assert detected.layout.delimiter == " "
    assert detected.reading.table.names == ("FI101", "TI102")  # type: ignore[union-attr]
    np.testing.assert_array_equal(detected.reading.table.values[0], [1.5, 10.0])  # type: ignore[union-attr]


def test_years_may_be_names(tmp_path: Path) -> None:
    with pytest.raises(OpenQuestion, match="header") as asked:
        table(tmp_path, "Country,Code,1960,1961,1962\n" + "".join(f"C{n},X{n},{n}.5,{n}.25,{n}\n" for n in range(9)))
    assert [reading.value for reading in asked.value.question.readings] == [("name",), ()]
