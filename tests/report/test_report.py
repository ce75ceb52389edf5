"""The report is one harmless file that says everything, in both languages, whatever the run was."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backmix.data.auditing.audit import audit
from backmix.data.ledger import Note
from backmix.data.splitting.split import Split, SplitPart
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import WindowSpec
from backmix.errors import StorageError
from backmix.models.architecture import Architecture
from backmix.report.checklist import checklist
from backmix.report.data import PartSummary, ReportData, summarize_parts
from backmix.report.figures import WIDE, figures
from backmix.report.render import MOST_BYTES, render, style, style_hash
from backmix.scoring.leakage.audit import LeakageResult
from backmix.storage import write_atomic
from backmix.text import LANGUAGES, Language, sentences, speak
from backmix.training.sections.settings import FitSettings

Maker = Callable[..., ReportData]
EVIL = '<script>alert("1")</script>'
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Reader(HTMLParser):
    """What a browser would see: elements, attributes, words; and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        """All words of the page, blanks as one."""
        return " ".join(" ".join(self.words).split())


def read(data: ReportData, lang: Language = "en") -> Reader:
    reader = Reader()
    reader.feed(render(data, lang).decode("utf-8"))
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_the_page_is_one_file_that_needs_nothing(
    lang: Language, kind: str, number_report: Maker, class_report: Maker
) -> None:
    page = read(number_report() if kind == "numbers" else class_report(), lang)
    assert not {"script", "iframe", "object", "embed", "link", "img", "form", "base"} & set(page.elements)
    names = [name for name, _ in page.attributes]
    assert not [name for name in names if name.startswith("on") or name in ("style", "src", "srcset", "action")]
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value[1:] for name, value in page.attributes if name == "href"}
    assert links <= set(ids)
    assert "{" not in page.text.replace("{where}", "")


def test_the_policy_lets_the_style_sheet_through_and_nothing_else(number_report: Maker) -> None:
    html = render(number_report(), "en").decode("utf-8")
    assert f"content=\"default-src 'none'; style-src 'sha256-{style_hash()}'; base-uri 'none'" in html
    assert f"<style>{style()}</style>" in html
    assert "url(" not in style()
    assert "@import" not in style()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_tells_everything_that_is_known(lang: Language, number_report: Maker) -> None:
    """Course items 65 to 69 and 85, and the law that read rows = used + repaired + dropped."""
    data = number_report()
    assert not isinstance(data.verdict, str)
    assert data.account is not None
    text = read(data, lang).text
    for words in (
        data.title,
        data.verdict.text(lang),
        data.account.sentence(lang),
        data.decisions[0].reason(lang),
        "C4 [mol/mol]",
        "training.loss",
        'kind = "soft_sensor"',
        "0.1.0",
        "2024-03-01",
    ):
        assert " ".join(words.split()) in text
    for check in checklist(data):
        assert check.item(lang) in text
    for score in data.scores:
        assert score.part != "test" or score.metric != "rmse" or f"{score.value:.4f}" in text


def test_the_verdict_stands_before_everything_else(number_report: Maker) -> None:
    data = number_report()
    text = read(data).text
    assert not isinstance(data.verdict, str)
    assert text.index(data.verdict.text("en")) < text.index("The network beside the baselines")


def test_the_report_says_what_is_known_when_predicting(number_report: Maker, class_report: Maker) -> None:
    text = read(number_report()).text
    assert (
        "The model sees the last 10 rows (1 h) of 3 inputs, up to and including the present row: U1, U2, U3. "
        "It estimates C4 at that same moment. Past values of C4 are shown to it only when they are at least "
        "5 rows (30 min) old: newer ones would not yet be known in the plant."
    ) in text
    assert "The label fault itself is never shown to it." in read(class_report()).text
    ahead = WindowSpec(inputs=tuple(f"T{k}" for k in range(30)), targets=("C4",), lookback=4, horizon=2, dead_time=3)
    text = read(replace(number_report(), spec=ahead, step=None)).text
    assert "The model sees 4 rows of 30 inputs, ending 3 rows before the moment of prediction: T0, T1," in text
    assert "T11 and 18 more. It predicts C4 2 rows later. Past values of C4 are never shown to it" in text
    whole = WindowSpec(inputs=("T0",), targets=("C4",), lookback=None)
    assert "1 inputs from the start of the batch on: T0." in read(replace(number_report(), spec=whole)).text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_tag_may_be_called_anything(lang: Language, number_report: Maker, class_report: Maker) -> None:
    hostile = number_report(target=EVIL, inputs=(EVIL + " 2", "\x00\x1b\u202e' onload=alert(1) x='"), title=EVIL)
    hostile = replace(
        hostile,
        plan=f"# </code></pre>{EVIL}\n",
        environment={EVIL: EVIL},
        verdict=EVIL,
        notes=(Note("marked", "repair.reason_limit_low", 1, tag=EVIL, example=EVIL),),
    )
    for data in (hostile, class_report(names=(EVIL, "b\ufffe", "c"))):
        page = read(data, lang)
        assert "script" not in page.elements
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        assert EVIL in page.text
        assert "\x00" not in page.text
        assert "\u202e" not in page.text


