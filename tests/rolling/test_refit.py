"""Rolling refit with champion and challengers (course item 89): honest in time, better or not promoted, bounded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import backmix
import children
from backmix.data.ledger import Ledger
from backmix.data.reading.reading import Reading
from backmix.data.splitting.split import SplitPart
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError, PlanError
from backmix.models.network import ModelPlan
from backmix.results.run import Run
from backmix.rolling.backtest import set_up_backtest
from backmix.rolling.contender import train_contender
from backmix.rolling.refit import play_rounds, refit
from backmix.rolling.refit_record import Refit
from backmix.rolling.refit_setup import set_up_refit
from backmix.scoring.rounds import decide, error
from backmix.scoring.scores import Sampling
from backmix.scoring.verdict import judge
from backmix.serving.bundle import Bundle
from backmix.training.blocks import pooled
from backmix.training.plan import Plan
from backmix.training.prepare import prepare
from backmix.workflow import fit
from frames import numbers, sensor
from small import small_plan, small_table

ROWS, FIRST, EVERY = 1500, 600, 300


def plant(gain: Any, *, rows: int = ROWS, seed: int = 0) -> Table:
    """Two inputs and a quality that follows the first one with a gain (N,) that may change."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(rows, 2))
    y = 40 + gain * u[:, 0] - u[:, 1] + 0.1 * rng.normal(size=rows)
    time = np.datetime64("2026-03-01", "ns") + np.arange(rows) * np.timedelta64(60, "s").astype("timedelta64[ns]")
    return Table(
        np.column_stack([u, y]),
        (Tag("F101"), Tag("T102"), Tag("quality", unit="%", role="target")),
        time=time,
        source="plant",
    )


def drifting() -> Table:
    """The catalyst is changed at the end of the first champion's rows: the gain turns from 3 to 1."""
    return plant(np.where(np.arange(ROWS) < FIRST, 3.0, 1.0))


def plan_of(*, epochs: int = 12, **refit_settings: Any) -> Plan:
    return Plan.check(
        {
            "task": {"kind": "soft_sensor", "target": "quality"},
            "windows": {"lookback": 2},
            "model": {"recipe": "course", "units": [6]},
            "training": {"epochs": epochs, "batch_size": 16, "learning_rate": 0.02},
            "evaluation": {"baselines": ["ridge"], "resamples": 100},
            "refit": {"first": FIRST / ROWS, "every": EVERY, "replay": 0.0, "bound": "none"} | refit_settings,
        }
    )


@pytest.fixture(scope="module")
def drift(tmp_path_factory: pytest.TempPathFactory) -> Refit:
    return refit(plan_of(), drifting(), folder=tmp_path_factory.mktemp("refit") / "drift")


def test_where_the_plant_changes_refitting_wins_against_never_updating(drift: Refit) -> None:
    rounds = drift.summary["rounds"]
    assert len(rounds) == 2
    assert rounds[0]["decision"]["promoted"]
    assert rounds[0]["in_charge"] == rounds[0]["never_updated"]
    assert rounds[1]["in_charge_since"] == 1
    assert rounds[1]["in_charge"]["value"] < 0.5 * rounds[1]["never_updated"]["value"]
    assert drift.summary["overall"]["outcome"] == "better"
    assert "refitting was worth it" in drift.verdict
    assert all(told["baseline_name"] == "ridge" for told in rounds)


def test_a_promoted_challenger_is_kept_with_its_round_and_is_the_last_champion(drift: Refit) -> None:
    last = drift.summary["promoted"][-1]
    kept = drift.folder / f"round-{last:02d}.backmix"
    assert kept.read_bytes() == drift.bundle_path.read_bytes()
    bundle = Bundle.load(kept)
    assert bundle.scores["round"]["number"] == last
    assert bundle.scores["verdict"]["en"].startswith("promoted: RMSE")
    assert bundle.period is not None
    assert bundle.period.first == "2026-03-01T00:00:00"
    frame, _ = bundle.predict(drifting())
    assert len(frame) == ROWS - 1


