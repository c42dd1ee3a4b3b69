"""The dashboard and the alerts ask only for metrics and labels that the server has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from jobserver.jobs.job import State
from tests.support.server import Server, run_through, until

FOLDER = Path(__file__).parents[2] / "deploy" / "monitoring"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
#: Each expression, and the texts shown with it, which may name labels.
EXPRESSIONS = [
    *(
        (target["expr"], target["legendFormat"])
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    ),
    *((rule["expr"], str(rule["annotations"])) for rule in RULES),
]
WORDS = frozenset(("sum", "max", "min", "rate", "histogram_quantile", "absent"))
WORDS |= {"by", "on", "or", "group_left"}
#: What Prometheus adds to each sample.
ADDED = frozenset(("instance",))
STRING = re.compile(r'"[^"]*"')
DURATION = re.compile(r"\[\d+[smh]\]")
SELECTED = re.compile(r'(\w+)=~?"([^"]*)"')
SHOWN = re.compile(r"{{ *(?:\$labels\.)?(\w+) *}}")

Labels = dict[str, set[str]]


@pytest.fixture(scope="module")
def samples(shared_server: Server) -> Labels:
    """The labels of each sample of a server that has run jobs, by its name."""
    for name in ("noop", "fail"):
        run_through(shared_server.client, script_name=name)

    def counted() -> Labels | None:
        families = text_string_to_metric_families(shared_server.client.get("/metrics").text)
        found: Labels = {}
        for sample in (sample for family in families for sample in family.samples):
            found.setdefault(sample.name, set()).update(sample.labels)
        return found if "jobserver_script_runs_total" in found else None

    labels: Labels = until(counted)
    shared_server.clear()
    return labels


@pytest.mark.parametrize(("expression", "shown"), EXPRESSIONS)
def test_every_metric_and_label_exists(expression: str, shown: str, samples: Labels) -> None:
    bare = DURATION.sub("", STRING.sub("", expression))
    words = set(re.findall(r"[a-zA-Z_]\w*", bare)) - WORDS
    metrics = words & samples.keys()
    labels = set().union(ADDED, *(samples[name] for name in metrics))
    assert metrics
    assert words - metrics <= labels
    assert {*SHOWN.findall(shown)} - {"value"} <= labels
    for label, values in SELECTED.findall(expression):
        assert label == "state"
        assert {*values.split("|")} <= {*State}


def test_expressions_are_balanced() -> None:
    for expression, _ in EXPRESSIONS:
        bare = STRING.sub("", expression)
        assert [bare.count(each) for each in "({["] == [bare.count(each) for each in ")}]"]


def test_alerts_say_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len({*names}) == 4
    for rule in RULES:
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["for"]


def test_the_dashboard_asks_one_source_and_no_panel_covers_another() -> None:
    (source,) = DASHBOARD["templating"]["list"]
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"]["uid"] == f"${{{source['name']}}}"
        place = panel["gridPos"]
        taken = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert cells.isdisjoint(taken)
        assert max(x for x, _ in taken) < 24
        cells |= taken
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
