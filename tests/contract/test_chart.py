"""The chart as the real helm renders it."""

import os
from pathlib import Path

import pytest
import yaml

import chart_renders as chart
import generate_values
from lbctl.settings import Settings

GOLDEN = Path(__file__).parents[1] / "golden" / "chart"
CASES = sorted(path.stem for path in (GOLDEN / "values").glob("*.yaml"))
REWRITE = "LBCTL_GOLDEN"
"""Environment variable that makes the golden test write what it would compare with."""

ON = {
    ("networkPolicy", "enabled"),
    ("metrics", "serviceMonitor", "enabled"),
    ("metrics", "podMonitor", "enabled"),
    ("metrics", "rules", "enabled"),
    ("metrics", "dashboard", "enabled"),
}
"""What is on in them and off by default."""

SCHEMA = generate_values.values_schema()
LEAVES = {path: node for path, node in generate_values.leaves(SCHEMA) if path[0] != "global"}
"""Every value that has a default of its own, by its path."""

SAMPLES: dict[tuple[str, ...], object] = {
    ("LbctlSettings", "clusterName"): "S1-AZ1",
    ("LbctlSettings", "namespaceSelector", "labelKey"): "lb",
    ("LbctlSettings", "namespaceSelector", "labelValue"): "yes",
    ("LbctlSettings", "namespaceSelector", "matchExpressions"): [
        {"key": "lb", "operator": "In", "values": ["a"]}
    ],
    ("LbctlSettings", "blockedNamespaceList"): ["kube-system"],
    ("NetworkSettings", "vipNetworkList"): [
        {"networkName": "front", "cidr": "203.0.113.0/24", "v6cidr": "2001:db8::/112"}
    ],
    ("NetworkSettings", "nodeNetworkList"): [{"networkName": "legs", "cidrs": ["10.1.0.0/16"]}],
    ("NetworkSettings", "defaultDomain"): "lb.example.net",
    ("L4Settings", "loadBalancerClass"): "example.com/lb",
    ("ControllerSettings", "tenantName"): "blue",
    ("ControllerSettings", "serviceEngineGroupName"): "group",
    ("ControllerSettings", "vrfName"): "blue",
    ("nameservice", "subdomains"): ["lb.example.net"],
    ("nameservice", "nsAddresses"): ["192.0.2.53"],
    ("nameservice", "rateLimit", "exempt"): ["192.0.2.0/24"],
    ("nameservice", "soa", "mname"): "ns.example.com",
    ("nameservice", "soa", "rname"): "dns.example.com",
    ("lease", "name"): "other",
    ("agent", "bridge"): "br0",
    ("agent", "serviceInterface"): "eth1",
    ("agent", "stateDir"): "/var/lib/other",
}
"""A value other than the default, where the schema has no example and nothing to compute one of."""

ONE_CHOICE = {
    path for path, node in LEAVES.items() if "const" in node or node.get("enum", ["", ""])[1:] == []
}
"""Values that can say one thing only, so far."""


def sample(path: tuple[str, ...]) -> object:
    """Return a value other than the default."""
    node = LEAVES[path]
    if "examples" in node:
        return node["examples"][0]
    if path in SAMPLES:
        return SAMPLES[path]
    default = node.get("default")
    if "enum" in node:
        return next(word for word in node["enum"] if word != default)
    if isinstance(default, bool):
        return not (path in ON or default)
    if isinstance(default, int | float):
        return default + 1 if default < node.get("maximum", default + 1) else default - 1
    return {name: {"memory": "1Gi"} for name in node["properties"]}  # resources


def words(path: tuple[str, ...]) -> str:
    return ".".join(path)


@pytest.fixture(scope="module")
def all_on(tmp_path_factory: pytest.TempPathFactory) -> str:
    return chart.rendered_text(*chart.with_values(chart.ALL_ON, tmp_path_factory.mktemp("on")))


def test_helm_finds_nothing_to_complain_of() -> None:
    done = chart.helm("lint", "--strict", str(chart.CHART), *chart.POOL)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_pool_alone_is_a_complete_install() -> None:
    objects = chart.rendered(*chart.POOL)
    found = {(each["kind"], each["metadata"]["name"]) for each in objects}
    assert found >= {
        ("Deployment", "lbctl-controller"),
        ("PodDisruptionBudget", "lbctl-controller"),
        ("Deployment", "lbctl-dns"),
        ("Service", "lbctl-dns"),
        ("DaemonSet", "lbctl-agent"),
        ("CustomResourceDefinition", "l4virtualservices.lbctl.io"),
        ("CustomResourceDefinition", "ipallocations.lbctl.io"),
        ("CustomResourceDefinition", "servingnodes.lbctl.io"),
        ("CustomResourceDefinition", "fabrics.lbctl.io"),
        ("ValidatingAdmissionPolicy", "lbctl-agent-writes-its-own"),
        ("Job", "lbctl-uninstall"),
        ("Pod", "lbctl-test"),
    }
    settings = Settings.model_validate(yaml.safe_load(chart.settings_of(objects)))
    assert [(pool.name, pool.addresses) for pool in settings.pools] == [
        ("default", ("192.0.2.0/24",))
    ]


