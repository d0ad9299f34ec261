"""Every PromQL expression of compose/: of rules, of the dashboards' panels, marks and variables."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from ruamel.yaml import YAML

from tests.compose.project import FILE

FOLDER: Final = FILE.parent
RULES: Final = sorted((FOLDER / "prometheus" / "rules").glob("*.yml"))
RULE_TESTS: Final = sorted((FOLDER / "prometheus" / "tests").glob("*.yml"))
DASHBOARDS: Final = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))

_OUTSIDE: Final = re.compile(r"\{[^}]*\}|\"[^\"]*\"|(==|!=|>=|<=|>|<)(?! *bool)")
_VARIABLE: Final = re.compile(r"\$(\w+)|\$\{(\w+)\}")
_LABEL_VALUES: Final = re.compile(r"label_values\((.+), *(\w+)\)")


class Expression(NamedTuple):
    """An expression and where it stands."""

    where: str
    text: str


def yaml(path: Path) -> dict[str, Any]:
    """What a YAML file says."""
    found: dict[str, Any] = YAML(typ="safe").load(path)
    return found


def rules() -> list[dict[str, Any]]:
    """All rules of all files."""
    return [rule for path in RULES for group in yaml(path)["groups"] for rule in group["rules"]]


def dashboard(path: Path) -> dict[str, Any]:
    """What a dashboard's file says."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def expressions(interval: str) -> list[Expression]:
    """All of them; variables have the values that dashboards begin with, rates that interval."""
    found = [Expression(_name(rule), rule["expr"]) for rule in rules()]
    for path in DASHBOARDS:
        board = dashboard(path)
        values = {**_variables(board), "__rate_interval": interval}
        found += [
            Expression(one.where, _filled(one.text, values)) for one in _of_dashboard(path, board)
        ]
    return found


def answered_always(text: str) -> str:
    """The expression with comparisons that answer 0 or 1 where they would leave out.

    What it compares, and what it joins with ``and``, must be there for it to answer at all.

    >>> answered_always('a{b!="c"} > 2 and on (d) rate(e[1m]) == 0')
    'a{b!="c"} > bool 2 and on (d) rate(e[1m]) == bool 0'
    """
    return _OUTSIDE.sub(lambda one: f"{one[0]} bool" if one[1] else one[0], text)


def metrics_of(text: str) -> set[str]:
    """The names of our metrics, and of what rules record of them, in an expression.

    >>> sorted(metrics_of('job:wattstream_a:sum / rate(wattstream_b_total{c="wattstream_d"}[5m])'))
    ['job:wattstream_a:sum', 'wattstream_b_total']
    """
    bare = re.sub(r"\"[^\"]*\"", "", text)
    return set(re.findall(r"(?<![\w:])(?:[a-z_]+:)?wattstream_\w+(?::\w+)?", bare))


def label_values(text: str) -> tuple[str, str] | None:
    """The metric and the label of a variable's query."""
    found = _LABEL_VALUES.fullmatch(text)
    return (found[1], found[2]) if found else None


def need_prometheus() -> None:
    """Skip where there is no Prometheus; on CI that is a failure."""
    missing = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    if not missing:
        return
    reason = f"needs {' and '.join(missing)} (Debian's package prometheus)"
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI {reason}")
    pytest.skip(reason)


def _name(rule: Mapping[str, Any]) -> str:
    return f"alert {rule['alert']}" if "alert" in rule else f"record {rule['record']}"


def _of_dashboard(path: Path, board: Mapping[str, Any]) -> Iterator[Expression]:
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            where = f"{path.stem}: {panel['title']} {target['refId']}"
            yield Expression(where, target["expr"])
    for mark in board["annotations"]["list"]:
        if "expr" in mark:
            yield Expression(f"{path.stem}: marks of {mark['name']}", mark["expr"])
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found = label_values(variable["query"]["query"])
            assert found is not None
            text = f'{found[0]}{{{found[1]}!=""}}'
            yield Expression(f"{path.stem}: variable {variable['name']}", text)


def _variables(board: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: one.get("allValue", "") for one in board["templating"]["list"]}


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)
