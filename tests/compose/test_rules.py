"""Rules as files: what promtool says of them, and that all expressions name what there is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.compose.expressions import (
    FOLDER,
    RULE_TESTS,
    RULES,
    Expression,
    answered_always,
    expressions,
    metrics_of,
    need_prometheus,
    rules,
    yaml,
)
from tests.compose.project import ROOT, services

ALERTS: Final = [rule for rule in rules() if "alert" in rule]
RECORDED: Final = {rule["record"] for rule in rules() if "record" in rule}
ALERTS_PAGE: Final = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
DOCUMENTED: Final = {
    name
    for page in ("metrics.md", "estimator.md", "trainer.md")
    for name in re.findall(
        r"^\| `(wattstream_\w+)` \|", (ROOT / "docs" / page).read_text(), re.MULTILINE
    )
}
"""As these pages have it, which other tests hold to what is exported."""
EXPRESSIONS: Final = expressions("1m")
_PORTS: Final = {"serve": "8100", "trainer": "8102"}
"""Of those that show their metrics where they answer all else."""


def _where(expression: Expression) -> str:
    return expression.where


def _ran(*words: object) -> str:
    need_prometheus()
    done = subprocess.run(
        ["promtool", *map(str, words)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_has_nothing_to_say_about_the_rules() -> None:
    assert "FAILED" not in _ran("check", "rules", "--lint-fatal", *RULES)


def test_promtool_takes_the_configuration(tmp_path: Path) -> None:
    config = (FOLDER / "prometheus" / "prometheus.yml").read_text()
    here = tmp_path / "prometheus.yml"
    here.write_text(config.replace("/etc/prometheus", str(FOLDER / "prometheus")))
    assert "SUCCESS" in _ran("check", "config", "--lint-fatal", here)


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_rules_do_what_their_tests_say(path: Path) -> None:
    assert "SUCCESS" in _ran("test", "rules", path)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_each_alert_is_seen_to_fire_and_not_to_fire(alert: dict[str, Any]) -> None:
    seen = [
        bool(test["exp_alerts"])
        for path in RULE_TESTS
        for case in yaml(path)["tests"]
        for test in case["alert_rule_test"]
        if test["alertname"] == alert["alert"]
    ]
    assert set(seen) == {True, False}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_each_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"info", "warning", "critical"}
    assert set(alert["annotations"]) == {"summary", "description"}
    line = rf"^\| `{alert['alert']}` \| {alert['labels']['severity']} \| .+ \| .+ \|$"
    assert re.search(line, ALERTS_PAGE, re.MULTILINE)


def test_the_page_of_alerts_names_no_other() -> None:
    named = re.findall(r"^\| `(\w+)` \|", ALERTS_PAGE, re.MULTILINE)
    assert sorted(named) == sorted(alert["alert"] for alert in ALERTS)


def test_each_recording_rule_is_used() -> None:
    used = {name for expression in EXPRESSIONS for name in metrics_of(expression.text)}
    assert used >= RECORDED


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=_where)
def test_expressions_name_metrics_that_there_are(expression: Expression) -> None:
    named = {name.removesuffix("_bucket") for name in metrics_of(expression.text)}
    assert named <= DOCUMENTED | RECORDED


def test_comparisons_are_found_outside_of_matchers_only() -> None:
    assert answered_always('a{b!="c", d=~">"} <= 1') == 'a{b!="c", d=~">"} <= bool 1'
    assert answered_always("a >= 1 and b != 2") == "a >= bool 1 and b != bool 2"
    assert answered_always('1 - a{route!="/x"}') == '1 - a{route!="/x"}'
    # With it something might answer though half of it is missing, or nothing though all is there.
    assert not [one for one in EXPRESSIONS if re.search(r"\b(unless|absent)\b", one.text)]


def test_prometheus_scrapes_all_that_the_compose_file_starts() -> None:
    jobs = yaml(FOLDER / "prometheus" / "prometheus.yml")["scrape_configs"]
    targets = {
        target
        for job in jobs
        for config in job.get("static_configs", ())
        for target in config["targets"]
    }
    asked = {
        f"{name}:{config['port']}"
        for job in jobs
        for config in job.get("dns_sd_configs", ())
        for name in config["names"]
    }
    for service in services({}).values():
        if service.is_built:
            port = _PORTS.get(service.words[1]) or service.environment["WATTSTREAM_METRICS_PORT"]
            assert f"{service.name}:{port}" in (asked if service.profiles else targets)
