"""Tomorrow's file: it is read by the layout that the model keeps, and what is different about it is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backmix.app.main import main
from backmix.data.layout import detect
from backmix.data.layout.evidence import Evidence
from backmix.data.ledger import Difference, Ledger
from backmix.data.reading.file_profile import FileProfile
from backmix.data.sources import ReadPlan, heads, read
from backmix.errors import InputError
from backmix.serving.bundle import Bundle
from backmix.text import LANGUAGES
from backmix.training.plan import Plan
from backmix.workflow import fit
from small import small_plan

ROWS = 420


def _text(
    rows: int = 60,
    *,
    units: tuple[str, ...] | None = ("", "degC", "m3/h", "", "%", "bar"),
    rename: dict[str, str] | None = None,
    form: str = "%Y-%m-%d %H:%M:%S+08:00",
    step: str = "1min",
    day: str = "2026-03-01",
    word: str = "Bad",
    more: dict[str, Any] | None = None,
    without: tuple[str, ...] = (),
    header: bool = True,
) -> str:
    """A file of a historian: a clock with an offset, two inputs, one of them with its status, and the target."""
    rng = np.random.default_rng(0)
    u = np.cumsum(rng.normal(size=(rows, 2)), axis=0) * 0.2 + rng.normal(size=(rows, 2))
    status = np.where(np.arange(rows) % 50 == 49, word, "Good")
    frame = pd.DataFrame(
        {
            "time": pd.date_range(day, periods=rows, freq=step).strftime(form),
            "T101": u[:, 0].round(3),
            "F102": u[:, 1].round(3),
            "F102 Status": status,
            "quality": (40 + 3 * u[:, 0] - 2 * u[:, 1]).round(3),
            "P103": rng.normal(size=rows).round(3),
        }
    )
    unit_row = dict(zip(frame.columns, units, strict=True)) if units is not None else None
    frame = frame.assign(**(more or {})).drop(columns=list(without)).rename(columns=rename or {})
    lines = frame.to_csv(index=False, header=header).splitlines()
    if unit_row is not None:
        lines.insert(1, ",".join(unit_row.get({v: k for k, v in (rename or {}).items()}.get(n, n), "") for n in frame))
    return "\n".join(lines) + "\n"


def _plan(folder: Path, **changes: Any) -> Plan:
    tags = [{"name": "T101", "unit": "degC"}, {"name": "F102"}, {"name": "P103", "role": "ignored"}]
    plan = small_plan(data={"file": "plant.csv", "tags": tags}, **changes)
    return Plan.parse(plan.to_toml(), where=str(folder))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model of the file as it was on the day of training."""
    folder = tmp_path_factory.mktemp("plant")
    (folder / "plant.csv").write_text(_text(ROWS))
    run = fit(None, _plan(folder), folder=folder / "run", base=folder, quiet=True)
    return run.bundle


@pytest.fixture
def differences(bundle: Bundle, tmp_path: Path) -> Callable[..., tuple[str, ...]]:
    """What is said of a file that is written otherwise, in English; all of it can be said in Chinese too."""

    def told_of(text: str, **settings: Any) -> tuple[str, ...]:
        (tmp_path / "tomorrow.csv").write_text(text)
        _, ledger = bundle.predict_file(tmp_path / "tomorrow.csv", **settings)
        for difference in ledger.differences:
            assert len({difference.sentence(lang) for lang in LANGUAGES}) == len(LANGUAGES)
            json.dumps(difference.to_dict())
        return tuple(difference.sentence("en") for difference in ledger.differences)

    return told_of


def test_a_file_that_is_written_as_that_of_training_has_no_differences(differences: Callable[..., Any]) -> None:
    assert differences(_text()) == ()
    assert differences(_text(day="2026-07-01", rows=200)) == ()
    order = [0, 4, 2, 5, 3, 1]
    lines = [line.split(",") for line in _text().splitlines()]
    assert differences("\n".join(",".join(cells[at] for at in order) for cells in lines)) == (), "the order is free"