def test_lone_surrogates_do_not_stop_a_report(number_report: Maker) -> None:
    assert b"caf\xef\xbf\xbd" in render(replace(number_report(), environment={"name": "caf\udce9"}), "en")


def test_a_report_of_almost_nothing_is_a_report(number_report: Maker) -> None:
    bare = ReportData(title="Bare", task=number_report().task, verdict="Nothing can be said.")
    page = read(bare)
    assert "Nothing can be said." in page.text
    assert page.elements.count("section") == 0


def test_a_million_predictions_and_a_hundred_long_tags_fit(number_report: Maker) -> None:
    """Three megabytes at most, a few seconds, and the one spike is still drawn."""
    count = 1_000_000
    random = np.random.default_rng(0)
    truth = np.zeros(count)
    spike = truth.copy()
    spike[654_321] = 1000.0
    names = tuple(f"reactor {k} " + "very long description of a temperature " * 20 for k in range(100))
    values = random.normal(size=(500, 100))
    values[random.random((500, 100)) < 0.05] = np.nan
    frame = pd.DataFrame(
        {
            "model": "network",
            "part": "test",
            "target": "C4",
            "time": pd.NaT,
            "batch": None,
            "origin": np.arange(count),
            "horizon": 0,
            "truth": truth,
            "prediction": spike,
        }
    )
    data = replace(
        number_report(),
        predictions=frame,
        coverage=None,
        audit=audit(Table(values, tuple(Tag(name) for name in names))),
        spec=WindowSpec(inputs=names, targets=("C4",), lookback=10),
        plan="x = 1\n" * 50_000,
        notes=tuple(
            Note("marked", "repair.reason_limit_low", 1, tag=name, example="x" * 10_000) for name in names * 20
        ),
    )
    begin = time.perf_counter()
    raw = render(data, "en")
    assert time.perf_counter() - begin < 15
    assert len(raw) <= MOST_BYTES
    assert "1,000,000 test windows" in read(data).text
    paths = [path for path in re.findall(r'<path class="network" d="([^"]*)"', raw.decode()) if path]
    heights = [[float(y) for y in re.findall(r" (\d+\.?\d*)", path)] for path in paths]
    assert all(max(h) - min(h) > 100 for h in heights)
    assert max(len(h) for h in heights) <= 2000


def test_hostile_sizes_everywhere_stay_under_the_cap(class_report: Maker) -> None:
    names = tuple(f"{k} " + "類別" * 3000 for k in range(40))
    data = replace(
        class_report(names=names, windows=400),
        environment={f"k{n}": "v" * 9999 for n in range(50)},
        verdict="word " * 100_000,
    )
    assert len(render(data, "zh_TW")) <= MOST_BYTES


def test_a_report_is_written_in_the_language_asked_for(number_report: Maker) -> None:
    html = render(number_report(), "zh_TW").decode()
    assert '<html lang="zh-Hant-TW">' in html
    assert "最佳實踐檢查表" in html
    assert b'<html lang="en">' in render(replace(number_report(), language="en"))
    with speak("zh_TW"):
        assert b'<html lang="zh-Hant-TW">' in render(number_report())


def test_row_40_a_report_that_cannot_be_written_is_an_error(tmp_path: Path, number_report: Maker) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError) as caught:
        write_atomic(tmp_path / "file" / "report.html", render(number_report()))
    assert caught.value.exit_code == 8
    assert (tmp_path / "file").read_text() == "in the way"


def test_the_same_run_gives_the_same_bytes(number_report: Maker) -> None:
    assert render(number_report(), "en") == render(number_report(), "en")


def test_a_metric_that_no_model_has_is_a_sentence_and_no_column(class_report: Maker) -> None:
    """Bad input 29: undefined with its reason."""
    data = class_report()
    row = next(row for row in data.scores if row.metric == "false_alarms_per_day" and row.part == "test")
    assert row.value is None
    text = read(data).text
    assert f"false alarms per day is undefined for every model: {row.reason}." in text
    assert text.count(row.reason) == 1


