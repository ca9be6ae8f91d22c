#!/usr/bin/env python3
"""What operators watch: metrics by Prometheus' conventions, and a dashboard and rules that speak of what is there."""

import collections
import itertools
import json
import pathlib
import re
import shutil
import tempfile
import unittest

import promql_parser
import yaml
from chain import MONITORING, ROOT, TARGET, Chain, plain_rules, promtool

# What Prometheus and its operator add to each series.
TARGET_LABELS = {*TARGET, "instance", "endpoint", "__name__"}
OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


def dashboard():
    return json.loads((MONITORING / "dashboard.json").read_text())


class Expression:
    """One of a panel, a variable or a rule. The variables of the dashboard have their widest values."""

    def __init__(self, where, text, shown="", is_shown=False):
        self.where, self.is_shown = where, is_shown
        self.text = re.sub(r"\$(namespace|pod)\b", ".*", text.replace("$__rate_interval", "10s"))
        self.selectors, self.labels = [], set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", shown))
        self.see(promql_parser.parse(self.text))

    def see(self, node):
        """The selectors in it, and the labels by which it groups and joins."""
        match type(node).__name__:
            case "VectorSelector":
                self.selectors.append(node)
            case "MatrixSelector":
                self.see(node.vector_selector)
            case "AggregateExpr":
                if node.modifier:
                    self.labels.update(node.modifier.labels)
                self.see(node.expr)
            case "BinaryExpr":
                if node.modifier and node.modifier.matching:
                    self.labels.update(node.modifier.matching.labels)
                self.see(node.lhs)
                self.see(node.rhs)
            case "Call":
                for argument in node.args:
                    self.see(argument)
            case "ParenExpr" | "UnaryExpr" | "SubqueryExpr":
                self.see(node.expr)
            case "NumberLiteral" | "StringLiteral":
                pass
            case other:
                raise AssertionError(f"a {other}, which this test cannot read")


def expressions():
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield Expression(panel["title"], target["expr"], target["legendFormat"], is_shown=True)
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()
            yield Expression(variable["name"], selector, "{{" + label + "}}")
    for rule in rules():
        yield Expression(rule.get("alert") or rule["record"], rule["expr"], "".join(rule.get("annotations", {}).values()))


def rules():
    return [rule for group in yaml.safe_load(plain_rules())["groups"] for rule in group["rules"]]


def exact_selectors(selector):
    """One for each value that a selector names, without the patterns that take anything."""
    choices = []
    for matcher in selector.matchers.matchers:
        if matcher.value == ".*" or matcher.name == "job":
            continue
        assert matcher.op in (promql_parser.MatchOp.Equal, promql_parser.MatchOp.Re), f"{matcher}"
        values = matcher.value.split("|") if matcher.op == promql_parser.MatchOp.Re else [matcher.value]
        assert all(re.fullmatch(r"[\w./-]+", value) for value in values), f"no list of values: {matcher.value}"
        choices.append([f'{matcher.name}="{value}"' for value in values])
    for chosen in itertools.product(*choices):
        yield f"{selector.name}{{{', '.join(chosen)}}}"