def test_another_unit_of_an_input_is_refused_and_never_converted(
    bundle: Bundle, differences: Callable[..., Any], tmp_path: Path
) -> None:
    text = _text(units=("", "degF", "m3/h", "", "%", "bar"))
    with pytest.raises(InputError, match=r"column 'T101' is in degF, the model was trained in degC") as fault:
        differences(text)
    assert any("T101" in line and "--data" in line for line in fault.value.__notes__), "how to say that it is right"
    # a person who says that the header is wrong is believed, and it is said
    (said,) = differences(text, tags=[{"name": "T101", "unit": "degC"}])
    assert "T101" in said
    assert "degF" in said
    # another way of writing the same unit is none
    assert differences(_text(units=("", "°C", "m3/hr", "", "%", "bar"))) == ()


def test_another_unit_of_a_column_that_the_model_does_not_read_is_only_said(differences: Callable[..., Any]) -> None:
    (said,) = differences(_text(units=("", "degC", "m3/h", "", "%", "kPa")))
    assert "P103" in said
    assert "bar" in said
    assert "kPa" in said


def test_a_unit_that_the_plan_corrected_at_training_is_no_difference(tmp_path: Path) -> None:
    """The header was wrong on the day of training, and is wrong in the same way tomorrow."""
    (tmp_path / "plant.csv").write_text(_text(ROWS, units=("", "K", "m3/h", "", "%", "bar")))
    run = fit(None, _plan(tmp_path), folder=tmp_path / "run", base=tmp_path, quiet=True)
    _, ledger = run.bundle.predict_file(tmp_path / "plant.csv")
    assert ledger.differences == ()
    (tmp_path / "other.csv").write_text(_text(units=("", "degF", "m3/h", "", "%", "bar")))
    with pytest.raises(InputError, match="degF"):
        run.bundle.predict_file(tmp_path / "other.csv")


def test_a_header_without_units_is_said_and_no_row_of_values_is_taken_for_it(differences: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="first row of values"):
        differences(_text(units=None))
    said = differences(_text(units=None), header=["name"])
    assert len(said) == 1
    assert "no units" in said[0]
    assert "T101 [degC]" in said[0]


def test_units_where_training_had_none_are_said(tmp_path: Path) -> None:
    (tmp_path / "plant.csv").write_text(_text(ROWS, units=None))
    plan = small_plan(data={"file": "plant.csv"})
    run = fit(None, plan, folder=tmp_path / "run", base=tmp_path, quiet=True)
    (tmp_path / "other.csv").write_text(_text())
    _, ledger = run.bundle.predict_file(tmp_path / "other.csv", header=["name", "unit"])
    (said,) = [difference.sentence("en") for difference in ledger.differences]
    assert "T101 [degC]" in said
    # without the setting the row of units is no row of values either, and the header is said to be another
    frame, ledger = run.bundle.predict_file(tmp_path / "other.csv")
    assert any('["name", "unit"]' in difference.sentence("en") for difference in ledger.differences)
    pd.testing.assert_frame_equal(frame, run.bundle.predict_file(tmp_path / "other.csv", header=["name", "unit"])[0])


def test_a_row_of_units_that_the_layout_does_not_know_is_still_compared(tmp_path: Path) -> None:
    (tmp_path / "plant.csv").write_text(_text(ROWS, units=None))
    run = fit(None, _plan(tmp_path), folder=tmp_path / "run", base=tmp_path, quiet=True)
    (tmp_path / "other.csv").write_text(_text(units=("", "degF", "m3/h", "", "%", "bar")))
    with pytest.raises(InputError, match="degF"):
        run.bundle.predict_file(tmp_path / "other.csv")


def test_new_and_missing_columns_are_said(differences: Callable[..., Any]) -> None:
    assert differences(_text(more={"FI200": 1.0})) == ("columns that the training file did not have: FI200",)
    assert differences(_text(without=("P103",))) == ("columns of the training file that are not there: P103",)


@pytest.mark.parametrize("name", ["p103", "P 103", "Ｐ１０３", "P_103"])
def test_a_column_that_is_only_written_otherwise_is_said_to_be(differences: Callable[..., Any], name: str) -> None:
    (said,) = differences(_text(rename={"P103": name}))
    assert repr(name) in said
    assert "'P103'" in said