@pytest.mark.parametrize("case", CASES)
def test_renders_are_as_reviewed(case: str) -> None:
    text = chart.shortened(chart.rendered_text("--values", str(GOLDEN / "values" / f"{case}.yaml")))
    path = GOLDEN / f"{case}.yaml"
    if os.environ.get(REWRITE):
        path.write_text(text)
    assert text == path.read_text(), f"`make golden` writes {path}; look at the difference"


@pytest.mark.parametrize("case", CASES)
def test_what_is_rendered_are_settings_that_lbctl_takes(case: str) -> None:
    objects = chart.rendered("--values", str(GOLDEN / "values" / f"{case}.yaml"))
    settings = Settings.model_validate(yaml.safe_load(chart.settings_of(objects)))
    assert settings.lease.namespace == chart.NAMESPACE
    zones = chart.find(objects, "ConfigMap", "lbctl-settings")["data"]["zones"].split()
    assert sorted(zones) == sorted(settings.zones)


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - ONE_CHOICE), ids=words)
def test_every_value_changes_what_is_rendered(
    path: tuple[str, ...], all_on: str, tmp_path: Path
) -> None:
    values = chart.merged(chart.ALL_ON, chart.nested(path, sample(path)))
    assert chart.rendered_text(*chart.with_values(values, tmp_path)) != all_on


@pytest.mark.parametrize(
    ("backend", "kind"), [("ovs", "Directory"), ("auto", "DirectoryOrCreate"), ("nft", None)]
)
def test_open_vswitch_is_mounted_where_it_may_move_packets(backend: str, kind: str | None) -> None:
    objects = chart.rendered(*chart.POOL, "--set", f"agent.backend={backend}")
    pod = chart.find(objects, "DaemonSet", "lbctl-agent")["spec"]["template"]["spec"]
    volumes = {each["name"]: each for each in pod["volumes"]}
    mounted = {each["name"] for each in pod["containers"][0]["volumeMounts"]}
    assert mounted == volumes.keys()
    assert volumes.get("ovs", {}).get("hostPath", {}).get("type") == kind


@pytest.mark.parametrize(
    "path", [path for path, node in LEAVES.items() if node.get("items", {}).get("properties")],
    ids=words,
)  # fmt: skip
def test_samples_of_lists_name_every_documented_key(path: tuple[str, ...]) -> None:
    entries = sample(path)
    assert isinstance(entries, list)
    assert entries[0].keys() == LEAVES[path]["items"]["properties"].keys()