def test_the_report_tells_it_in_both_languages(drift: Refit) -> None:
    for lang, words in (
        ("en", ("promoted: RMSE", "never updated", "Round by round")),
        ("zh_TW", ("升任：", "從不更新", "逐回合結果")),
    ):
        page = (drift.folder / f"report.{lang}.html").read_text("utf-8")
        assert all(word in page for word in words)
        assert "<svg" in page
        assert 'http-equiv="Content-Security-Policy"' in page
    frame = pd.read_parquet(drift.folder / "predictions.parquet")
    assert set(frame["model"]) == {"in_charge", "never_updated", "baseline"}
    assert Refit.load(drift.folder).summary == drift.summary


def test_a_challenger_that_forgets_is_refused_by_the_bound() -> None:
    told = play_rounds(set_up_refit(plan_of(bound=0.1, rounds=1), drifting(), None, {})).rounds
    decision = told[0].decision
    assert not decision.promoted
    assert decision.key == "refit.forgets"
    assert decision.growth is not None
    assert decision.growth > 0.1
    assert decision.gain_low is not None
    assert decision.gain_low > 0
    assert "more than the bound of 10 %" in decision.reason()


def test_a_plant_that_stays_as_it_is_keeps_its_champion() -> None:
    """Noise must not promote: at 95 % one promotion in two rounds would already be rare."""
    played = play_rounds(set_up_refit(plan_of(epochs=80, replay=0.3, bound=0.1), plant(np.full(ROWS, 3.0)), None, {}))
    assert [told.decision.promoted for told in played.rounds].count(True) == 0
    assert {told.decision.key for told in played.rounds} <= {"refit.not_better", "refit.same", "refit.forgets"}
    assert played.champion is played.setup.champion


@pytest.mark.parametrize("start", ["warm", "fresh"])
def test_the_future_of_a_round_changes_nothing_in_it(start: str) -> None:
    """Traps J and P: shuffle and disturb everything behind the stretch that round 1 is judged on."""
    table = drifting()
    setup = set_up_refit(plan_of(start=start, replay=0.3, bound=0.5), table, None, {})
    end = setup.layout.cuts[2]
    values = np.array(table.values)
    rng = np.random.default_rng(1)
    values[end:] = values[end:][rng.permutation(len(values) - end)] + rng.normal(size=values[end:].shape)
    other = set_up_refit(plan_of(start=start, replay=0.3, bound=0.5), replace(table, values=values), None, {})
    one, two = play_rounds(setup).rounds, play_rounds(other).rounds
    assert one[0].to_dict() == two[0].to_dict()
    assert one[1].to_dict() != two[1].to_dict()


def test_a_challenger_learns_from_new_and_replayed_rows_and_from_nothing_held_out() -> None:
    setup = set_up_refit(plan_of(replay=0.5, bound=0.1), drifting(), None, {})
    layout, spec = setup.layout, setup.champion.bundle.preprocessing.spec
    held = np.flatnonzero(layout.held_out)
    assert layout.cuts == (600, 900, 1200, 1500)
    assert held.min() > 400
    for number in (1, 2):
        known = setup.table.rows(slice(0, layout.cuts[number]))
        split = layout.divide(number, spec, seed=0, table=known, gap=spec.reach)
        train, validation = split.rows(SplitPart.TRAIN), split.rows(SplitPart.VALIDATION)
        new = slice(layout.cuts[number - 1], layout.cuts[number])
        assert not (train | validation)[held].any()
        assert validation[new].sum() == 60
        assert not validation[: new.start].any()
        assert train[new].sum() >= 240 - 2 * spec.reach
        replayed = int(train[:FIRST].sum())
        assert 200 < replayed < 300
        if number == 2:
            assert not train[FIRST : new.start].any()


