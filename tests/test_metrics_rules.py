"""The rules of `grafana/prometheus` and the config of `grafana/alertmanager`, by their own tools."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.database import Database
from blocks.home import ROOT
from tests import needs
from tests.gateway_world import empty_record
from tests.monitored import PROMETHEUS, RULES, alertmanager
from tests.scraped import samples, written

TESTS = [path for path in sorted((PROMETHEUS / "tests").glob("*.yml")) if path.name != "naive.yml"]
ALERTMANAGER = PROMETHEUS.parent / "alertmanager" / "alertmanager.yml"
RUNBOOKS = ROOT / "docs" / "alerts.md"
PARTS = ("It means", "Look first", "Page")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [needs.program("promtool", "prometheus"), *arguments]
    return subprocess.run(command, cwd=PROMETHEUS, text=True, capture_output=True, check=False)


def rules(path: Path) -> list[dict[str, Any]]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


@pytest.mark.full
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_do_what_they_say(path: Path) -> None:
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.full
def test_configs_are_valid() -> None:
    for arguments in (("check", "config", "prometheus.yml"), ("check", "rules", *map(str, RULES))):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    command = [needs.program("amtool", "prometheus-alertmanager"), "check-config", str(ALERTMANAGER)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.full
@pytest.mark.parametrize("severity", ["critical", "warning", ""])
def test_every_severity_has_a_receiver(severity: str) -> None:
    command = [needs.program("amtool", "prometheus-alertmanager"), "config", "routes", "test"]
    command += [f"--config.file={ALERTMANAGER}", "--verify.receivers=aspora", f"severity={severity}"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_proven_to_fire_and_not_to() -> None:
    """In the tests of promtool; each has a severity, words for people, and what to do."""
    cases: dict[str, set[bool]] = {}
    for path in TESTS:
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for case in test.get("alert_rule_test", ()):
                cases.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    for rule in rules(RULES[1]):
        assert cases[rule["alert"]] == {True, False}, rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"].keys() & {"action", "runbook"}


def sections() -> dict[str, str]:
    """The runbook of each alert."""
    _, *parts = re.split(r"^## ", RUNBOOKS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title: text for title, _, text in (part.partition("\n") for part in parts)}


def queries() -> list[str]:
    """The runbooks' PromQL."""
    return re.findall(
        r"^```promql\n(.*?)^```", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def test_every_alert_has_its_runbook_and_no_runbook_is_without_an_alert() -> None:
    found = sections()
    assert list(found) == [rule["alert"] for rule in rules(RULES[1])]
    for rule in rules(RULES[1]):
        assert rule["annotations"]["guide"] == f"docs/alerts.md#{rule['alert'].lower()}"
        assert [part for part in PARTS if f"**{part}**" not in found[rule["alert"]]] == [], rule["alert"]
        assert "```sh\n" in found[rule["alert"]] and "```promql\n" in found[rule["alert"]]


@pytest.mark.full
def test_the_runbooks_queries_are_understood(tmp_path: Path) -> None:
    listed = [{"record": f"q{number}", "expr": query} for number, query in enumerate(queries())]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": listed}]}))
    done = promtool("check", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def told(tmp_path: Path) -> set[str]:
    """The metrics of a gateway."""
    path = tmp_path / "record.db"
    path.write_bytes(empty_record())
    database = Database(f"sqlite:///{path}")
    found = samples(written(database, destinations=["opik"]))
    database.close()
    return {name for name, _ in found} | {"aspora_skill_latency_seconds_count"}


def test_rules_ask_for_what_is_told(tmp_path: Path) -> None:
    """Every metric and label that they name; the runbooks' queries too."""
    names, recorded = told(tmp_path), {rule["record"] for rule in rules(RULES[0])}
    for query in queries():
        words = set(re.findall(r"\baspora[a-z0-9_:]+", query))
        assert words <= names | recorded and (words or 'up{job="aspora"}' in query), query
    asked: set[str] = set()
    for rule in (*rules(RULES[0]), *rules(RULES[1])):
        words = set(re.findall(r"\baspora[a-z0-9_:]+", rule["expr"]))
        asked |= words
        assert words or 'up{job="aspora"}' in rule["expr"]
    assert asked - recorded <= names
    assert recorded <= asked


def test_no_secret_stands_in_a_config() -> None:
    """Slack's address and the gateway's token are read from files."""
    said = ALERTMANAGER.read_text(encoding="utf-8")
    [receiver] = yaml.safe_load(said)["receivers"]
    [slack], [webhook] = receiver["slack_configs"], receiver["webhook_configs"]
    assert "api_url" not in slack and slack["api_url_file"]
    assert list(webhook["http_config"]["authorization"]) == ["credentials_file"]
    assert "hooks.slack.com" not in said


@pytest.mark.full
def test_alertmanager_finds_its_secrets_beside_the_config(tmp_path: Path) -> None:
    """It starts with the committed config, paths and all."""
    alertmanager(tmp_path, "http://127.0.0.1:9", "http://127.0.0.1:9").close()