@pytest.mark.parametrize("path", sorted(ONE_CHOICE), ids=words)
def test_a_value_with_one_choice_takes_that_one_and_names_itself(
    path: tuple[str, ...], tmp_path: Path
) -> None:
    only = LEAVES[path].get("const", LEAVES[path].get("default"))
    taken = chart.merged(chart.ALL_ON, chart.nested(path, only))
    chart.rendered_text(*chart.with_values(taken, tmp_path))
    other = chart.merged(chart.ALL_ON, chart.nested(path, "other"))
    assert path[-1] in chart.refusal(*chart.with_values(other, tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("AKOSettings.clusterName", "x"),
        ("LbctlSettings.layer7Only", "true"),
        ("NetworkSettings.enableRHI", "true"),
        ("L7Settings.shardVSSize", "LARGE"),
        ("addressPools[0].cidr", "192.0.2.0/24"),
        ("controller.replicaCount", "2"),
        ("dns.service.type", "NodePort"),
        ("agent.legs", "{192.0.2.1}"),
        ("lease.namespace", "other"),
        ("metrics.path", "/other"),
        ("serviceMonitor.enabled", "true"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_it(key: str, value: str) -> None:
    section = key.split(".", maxsplit=1)[0].partition("[")[0]
    said = chart.refusal(*chart.POOL, "--set", f"{key}={value}")
    unknown = key.rpartition(".")[2] if section in SCHEMA["properties"] else section
    assert f"'{unknown}'" in said


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("LbctlSettings.logLevel=LOUD", "logLevel"),
        ("L4Settings.serviceType=NodePort", "serviceType"),
        ("nameservice.ttl=-1", "ttl"),
        ("controller.replicas=0", "replicas"),
        ("fabric.name=leaf", "router"),
        ("image.tag=15", "tag"),
        ("dns.listen={0.0.0.0:53}", "listen"),
        ("metrics.port=0", "port"),
        ("metrics.serviceMonitor.interval=often", "interval"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(setting: str, named: str) -> None:
    assert named in chart.refusal(*chart.POOL, "--set", setting)


@pytest.mark.parametrize("word", ["true", "false", "dryRun"])
def test_delete_config_can_be_set_on_the_command_line(word: str) -> None:
    objects = chart.rendered(*chart.POOL, "--set", f"LbctlSettings.deleteConfig={word}")
    settings = Settings.model_validate(yaml.safe_load(chart.settings_of(objects)))
    assert settings.lbctl.delete_config == word


def needs_restart(path: tuple[str, ...]) -> bool:
    above = [SCHEMA["properties"][path[0]]["description"], LEAVES[path]["description"]]
    return any("Needs a restart" in text for text in above)


SETTINGS = sorted(
    path for path in LEAVES.keys() - ONE_CHOICE
    if path in {found for found, _ in generate_values.leaves(
        {"properties": generate_values.settings_schema()})}
)  # fmt: skip


@pytest.mark.parametrize("path", SETTINGS, ids=words)
def test_settings_replace_pods_only_where_they_need_a_restart(
    path: tuple[str, ...], all_on: str, tmp_path: Path
) -> None:
    values = chart.merged(chart.ALL_ON, chart.nested(path, sample(path)))
    changed = chart.rendered(*chart.with_values(values, tmp_path))
    before = chart.templates(chart.parsed(all_on))
    replaced = {name for name, pod in chart.templates(changed).items() if pod != before[name]}
    own = generate_values.settings_schema()[path[0]].get("description", "")
    assert bool(replaced) == (needs_restart(path) or "Needs a restart" in own), replaced


@pytest.mark.parametrize("case", CASES)
def test_pods_have_only_the_rights_they_need(case: str) -> None:
    objects = chart.rendered("--values", str(GOLDEN / "values" / f"{case}.yaml"))
    accounts = {each["metadata"]["name"] for each in objects if each["kind"] == "ServiceAccount"}
    for name, pod in chart.pod_specs(objects).items():
        (container,) = pod["containers"]
        rights = container["securityContext"]
        assert pod["serviceAccountName"] in accounts
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["capabilities"]["drop"] == ["ALL"]
        assert "hostPID" not in pod
        if name == "DaemonSet lbctl-agent":
            assert rights["capabilities"]["add"][0] == "NET_ADMIN"
            assert pod["hostNetwork"] is True
        else:
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert "add" not in rights["capabilities"]
            assert "hostNetwork" not in pod
            assert all("hostPath" not in volume for volume in pod["volumes"])


def test_definitions_are_the_files_of_the_chart_and_survive_an_uninstall() -> None:
    found = [
        each for each in chart.rendered(*chart.POOL) if each["kind"] == "CustomResourceDefinition"
    ]
    files = [yaml.safe_load(path.read_text()) for path in chart.CHART.glob("files/crds/*.yaml")]
    assert {each["metadata"]["name"]: each["spec"] for each in found} == {
        each["metadata"]["name"]: each["spec"] for each in files
    }
    assert {each["metadata"]["annotations"]["helm.sh/resource-policy"] for each in found} == {
        "keep"
    }


def test_keeping_traffic_keeps_all_but_the_controller_and_withdraws_nothing() -> None:
    objects = chart.rendered(*chart.POOL, "--set", "uninstall.keepTraffic=true")
    going = {
        (each["kind"], each["metadata"]["name"])
        for each in objects
        if not each["metadata"].get("annotations", {}).keys()
        & {"helm.sh/resource-policy", "helm.sh/hook"}
    }
    # Without a controller nobody follows policies: who may write them is no traffic, either.
    roles = {("ClusterRole", f"lbctl-l4policies-{verb}") for verb in ("edit", "view")}
    assert roles <= going
    assert {name for _, name in going - roles} == {"lbctl-controller", "lbctl-dns"}
    assert {kind for kind, name in going if name == "lbctl-dns"} == {"PodDisruptionBudget"}
    assert "Job" not in {each["kind"] for each in objects}


def test_large_numbers_stay_numbers() -> None:
    objects = chart.rendered(*chart.POOL, "--set", "nameservice.soa.expire=2147483647")
    settings = Settings.model_validate(yaml.safe_load(chart.settings_of(objects)))
    assert settings.nameservice.soa.expire == 2147483647


def test_policies_follow_the_namespace_of_the_release() -> None:
    text = chart.helm(
        "template", "x", str(chart.CHART), "--namespace", "elsewhere", *chart.POOL
    ).stdout
    assert "system:serviceaccount:elsewhere:lbctl-agent" in text
    assert "lbctl-system" not in text
