"""Grafana's dashboards and provisioning as files: Grafana itself is not at hand."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.compose.expressions import DASHBOARDS, FOLDER, dashboard, yaml
from tests.compose.project import filled, raw


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    board = dashboard(path)
    assert board["uid"].startswith("wattstream-")
    assert "id" not in board  # which is the database's to give
    ids = Counter(panel["id"] for panel in board["panels"])
    assert set(ids.values()) == {1}
    taken: Counter[tuple[int, int]] = Counter()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            taken.update((x, y) for y in range(place["y"], place["y"] + place["h"]))
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["description"].endswith((".", "1."))
        assert panel["targets"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert max(taken.values()) == 1, "panels overlap"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_rows_of_tables_that_are_merged_have_the_same_labels(path: Path) -> None:
    for panel in dashboard(path)["panels"]:
        if panel["type"] == "table" and len(panel["targets"]) > 1:
            # A label that differs, the metric's name among them, would make rows of their own.
            labels = {
                found[1]
                for target in panel["targets"]
                if (found := re.fullmatch(r"max by \((.*?)\) \(.*\)", target["expr"]))
            }
            assert len(labels) == 1
            assert all(re.match(r"max by \(", target["expr"]) for target in panel["targets"])


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_uses_the_variables_that_it_has(path: Path) -> None:
    board = dashboard(path)
    have = {one["name"] for one in board["templating"]["list"]}
    named = {
        name
        for text in re.findall(r"\"(?:expr|uid)\": \"(.*)\"", path.read_text())
        for name in re.findall(r"\$\{?(\w+)", text)
    }
    assert named - {"__rate_interval"} == have


def test_dashboards_link_to_each_other() -> None:
    uids = {dashboard(path)["uid"] for path in DASHBOARDS}
    assert len(uids) == len(DASHBOARDS) == 2
    for path in DASHBOARDS:
        (link,) = dashboard(path)["links"]
        assert {link["url"].removeprefix("/d/"), dashboard(path)["uid"]} == uids


def test_what_grafana_is_provisioned_with_is_mounted_where_it_looks() -> None:
    grafana = raw()["services"]["grafana"]
    mounted = dict(
        filled(volume, {}).removesuffix(":ro").split(":") for volume in grafana["volumes"]
    )
    assert mounted["./grafana/provisioning"] == "/etc/grafana/provisioning"
    provisioning = FOLDER / "grafana" / "provisioning"
    (provider,) = yaml(provisioning / "dashboards" / "wattstream.yml")["providers"]
    assert mounted["./grafana/dashboards"] == provider["options"]["path"]
    (source,) = yaml(provisioning / "datasources" / "prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["type"] == "prometheus"
    scrape = yaml(FOLDER / "prometheus" / "prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scrape
    for path in DASHBOARDS:
        (chosen,) = (
            one["current"]["value"]
            for one in dashboard(path)["templating"]["list"]
            if one["type"] == "datasource"
        )
        assert chosen == source["uid"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/model-quality.json"
    assert (FOLDER / "grafana" / "dashboards" / "model-quality.json").is_file()
