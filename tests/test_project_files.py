"""What stands beside the code: citation, changelog, the hook before a commit, and links that lead somewhere."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from backmix.version import __version__

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "README.zh-TW.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_citation_says_what_the_package_says() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    # required by the Citation File Format 1.2.0, and those of its keys that are used here
    assert citation.keys() >= {"cff-version", "message", "title", "authors"}
    assert citation.keys() <= {
        *("cff-version", "message", "type", "title", "abstract", "authors", "version", "license", "keywords"),
        *("date-released", "doi", "repository-code", "url"),
    }
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["version"] == __version__ == PROJECT["version"]
    assert citation["authors"] == PROJECT["authors"]
    assert citation["license"] == PROJECT["license"]
    assert citation["keywords"] == PROJECT["keywords"]


def test_the_hook_runs_what_ci_runs_and_fetches_nothing() -> None:
    """CI calls scripts/test, and this calls scripts/check: the hook has no list of its own that could differ."""
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert {repo["repo"] for repo in repos} == {"local"}
    (hook,) = (hook for repo in repos for hook in repo["hooks"])
    assert (hook["entry"], hook["language"], hook["pass_filenames"]) == ("scripts/check", "system", False)
    assert os.access(ROOT / "scripts" / "check", os.X_OK)
    assert "\nscripts/check " in (ROOT / "scripts" / "test").read_text("utf-8")
    assert "scripts/test" in (ROOT / "Makefile").read_text("utf-8")
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_every_script_that_make_calls_is_there() -> None:
    called = re.findall(r"^\t(scripts/\w+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert len(called) >= 4
    assert [name for name in called if not os.access(ROOT / name, os.X_OK)] == []


def test_the_changelog_tells_this_release() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    releases = re.findall(r"^## \[([^]]+)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)
    assert releases[0] == ("Unreleased", "")
    assert releases[1][0] == __version__
    assert all(date for _, date in releases[1:])
    known = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= known


@pytest.mark.parametrize("page", PAGES)
def test_links_and_named_files_are_there(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    targets = {target.split("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target}
    named = set(re.findall(r"`((?:scripts|tests|benchmarks|docs|src|examples|requirements)/[\w./-]+)`", text))
    named |= set(re.findall(r"(?:^|pytest |python )((?:scripts|tests)/[\w./]+)", text, re.MULTILINE))
    gone = {"scripts/course", "docs/parts.md"}  # the old name of a script, and what comes next
    assert sorted(path for path in (targets | named) - gone if not (ROOT / path).exists()) == []
    for path, test in re.findall(r"(tests/[\w./]+)::(\w+)", text):
        assert f"def {test}(" in (ROOT / path).read_text("utf-8")
