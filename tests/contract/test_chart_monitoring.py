"""What the chart makes for monitoring: probes, monitors, alerts, dashboard, and who may scrape."""

from pathlib import Path

import yaml

import chart_renders as chart
from lbctl.settings import Settings


def test_probes_ask_the_port_that_the_process_is_told(tmp_path: Path) -> None:
    values = {"metrics": {"port": 8080, "agentPort": 8081}}
    objects = chart.rendered(*chart.POOL, *chart.with_values(values, tmp_path))
    settings = Settings.model_validate(yaml.safe_load(chart.settings_of(objects)))
    assert (settings.metrics.port, settings.metrics.agent_port) == (8080, 8081)
    pods = chart.pod_specs(objects)
    for name, port, probes in (
        ("Deployment lbctl-controller", 8080, {"readinessProbe", "livenessProbe"}),
        ("Deployment lbctl-dns", 8080, {"readinessProbe", "livenessProbe"}),
        ("DaemonSet lbctl-agent", 8081, {"readinessProbe"}),
    ):
        (container,) = pods[name]["containers"]
        (http,) = [each for each in container["ports"] if each["name"] == "http"]
        assert http["containerPort"] == port
        assert {key for key in container if key.endswith("Probe")} == probes
        paths = {"readinessProbe": "/readyz", "livenessProbe": "/healthz"}
        for probe in probes:
            assert container[probe]["httpGet"] == {"path": paths[probe], "port": "http"}


def test_agents_without_a_port_have_no_probe_and_no_monitor(tmp_path: Path) -> None:
    values = chart.merged(chart.ALL_ON, {"metrics": {"agentPort": 0}})
    objects = chart.rendered(*chart.with_values(values, tmp_path))
    (container,) = chart.pod_specs(objects)["DaemonSet lbctl-agent"]["containers"]
    assert "readinessProbe" not in container
    assert "ports" not in container
    assert "PodMonitor" not in {each["kind"] for each in objects}


MONITORING = {
    ("ServiceMonitor", "lbctl"),
    ("Service", "lbctl-controller-metrics"),
    ("Service", "lbctl-dns-metrics"),
    ("PodMonitor", "lbctl-agent"),
    ("PrometheusRule", "lbctl"),
    ("ConfigMap", "lbctl-dashboard"),
}


def test_nothing_needs_prometheus_or_grafana_until_it_is_asked_for(tmp_path: Path) -> None:
    def found(*words_: str) -> set[tuple[str, str]]:
        return {(each["kind"], each["metadata"]["name"]) for each in chart.rendered(*words_)}

    assert not found(*chart.POOL) & MONITORING
    assert found(*chart.with_values(chart.ALL_ON, tmp_path)) >= MONITORING
    without = chart.merged(chart.ALL_ON, {"metrics": {"enabled": False}})
    assert not found(*chart.with_values(without, tmp_path)) & MONITORING


def test_monitors_find_the_pods_of_each_component(tmp_path: Path) -> None:
    objects = chart.rendered(*chart.with_values(chart.ALL_ON, tmp_path))
    labels = {name: each["metadata"]["labels"] for name, each in chart.templates(objects).items()}
    monitor = chart.find(objects, "ServiceMonitor", "lbctl")["spec"]
    (expression,) = monitor["selector"]["matchExpressions"]
    for component in ("controller", "dns"):
        service = chart.find(objects, "Service", f"lbctl-{component}-metrics")
        assert service["metadata"]["labels"].items() >= monitor["selector"]["matchLabels"].items()
        assert service["metadata"]["labels"][expression["key"]] in expression["values"]
        assert labels[f"lbctl-{component}"].items() >= service["spec"]["selector"].items()
        assert service["spec"]["ports"][0]["name"] == monitor["endpoints"][0]["port"]
        assert service["spec"]["clusterIP"] == "None"
    agents = chart.find(objects, "PodMonitor", "lbctl-agent")["spec"]
    assert labels["lbctl-agent"].items() >= agents["selector"]["matchLabels"].items()


def test_alerts_and_dashboard_come_as_they_are_in_the_chart(tmp_path: Path) -> None:
    objects = chart.rendered(*chart.with_values(chart.ALL_ON, tmp_path))
    files = chart.CHART / "files"
    rules = chart.find(objects, "PrometheusRule", "lbctl")["spec"]
    assert rules == yaml.safe_load((files / "alerts.yaml").read_text())
    dashboard = chart.find(objects, "ConfigMap", "lbctl-dashboard")
    assert dashboard["data"]["lbctl.json"].strip() == (files / "dashboard.json").read_text().strip()
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_a_scrape_passes_the_network_policies(tmp_path: Path) -> None:
    objects = chart.rendered(*chart.with_values(chart.ALL_ON, tmp_path))
    for name in ("lbctl-controller", "lbctl-dns"):
        (rule,) = chart.find(objects, "NetworkPolicy", name)["spec"]["ingress"]
        assert {"port": 9472, "protocol": "TCP"} in rule["ports"]
        assert "from" not in rule