class Running(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.chain = Chain(cls)

    def exists(self, selector):
        return self.chain.prometheus.ask("series", **{"match[]": selector})

    def test_promtool_finds_nothing_to_say_about_the_metrics(self):
        kind, text = self.chain.scrape("admin")
        self.assertEqual(kind, "text/plain; version=0.0.4; charset=utf-8")
        checked = promtool("check", "metrics", input=text)
        self.assertEqual((checked.returncode, checked.stdout), (0, ""))

    def test_prometheus_reads_the_same_in_both_formats(self):
        kind, text = self.chain.scrape("admin", OPEN_METRICS)
        self.assertEqual(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.assertTrue(text.endswith("\n# EOF\n"))
        seen = {
            endpoint: {
                json.dumps({name: value for name, value in series.items() if name not in ("endpoint", "instance")}, sort_keys=True)
                for series in self.exists(f'{{endpoint="{endpoint}", __name__=~"(lowband|process)_.+"}}')
            }
            for endpoint in ("admin", "plain")
        }
        self.assertEqual(seen["admin"], seen["plain"])
        self.assertGreater(len(seen["admin"]), 200)
        # Each has its meaning: of OpenMetrics, Prometheus knows a counter by its name without _total.
        told = self.chain.prometheus.ask("targets/metadata", match_target='{endpoint="plain"}')
        self.assertEqual([each["metric"] for each in told if not each["help"] or each["type"] == "unknown"], [])

    def test_what_was_asked_is_counted(self):
        for query, value in [
            ('lowband_requests_total{method="GET", code="2.05", endpoint="admin"} >= bool 3', "1"),
            ('lowband_requests_total{method="GET", code="5.05", endpoint="admin"}', "1"),
            ('lowband_upstream_long_poll_seconds_count{endpoint="admin"}', "1"),
            ('lowband_upstream_response_seconds_count{endpoint="admin"}', "2"),
            ('lowband_request_own_seconds_count{endpoint="admin"}', "3"),
            ('lowband_handshake_seconds_count{endpoint="admin"}', "4"),
            ('lowband_messages{direction="request", result="translated"}', "1"),
            ("sum(lowband_refused)", "0"),
        ]:
            with self.subTest(query):
                (found,) = self.chain.prometheus.ask("query", query=query)["result"]
                self.assertEqual(found["value"][1], value)

    def test_each_name_label_and_value_in_dashboard_and_rules_exists(self):
        count = 0
        for expression in expressions():
            for selector in expression.selectors:
                for exact in exact_selectors(selector):
                    self.assertTrue(self.exists(exact), f"{expression.where}: there is no {exact}")
                    count += 1
        self.assertGreater(count, 100)

    def test_each_label_that_is_grouped_by_or_shown_exists(self):
        for expression in expressions():
            found = [series for selector in expression.selectors for series in self.exists(selector.name)]
            there = {*TARGET_LABELS, *(name for series in found for name in series)}
            self.assertLessEqual(expression.labels, there, expression.where)

    def test_each_panel_shows_something(self):
        for expression in expressions():
            if expression.is_shown:
                found = self.chain.prometheus.ask("query", query=expression.text)["result"]
                self.assertTrue(found, f"{expression.where}: {expression.text}")

    def test_no_alert_is_up_that_should_not_be(self):
        alerts = self.chain.prometheus.ask("alerts")["alerts"]
        # The certificate of the tests holds for two days; others have to wait for their time.
        names = {alert["labels"]["alertname"] for alert in alerts}
        self.assertEqual(names, {"LowbandCertificateEnds", "LowbandCertificateEndsNow"}, alerts)

    def test_the_pod_monitor_keeps_what_is_used_of_envoy(self):
        monitor = yaml.safe_load((MONITORING / "pod-monitor.yaml").read_text())
        of_envoy = {series["__name__"] for series in self.exists('{endpoint="envoy-metrics"}')}
        (endpoint,) = [each for each in monitor["spec"]["podMetricsEndpoints"] if each["port"] == "envoy-metrics"]
        (relabelling,) = endpoint["metricRelabelings"]
        kept = {name for name in of_envoy if re.fullmatch(relabelling["regex"], name)}
        used = {selector.name for expression in expressions() for selector in expression.selectors}
        self.assertLessEqual(used & of_envoy - {"up"}, kept)
        # And it is a choice.
        self.assertLess(len(kept), len(of_envoy) / 2)


class Files(unittest.TestCase):
    def test_the_rules_are_what_promtool_takes(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "lowband.yaml").write_text(plain_rules())
            checked = promtool("check", "rules", "--lint=all", "--lint-fatal", "lowband.yaml", cwd=folder)
            self.assertEqual(checked.returncode, 0, checked.stdout)
            shutil.copy(ROOT / "e2e/monitoring/rules_test.yaml", folder)
            tested = promtool("test", "rules", "rules_test.yaml", cwd=folder)
            self.assertEqual(tested.returncode, 0, tested.stdout)

    def test_the_rules_of_the_operator_are_the_same(self):
        self.assertEqual(yaml.safe_load((MONITORING / "rules.yaml").read_text())["spec"], yaml.safe_load(plain_rules()))

    def test_each_alert_says_what_is_wrong_and_what_to_do(self):
        for rule in rules():
            if "alert" in rule:
                self.assertEqual(set(rule["annotations"]), {"summary", "description"}, rule["alert"])
                self.assertIn(rule["labels"]["severity"], ("warning", "critical"))

    def test_the_dashboard_is_in_order(self):
        panels = dashboard()["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        cells = collections.Counter()
        for panel in panels:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
            cells.update(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
            if panel["type"] == "row":
                continue
            self.assertTrue(panel["description"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"])
            self.assertEqual(panel["datasource"]["uid"], "${datasource}")
            references = [target["refId"] for target in panel["targets"]]
            self.assertEqual(len(set(references)), len(references))
        self.assertEqual([cell for cell, count in cells.items() if count > 1], [], "panels lie over each other")
        self.assertEqual({variable["name"] for variable in dashboard()["templating"]["list"]}, {"datasource", "namespace", "pod"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
