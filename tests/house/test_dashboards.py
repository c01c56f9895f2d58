"""Dashboards and alarms ask for figures that exist."""

import json
import re

import yaml

from tests.house.sources import ROOT

METRIC = re.compile(r"\bpledgewatch_[a-z_]+")


def published() -> set[str]:
    files = (ROOT / "api" / "health.py", ROOT / "api" / "board" / "slot_metrics.py")
    source = "\n".join(path.read_text(encoding="utf-8") for path in files)
    short = re.findall(r"\bgauge\(\s*\"(\w+)\"", source)
    return {f"pledgewatch_{name}" for name in short} | set(METRIC.findall(source))


def asked_by_dashboards() -> set[str]:
    folder = ROOT / "deploy" / "grafana" / "dashboards"
    panels = [
        panel for path in folder.glob("*.json") for panel in json.loads(path.read_text("utf-8"))["panels"]
    ]
    assert len({panel["id"] for panel in panels}) == len(panels) > 0
    return {
        name for panel in panels for target in panel["targets"] for name in METRIC.findall(target["expr"])
    }


def asked_by_alarms() -> set[str]:
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text("utf-8"))["groups"]
    return {name for group in groups for rule in group["rules"] for name in METRIC.findall(rule["expr"])}


def test_every_figure_on_a_dashboard_is_published():
    assert asked_by_dashboards() - published() == set()


def test_every_figure_behind_an_alarm_is_published():
    assert asked_by_alarms() - published() == set()


def test_the_figures_are_read_from_the_code_and_not_assumed():
    assert len(published()) >= 5
    assert "pledgewatch_invented" not in published()
