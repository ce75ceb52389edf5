"""Detection: what the file decides is written down, what it does not is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from backmix.data.layout.detect import detect
from backmix.data.layout.evidence import OpenQuestion, toml
from backmix.data.layout.layout import Layout, layout_of, load_layout, save_layout
from backmix.data.sources import ReadPlan, read
from backmix.errors import InputError, PlanError


@pytest.fixture
def unclear(tmp_path: Path) -> Path:
    """A table whose dates may be read in two ways."""
    path = tmp_path / "plant.csv"
    path.write_text("time,T101\n02/05/2024 00:00,1.5\n03/05/2024 00:00,2.5\n04/05/2024 00:00,3.5\n", "utf-8")
    return path


def test_a_question_shows_every_reading_on_a_row_of_the_file(unclear: Path) -> None:
    found = detect(ReadPlan(file=str(unclear)))
    (question,) = found.questions
    assert question.key == "day_first"
    assert question.lines() == ("day_first = true  # 2024-05-02", "day_first = false  # 2024-02-05")
    assert question.row == ("02/05/2024 00:00",)
    assert question.where.endswith("plant.csv:2:time")
    assert found.reading is not None
    assert str(found.reading.table.time[0])[:10] == "2024-05-02"  # type: ignore[index]
    with pytest.raises(OpenQuestion, match="02/05/2024"):
        read(ReadPlan(file=str(unclear)))


def test_an_answer_leaves_nothing_to_ask(unclear: Path) -> None:
    found = detect(ReadPlan(file=str(unclear), day_first=False))
    assert found.questions == ()
    assert found.layout.day_first is False


def test_a_fault_that_is_no_question_is_kept(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("", "utf-8")
    found = detect(ReadPlan(file=str(tmp_path / "empty.csv")))
    assert isinstance(found.fault, InputError)
    assert found.reading is None


def test_a_layout_of_its_own_is_used_for_many_files(unclear: Path) -> None:
    save_layout(Layout(day_first=True, time_zone="Asia/Taipei"), unclear.parent / "historian.toml")
    assert load_layout("historian.toml", unclear.parent) == Layout(day_first=True, time_zone="Asia/Taipei")
    plan = ReadPlan(file="plant.csv", layout="historian.toml")
    assert str(read(plan, base=unclear.parent).table.time[0])[:13] == "2024-05-01T16"  # type: ignore[index]
    other = read(plan.model_copy(update={"day_first": False}), base=unclear.parent)  # the plan itself counts first
    assert str(other.table.time[0])[:13] == "2024-02-04T16"  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "message"),
    [("= 3", "is no layout"), ("moon = 1", "moon: Extra inputs"), ('decimal = ";"', "decimal: Input should be")],
)
def test_a_faulty_layout_is_refused_with_its_keys(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.toml").write_text(text, "utf-8")
    with pytest.raises(PlanError, match=message):
        load_layout("bad.toml", tmp_path)


def test_a_clock_in_two_columns_is_one(tmp_path: Path) -> None:
    path = tmp_path / "plant.csv"
    path.write_text("Date,Time,T101\n2024-05-02,08:00,1.5\n2024-05-02,08:01,2.5\n", "utf-8")
    table = read(ReadPlan(file=str(path), time=("Date", "Time"))).table
    assert [str(time)[:16] for time in table.time] == ["2024-05-02T08:00", "2024-05-02T08:01"]  # type: ignore[union-attr]
    assert table.names == ("T101",)
    with pytest.raises(InputError, match="Tim"):
        read(ReadPlan(file=str(path), time=("Date", "Tim")))


def test_toml_quotes_what_needs_it() -> None:
    assert toml({"FI101 quality": "FI101"}) == '{ "FI101 quality" = "FI101" }'


def test_an_unclear_encoding_is_asked_with_both_readings(tmp_path: Path) -> None:
    text = "time,T101 [°C]\n2024-05-02 00:00,1.5\n2024-05-02 00:01,2.5\n"
    (tmp_path / "plant.csv").write_bytes(text.encode("cp1252"))
    (question,) = detect(ReadPlan(file="plant.csv"), tmp_path).questions
    assert question.lines() == ('encoding = "cp1252"  # time,T101 [°C]', 'encoding = "cp950"  # time,T101 [蚓]')
    found = detect(ReadPlan(file="plant.csv", encoding="cp1252"), tmp_path)
    assert found.questions == ()
    assert found.reading is not None
    assert found.reading.table.tags[0].name == "T101 [°C]"


def test_how_rows_of_one_time_are_settled_is_kept_with_the_layout(tmp_path: Path) -> None:
    """Where it was asked and answered; a layout that says nothing of it leaves it to the plan."""
    (tmp_path / "twice.csv").write_text(
        "time,x\n" + "".join(f"2024-05-13 08:{m:02d},{m}.{n}\n" for n, m in enumerate((1, 2, 2, 3)))
    )
    plain = detect(ReadPlan(file=str(tmp_path / "twice.csv")))
    assert [question.key for question in plain.questions] == ["duplicates"] or plain.fault is not None
    answered = detect(ReadPlan(file=str(tmp_path / "twice.csv"), duplicates="last"))
    assert answered.layout.duplicates == "last"
    save_layout(answered.layout, tmp_path / "historian.toml")
    assert 'duplicates = "last"' in (tmp_path / "historian.toml").read_text()
    kept = ReadPlan(file="twice.csv", layout="historian.toml")
    assert read(kept, base=tmp_path).table.column("x").tolist() == [1.0, 2.2, 3.3]
    mine = kept.model_copy(update={"duplicates": "first"})
    assert read(mine, base=tmp_path).table.column("x").tolist() == [1.0, 2.1, 3.3]  # the plan itself counts first
    with pytest.raises(InputError):
        read(ReadPlan.model_validate({**kept.model_dump(exclude_unset=True), "duplicates": "refuse"}), base=tmp_path)
    (tmp_path / "once.csv").write_text("time,x\n2024-05-13 08:01,1.5\n2024-05-13 08:02,2.5\n")
    assert detect(ReadPlan(file=str(tmp_path / "once.csv"))).layout.duplicates is None
    assert layout_of(ReadPlan(file="x.csv")) == Layout()