def test_old_rows_that_are_not_replayed_teach_no_ensemble() -> None:
    """A fresh challenger may be an ensemble: it learns from the same rows as one network would."""
    setup = set_up_refit(plan_of(start="fresh", replay=0.4, bound=0.1, epochs=1), drifting(), None, {})
    layout, spec = setup.layout, setup.champion.bundle.preprocessing.spec
    known = setup.table.rows(slice(0, layout.cuts[2]))
    plan = setup.plan.model_copy(update={"model": ModelPlan(recipe="auto", units=(4,))})
    prepared = prepare(
        Reading(known, Ledger(read=len(known))),
        plan,
        divide=lambda table, gap: layout.divide(2, spec, seed=0, table=table, gap=gap),
    )
    codes, taught = np.asarray(prepared.split.part), np.asarray(pooled(prepared).target_rows)
    assert set(codes[taught].tolist()) == {SplitPart.TRAIN, SplitPart.VALIDATION, SplitPart.PURGED}
    # of the rows of no part only those that kept training and validation apart
    between = taught[codes[taught] == SplitPart.PURGED]
    assert ((between >= layout.training_rows(2)[0]) & (between < layout.training_rows(2)[1])).all()
    assert (codes[:FIRST] == SplitPart.PURGED).sum() > 50


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Run:
    table = plant(np.full(ROWS, 3.0))
    return fit(
        table.rows(slice(0, FIRST)), plan_of(epochs=80), folder=tmp_path_factory.mktemp("first") / "run", quiet=True
    )


def test_an_untouched_champion_stays_byte_identical(champion: Run, tmp_path: Path) -> None:
    """The bundle knows until when it learned: later rows of the same table are new."""
    found = backmix.refit(
        champion.bundle_path,
        plant(np.full(ROWS, 3.0)),
        folder=tmp_path / "refit",
        settings={"bound": 0.1, "replay": 0.3, "rounds": 1},
    )
    assert found.summary["promoted"] == []
    assert found.bundle_path.read_bytes() == champion.bundle_path.read_bytes()
    assert found.summary["settings"]["old_rows"] == 478  # the purged rows and the test part are new
    assert "nobody was promoted" in found.verdict


def test_a_plan_may_name_its_champion_or_a_start_of_the_first_one(champion: Run, tmp_path: Path) -> None:
    table = plant(np.full(ROWS, 3.0))
    (tmp_path / "old.backmix").write_bytes(champion.bundle_path.read_bytes())
    plan = plan_of(champion="old.backmix", bound=0.1)
    (tmp_path / "plan.toml").write_text(plan.to_toml())
    named = set_up_refit(tmp_path / "plan.toml", table, None, {})
    assert named.layout.cuts == set_up_refit(champion.bundle, table, None, {"bound": 0.1}).layout.cuts
    assert named.champion.bundle.preprocessing.to_dict() == champion.bundle.preprocessing.to_dict()
    late = replace(table, time=table.time + np.timedelta64(600, "m"))  # type: ignore[operator]
    start = plan_of(bound=0.1).merged({"training": {"warm_start": str(champion.bundle_path), "epochs": 1}})
    begun = set_up_refit(start, late, None, {})
    assert begun.champion.bundle.preprocessing.scaler.to_dict() == champion.bundle.preprocessing.scaler.to_dict()