def test_a_renamed_input_is_refused_with_its_new_name(differences: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="T101") as fault:
        differences(_text(rename={"T101": "t 101"}))
    assert any("'t 101'" in line for line in fault.value.__notes__)


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("%d.%m.%Y %H:%M:%S+08:00", "13.03.2026"),
        ("%Y/%m/%d %H:%M:%S+08:00", "2026/03/13"),
        ("%d-%b-%Y %H:%M:%S +08:00", "13-Mar-2026"),
    ],
)
def test_another_form_of_the_clock_is_said(differences: Callable[..., Any], form: str, shown: str) -> None:
    (said,) = differences(_text(form=form, day="2026-03-13"))
    assert "clock" in said
    assert shown in said


def test_another_offset_is_said(differences: Callable[..., Any]) -> None:
    (said,) = differences(_text(form="%Y-%m-%d %H:%M:%S+09:00"))
    assert "+09:00" in said
    assert "+08:00" in said
    (said,) = differences(_text(form="%Y-%m-%d %H:%M:%S"))
    assert "+08:00" in said


def test_another_step_is_refused_unless_rows_are_put_on_a_grid(differences: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rows are 120 s apart") as fault:
        differences(_text(step="2min"))
    assert any("2min" in line and "1min" in line for line in fault.value.__notes__)
    (tmp_path / "plant.csv").write_text(_text(ROWS))
    plan = _plan(tmp_path, repair={"resample": "2min"})
    run = fit(None, plan, folder=tmp_path / "run", base=tmp_path, quiet=True)
    (tmp_path / "other.csv").write_text(_text(step="2min"))
    _, ledger = run.bundle.predict_file(tmp_path / "other.csv")
    (said,) = [difference.sentence("en") for difference in ledger.differences]
    assert "1min" in said
    assert "2min" in said


def test_words_of_a_status_column_that_training_did_not_see_are_said(differences: Callable[..., Any]) -> None:
    (said,) = differences(_text(word="Uncertain"))
    assert "Uncertain" in said
    assert "Bad" not in said


def test_the_head_of_a_large_file_says_how_it_is_laid_out(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only so many bytes of a large file are looked at twice; differences are the same."""
    monkeypatch.setattr(detect, "LOOKED_AT", 5_000)
    monkeypatch.setattr(heads, "HEAD", 30_000)
    monkeypatch.setattr(heads, "HEAD_ROWS", 500)
    looked: list[int] = []
    plain = detect.read

    def counted(plan: ReadPlan, **others: Any) -> Any:
        reading = plain(plan, **others)
        looked.append(len(reading.table))
        return reading

    monkeypatch.setattr(detect, "read", counted)
    (tmp_path / "large.csv").write_text(_text(3000, form="%d.%m.%Y %H:%M:%S+08:00", day="2026-03-13"))
    for name in ("large.csv", "large.csv.gz", "large.csv.xz", "large.zip"):
        if name != "large.csv":
            _pack(tmp_path / "large.csv", tmp_path / name)
        _, ledger = bundle.predict_file(tmp_path / name)
        assert any("clock" in difference.sentence("en") for difference in ledger.differences)
    assert looked
    assert max(looked) < 3000
    frame = pd.read_csv(tmp_path / "large.csv", header=[0], skiprows=[1])
    frame.assign(time=pd.to_datetime(frame["time"], format="%d.%m.%Y %H:%M:%S%z")).to_parquet(
        tmp_path / "large.parquet"
    )
    looked.clear()
    _, ledger = bundle.predict_file(tmp_path / "large.parquet")
    assert looked == [500]
    assert not any("clock" in difference.sentence("en") for difference in ledger.differences)


def _pack(source: Path, out: Path) -> None:
    import gzip
    import lzma
    import zipfile

    if out.suffix == ".zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(source, source.name)
    else:
        out.write_bytes((gzip if out.suffix == ".gz" else lzma).compress(source.read_bytes()))


def test_what_the_training_file_looked_like_stands_in_the_bundle(bundle: Bundle, tmp_path: Path) -> None:
    again = Bundle.load(bundle.save(tmp_path / "copy.backmix"))
    assert again.profile == bundle.profile
    assert again.profile is not None
    assert again.profile.columns == ("T101", "F102", "quality", "P103")
    assert again.profile.units == {"T101": "degC", "F102": "m3/h", "quality": "%", "P103": "bar"}
    assert again.profile.offsets == ("+08:00",)
    assert again.profile.status == ("Bad", "Good")
    assert again.profile.step == 60.0


def test_a_model_of_long_before_has_no_profile_and_says_what_its_tags_tell(bundle: Bundle, tmp_path: Path) -> None:
    from dataclasses import replace

    old = replace(bundle, profile=None)
    (tmp_path / "tomorrow.csv").write_text(_text(more={"FI200": 1.0}))
    assert old.predict_file(tmp_path / "tomorrow.csv")[1].differences == ()
    (tmp_path / "tomorrow.csv").write_text(_text(units=("", "degF", "m3/h", "", "%", "bar")))
    with pytest.raises(InputError, match="degF"):
        old.predict_file(tmp_path / "tomorrow.csv")


def test_the_profile_of_results_in_a_file_of_their_own_is_that_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "plant.csv").write_text(_text(without=("quality",)))
    (tmp_path / "lab.csv").write_text("sampled,C_A\n" + "".join(f"2026-03-01 00:{m:02d}+08:00,{m}\n" for m in (5, 9)))
    lab = {"file": "lab.csv", "report_delay": "1h"}
    reading = read(ReadPlan.model_validate({"file": "plant.csv", "lab": lab}), base=tmp_path)
    assert reading.profile is not None
    assert reading.profile.columns == ("T101", "F102", "P103")
    assert {"header", "delimiter"} <= {entry.key for entry in reading.evidence}


def test_a_long_form_is_known_by_its_tags(tmp_path: Path) -> None:
    rows = [f"2026-03-01 00:{m:02d},{tag},{m},{unit}" for m in range(30) for tag, unit in (("A1", "bar"), ("B2", "K"))]
    (tmp_path / "long.csv").write_text("time,tag,value,unit\n" + "\n".join(rows))
    reading = read(ReadPlan(file="long.csv"), base=tmp_path)
    assert reading.profile is not None
    assert reading.profile.columns == ("A1", "B2")
    assert reading.profile.units == {"A1": "bar", "B2": "K"}
    assert reading.profile.clock == ("0000-00-00 00:00",)


def test_a_single_column_with_decimal_commas_keeps_no_delimiter() -> None:
    plan = ReadPlan(file="x.csv", decimal=",")
    assert plan.with_evidence([Evidence("delimiter", ",", "layout.delimiter")]).delimiter is None


def test_a_stored_profile_is_checked() -> None:
    profile = FileProfile(("a",), {"a": "bar"}, ("0000-00-00",), "2026-01-01", ("",), ("Good",), 60.0)
    assert FileProfile.from_dict(json.loads(json.dumps(profile.to_dict()))) == profile
    for wrong in ({"columns": "a"}, {"units": []}, {"step": "x"}, {"step": -1.0}, {"clock": [1]}, {"more": 1}):
        with pytest.raises((ValueError, TypeError, KeyError)):
            FileProfile.from_dict(profile.to_dict() | wrong)


def test_differences_stand_on_the_screen_and_in_json(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bundle.save("m.backmix")
    Path("new.csv").write_text(_text(more={"FI200": 1.0}))
    for lang in LANGUAGES:
        with pytest.raises(SystemExit) as end:
            main(["--lang", lang, "predict", "m.backmix", "new.csv", "-o", "out.csv", "--json"])
        assert end.value.code == 0
        said = capsys.readouterr()
        (difference,) = json.loads(said.out)["differences"]
        assert difference["sentence"] in said.err
        assert (difference["key"], difference["columns"]) == ("columns_new", ["FI200"])


def test_a_ledger_keeps_differences_as_it_grows() -> None:
    difference = Difference("profile.columns_new", {"columns": ["x"]})
    ledger = Ledger(3, differences=(difference,)).add()
    assert ledger.differences == (difference,)
    assert ledger.to_dict()["differences"] == [difference.to_dict()]
    assert "differences" not in Ledger(3).to_dict()