def test_leakage_results_are_set_out(number_report: Maker) -> None:
    results = (
        LeakageResult("overlap", True, "evaluation.leak_overlap_none", {"rows": "230"}),
        LeakageResult(
            "future", None, "evaluation.leak_future_features", {"where": "x.csv", "row": 7}, acknowledged=True
        ),
    )
    text = read(replace(number_report(), leakage=results)).text
    assert f"pass {results[0].text('en')}" in text
    assert f"accepted {results[1].text('en')}" in text


def test_the_checklist_says_pass_fail_and_not_applicable(number_report: Maker, class_report: Maker) -> None:
    """Course item 85."""
    data = number_report()
    assert data.training is not None
    found = {check.key: check.passed for check in checklist(data)}
    assert found == {
        "scaling": True,
        "windows": True,
        "shape": True,
        "order": True,
        "stacked": None,
        "dropout": False,
        "initializer": True,
        "optimizer": True,
        "loss": True,
        "metrics": True,
        "early": True,
        "checkpoint": True,
        "plateau": True,
        "batch": True,
        "test": True,
        "intervals": True,
        "drawn": True,
        "residuals": True,
    }
    poor = replace(
        data.training,
        architecture=Architecture(features=4, units=(8, 8), dropout=0.2, activation="relu"),
        settings=FitSettings(optimizer="sgd", clipnorm=None, loss="binary_crossentropy", epochs=5),
    )
    parts = (data.parts[0], PartSummary("test", 0, 0))
    found = {check.key: check.passed for check in checklist(replace(data, training=poor, parts=parts))}
    assert [key for key, passed in found.items() if passed is False] == [
        "initializer",
        "optimizer",
        "loss",
        "early",
        "plateau",
        "test",
    ]
    assert found["stacked"] is True
    assert found["dropout"] is True
    found = {check.key: check.passed for check in checklist(class_report())}
    assert found["residuals"] is None
    assert found["windows"] is False  # a window of one row


def test_parts_are_summed_up_with_their_places() -> None:
    start = np.datetime64("2024-01-01", "ns")
    clock = start + np.arange(10) * np.timedelta64(60, "s")
    part = np.array([1, 1, 1, 0, 2, 2, 0, 3, 3, 1], dtype=np.uint8)
    table = Table(np.zeros((10, 1)), (Tag("T"),), time=clock)
    train, validation, test = summarize_parts(table, Split(part), {"train": 2, "validation": 1, "test": 2})
    assert (train.rows, train.windows, train.clock) == (4, 2, True)
    assert train.spans == ((clock[0], clock[2]), (clock[9], clock[9]))
    assert validation.places() == [(1704067200.0 + 240, 1704067200.0 + 300)]
    assert test.name == "test"
    backwards = Table(np.zeros((10, 1)), (Tag("T"),), time=clock[::-1].copy())
    assert summarize_parts(backwards, Split(part), {})[0].spans == ((0, 2), (9, 9))


def test_ten_thousand_stretches_are_drawn_small(number_report: Maker) -> None:
    part = np.tile(np.array([1, 3], dtype=np.uint8), 10_000)
    part[8000:9000] = SplitPart.TEST
    table = Table(np.zeros((20_000, 1)), (Tag("T"),))
    parts = summarize_parts(table, Split(part), {})
    assert len(parts[0].spans) == 9500
    figure = figures.get("splits")(replace(number_report(), parts=parts), WIDE)
    assert figure is not None
    assert len(figure.svg) < 5000
    assert figure.svg.count('class="part part-train"') == 2  # the long pause is seen


def test_both_languages_say_the_same_things() -> None:
    for key, texts in sentences("report").items():
        blanks = {lang: sorted(re.findall(r"{(\w+)}", text)) for lang, text in texts.items()}
        assert set(texts) == set(LANGUAGES), key
        assert blanks["en"] == blanks["zh_TW"], key


def test_colours_can_be_told_from_the_paper() -> None:
    """WCAG 2.1, contrast at least 4.5 for words, in light, dark and print."""
    themes = re.findall(r":root{([^}]*--ink:[^}]*)}", style().replace("\n", ""))
    assert len(themes) == 3
    for theme in themes:
        colours = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})", theme))
        for name in ("ink", "muted", "accent", "good", "warn", "bad"):
            for ground in ("paper", "card"):
                assert _contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
