"""Metrics, alerts, dashboard and pages name the same things. script/metrics-check tries them with Prometheus."""
import json
import pathlib
import re
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
MONITORING = ROOT / "k8s/components/monitoring"
PAGE = (ROOT / "docs/metrics.md").read_text()
KNOWN = set(re.findall(r"^\| `(\w+)`", PAGE, re.M))


def used(text):
    """The metrics that queries name; a histogram's parts count as itself."""
    names = set(re.findall(r"\b((?:foliopost|process)_[a-z_]+)\b(?!-)", text))
    return {n if n in KNOWN else re.sub("_(bucket|sum|count)$", "", n) for n in names}


def alerts():
    return [r["expr"] for g in yaml.safe_load((MONITORING / "rules.yaml").read_text())["spec"]["groups"] for r in g["rules"]]


def panels():
    return [t["expr"] for p in json.loads((MONITORING / "dashboard.json").read_text())["panels"] for t in p["targets"]]


def queries():
    return alerts() + panels()


def test_the_page_is_made_from_the_table():
    assert subprocess.run([ROOT / "script/metrics-page"], capture_output=True, text=True, check=True).stdout == PAGE


def test_every_metric_has_its_row():
    code = "".join(p.read_text() for folder in ("lib", "services") for p in (ROOT / folder).rglob("*.c")
                   if not p.name.endswith("_test.c"))
    made = set(re.findall(r'metrics_(?:add|set|observe_s)\(\s*"(\w+)"', code))
    assert made and not made - KNOWN # else: a row in lib/metrics/table.c, then script/metrics-page >docs/metrics.md


def test_queries_name_metrics_that_exist():
    assert set().union(*map(used, queries())) <= KNOWN


def test_installations_in_one_prometheus_are_kept_apart():
    for q in alerts():
        assert not re.search(r"\b(sum|max|min|avg|count)\b(?! by \(namespace\b)", q), q
        assert not re.search(r"\bon \((?!namespace, )", q), q
    for q in panels():
        assert len(re.findall(r"\b(?:foliopost|process)_[a-z_]+[{]", q)) == q.count('namespace=~"$namespace"}') > 0, q


def test_no_query_takes_the_name_from_series_of_several():
    """rate() and its like take it off, and what was two series is one twice: Prometheus refuses the whole query."""
    assert not [q for q in queries() if "__name__" in q]


def test_counters_that_alerts_wait_for_are_there_from_the_start():
    """What begins with its first event has no increase. Calls are by method and code: a lasting fault is seen."""
    code = "".join(p.read_text() for p in (ROOT / "services").rglob("*.c") if not p.name.endswith("_test.c"))
    made = set(re.findall(r'metrics_add\("(\w+)", "[^;]*, 0\);', code))
    made |= set(re.findall(r'"(\w+)"', re.search(r"void start_counters.*?};", code, re.S)[0]))
    wanted = set(re.findall(r"(?:increase|rate)\((foliopost_\w+_total)", (MONITORING / "rules.yaml").read_text()))
    # metrics_dropped_total is always there (lib/metrics).
    assert wanted - made == {"foliopost_metrics_dropped_total", "foliopost_rpc_calls_total", "foliopost_grpc_calls_total"}


def test_every_alert_has_a_line_of_what_to_do():
    names = re.findall(r"- alert: (\w+)", (MONITORING / "rules.yaml").read_text())
    page = (ROOT / "docs/operations.md").read_text()
    assert names and re.findall(r"^\| `(Foliopost\w+)`", page, re.M) == names


def test_every_alert_is_seen_to_fire():
    """And some not to; promtool runs them."""
    names = set(re.findall(r"- alert: (\w+)", (MONITORING / "rules.yaml").read_text()))
    tests = [t for g in yaml.safe_load((MONITORING / "tests.yaml").read_text())["tests"] for t in g["alert_rule_test"]]
    assert {t["alertname"] for t in tests if t.get("exp_alerts")} == names
    assert {t["alertname"] for t in tests if not t.get("exp_alerts")} == names