def test_old_rows_may_come_by_themselves(champion: Run) -> None:
    table = plant(np.full(ROWS, 3.0))
    old, new = table.rows(slice(0, FIRST)), table.rows(slice(FIRST, ROWS))
    setup = set_up_refit(champion.bundle, new, old, {"bound": 0.1, "replay": 0.3})
    assert setup.layout.old == FIRST
    np.testing.assert_array_equal(setup.table.values, table.values)
    assert setup.layout.held_out.sum() == round(0.2 * FIRST)
    with pytest.raises(InputError, match=r"the new data begins at 2026-03-01T00:00:00, before the old data ends"):
        set_up_refit(champion.bundle, old, new, {})


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (slice(0, 400), {}, "the champion has learned from rows up to .*: there is nothing new. Give later data"),
        (
            slice(FIRST, ROWS),
            {"replay": 0.3, "bound": "none"},
            r"no rows of the old training period, but replay = 0\.3",
        ),
        (slice(FIRST, ROWS), {"replay": 0.0, "bound": 0.1}, r"bound = 0\.1 need some\. Give the old table with --old"),
        (slice(0, ROWS), {"every": 20}, r"trained on 20 rows, at least 50 are needed"),
        (slice(0, 900), {"every": 300}, r"422 new rows make no round: .* Give at least 600 new rows"),
    ],
)
def test_tables_that_make_no_round_are_refused(
    champion: Run, data: slice, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        set_up_refit(champion.bundle, plant(np.full(ROWS, 3.0)).rows(data), None, settings)


def test_a_champion_of_other_tags_or_without_a_clock_is_refused(champion: Run) -> None:
    with pytest.raises(InputError, match="F101"):
        set_up_refit(champion.bundle, small_table(), None, {})
    table = replace(plant(np.full(ROWS, 3.0)), time=None)
    with pytest.raises(InputError, match=r"lost|clock|time"):
        set_up_refit(champion.bundle, table, None, {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bound": -0.1}, r"bound is -0\.1: give a share of 0 or more"),
        ({"replay": 1.0}, r"\[refit\] replay"),
        ({"every": 0}, "0 rows is no stretch of rows"),
        ({"start": "cold"}, r"\[refit\] start.*cold"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan_of(**settings)


def test_a_stretch_without_labels_is_no_end(champion: Run) -> None:
    table = plant(np.full(ROWS, 3.0))
    values = np.array(table.values)
    values[480:780, 2] = np.nan
    played = play_rounds(
        set_up_refit(champion.bundle, replace(table, values=values), None, {"every": 300, "bound": 0.1})
    )
    first = played.rounds[0].decision
    assert (first.promoted, first.key) == (False, "refit.skipped")
    assert "there was no challenger" in first.reason()
    assert played.rounds[1].decision.key != "refit.skipped"


def test_a_decision_needs_to_be_better_beyond_the_noise() -> None:
    """The rule by itself, on predictions made up for it."""
    rng = np.random.default_rng(0)
    truth, task, sampling = rng.normal(size=400), sensor(Tag("y", role="target")), Sampling(draws=200)

    def told(champion: float, challenger: float, old: float) -> pd.DataFrame:
        noise = rng.normal(size=(4, 400))
        return pd.concat(
            [
                numbers(
                    truth,
                    {"in_charge": truth + champion * noise[0], "challenger": truth + challenger * noise[1]},
                    part="new",
                ),
                numbers(truth, {"never_updated": truth + noise[2], "challenger": truth + old * noise[3]}, part="old"),
            ]
        )

    assert decide(told(1.0, 0.5, 1.0), task, bound=0.1, sampling=sampling).key == "refit.promoted"
    assert decide(told(1.0, 0.98, 0.5), task, bound=0.1, sampling=sampling).key == "refit.not_better"
    assert decide(told(1.0, 1.5, 0.5), task, bound=0.1, sampling=sampling).key == "refit.not_better"
    hardly = told(1.0, 1.0, 1.0)
    new = hardly["part"] == "new"
    mine = hardly[new & (hardly["model"] == "in_charge")]
    hardly.loc[new & (hardly["model"] == "challenger"), "prediction"] = (
        mine["truth"] + 0.995 * (mine["prediction"] - mine["truth"])
    ).to_numpy()
    assert decide(hardly, task, bound=0.1, sampling=sampling).key == "refit.same"  # sure, and yet nothing
    assert decide(told(1.0, 0.5, 1.5), task, bound=0.1, sampling=sampling).key == "refit.forgets"
    assert decide(told(1.0, 0.5, 1.5), task, bound=0.7, sampling=sampling).promoted
    assert decide(told(1.0, 0.5, 9.0), task, bound="none", sampling=sampling).key == "refit.promoted_unbound"
    few = told(1.0, 0.5, 1.0)
    few = few[(few["part"] == "old") | (few["origin"] < 4)]
    assert decide(few, task, bound=0.1, sampling=sampling).key == "refit.too_few"
    assert error("accuracy", 0.75) == 0.25


def test_the_command_plays_a_plan(champion: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = plant(np.full(ROWS, 3.0)).to_frame()
    frame.to_csv(tmp_path / "plant.csv")
    plan = plan_of().merged(
        {
            "data": {"file": "plant.csv", "tags": [{"name": "quality", "unit": "%", "role": "target"}]},
            "training": {"epochs": 1},
        }
    )
    (tmp_path / "plan.toml").write_text(plan.to_toml())
    monkeypatch.chdir(tmp_path)

    def run(*more: str) -> tuple[int | None, str, str]:
        arguments = ["refit", "plan.toml", "--folder", "out", "--json", *more]
        child = children.start(f"from backmix.app.main import main\nmain({arguments!r})")
        out, err = child.communicate()
        return child.returncode, out, err

    code, out, _ = run("--bound", "-1")
    assert code == 2
    assert "give a share of 0 or more" in out
    code, out, err = run("--rounds", "1", "--bound", "0.1")
    assert code == 0, out + err
    said = json.loads(out)
    assert len(said["rounds"]) == 1
    assert said["settings"]["bound"] == 0.1
    assert "round 1 of 1: " in err
    code, out, _ = run()
    assert code == 2
    assert "holds a finished refit" in out


def test_the_baseline_of_a_round_is_chosen_by_what_it_said_before_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The validation part teaches the baseline that is judged, and not the one that is asked about it."""
    seen: list[pd.DataFrame] = []

    def spy(frame: pd.DataFrame, *arguments: Any, **options: Any) -> Any:
        seen.append(frame)
        return judge(frame, *arguments, **options)

    monkeypatch.setattr("backmix.rolling.refit.judge", spy)
    plan = plan_of(epochs=1, rounds=1).merged({"evaluation": {"baselines": ["mean"]}})
    play_rounds(set_up_refit(plan, drifting(), None, {}))
    frame = seen[0][seen[0]["model"] == "mean"]
    said = {part: rows["prediction"].unique().item() for part, rows in frame.groupby("part")}
    level = frame[frame["part"] == "validation"]["truth"].mean()
    assert set(said) == {"new", "validation"}
    assert said["new"] != said["validation"]
    # the mean of all lies between that of training and that of validation
    assert min(said["validation"], level) < said["new"] < max(said["validation"], level)


def test_classes_are_refitted_too() -> None:
    """Accuracy: what is missing from 1 is the error that the bound is about."""
    plan = small_plan(
        classes=True,
        training={"epochs": 1},
        evaluation={"baselines": ["majority"], "resamples": 50},
        refit={"first": 0.4, "every": 150, "replay": 0.2, "bound": 0.5, "rounds": 1},
    )
    told = play_rounds(set_up_refit(plan, small_table(840, classes=True), None, {})).rounds[0]
    assert told.baseline_name == "majority"
    assert told.decision.growth is not None
    assert 0 <= told.in_charge.value <= 1  # type: ignore[union-attr]


def test_the_models_of_rounds_and_folds_keep_the_layout_of_the_table(tmp_path: Path) -> None:
    """As the bundle of a run does: nothing is left for tomorrow's file to decide."""
    frame = plant(np.full(ROWS, 3.0)).to_frame().reset_index()
    frame["time"] = frame["time"].dt.strftime("%d.%m.%Y %H:%M:%S")
    frame.to_csv(tmp_path / "plant.csv", sep=";", decimal=",", index=False)
    data = {"file": "plant.csv", "day_first": True, "tags": [{"name": "quality", "role": "target"}]}
    plan = plan_of(epochs=1, rounds=1, bound=0.1).merged({"data": data, "training": {"epochs": 1}})
    (tmp_path / "plan.toml").write_text(plan.to_toml())
    run = fit(None, plan, folder=tmp_path / "run", base=tmp_path, quiet=True).bundle
    assert run.read.delimiter == ";"
    assert run.read.header == ("name",)
    assert run.profile is not None

    setup = set_up_refit(tmp_path / "plan.toml", None, None, {})
    champion = setup.champion.bundle
    assert (champion.read, champion.profile) == (run.read, run.profile)
    champion.save(tmp_path / "champion.backmix")
    later = set_up_refit(tmp_path / "champion.backmix", tmp_path / "plant.csv", None, {"bound": 0.1, "rounds": 1})
    assert (later.file.read, later.file.profile) == (champion.read, champion.profile)

    job = set_up_backtest(None, plan, tmp_path, tmp_path).jobs[0]
    fold = train_contender(job.visible, job.plan, job.file, divide=job.divide).bundle
    assert (fold.read, fold.profile) == (run.read, run.profile)
