from lbctl import settings
from lbctl_lab import bring_up, images, on_host, places, plan, pods, status, values


def test_every_settings_file_of_the_lab_is_one_that_lbctl_accepts():
    agents = [values.agent("/var/lib/one", backend) for backend in plan.BACKENDS]
    read = [settings.Settings.model_validate(tree) for tree in (values.settings(), *agents)]
    assert {each.lbctl.cluster_name for each in read} == {plan.CLUSTER}
    assert tuple(each.agent.backend for each in read[1:]) == plan.BACKENDS


def test_the_name_servers_address_lies_in_a_pool_of_its_own():
    tree = settings.Settings.model_validate(values.settings())
    pools = {pool.name: pool.addresses for pool in tree.pools}
    assert pools["nameserver"] == ("198.19.255.53/32", "2001:2:0:ff::53/128")
    assert pools["default"] == plan.DEFAULT_POOL


def test_pods_of_all_nodes_find_their_own_nodes_folders():
    agent = values.chart("/var/lib/lbctl-lab", "ovs")["agent"]
    assert agent["stateDirSubPathExpr"] != agent["ovs"]["runDirSubPathExpr"]
    for part in (agent["stateDirSubPathExpr"], agent["ovs"]["runDirSubPathExpr"]):
        assert part.startswith("$(NODE_NAME)/")


def test_on_the_host_there_is_one_agent_per_node():
    specs = {spec.name: spec for spec in on_host.specs(plan.nodes(2))}
    assert set(specs) == {"controller", "dns", "agent-node-1", "agent-node-2"}
    assert specs["agent-node-2"].place == "node-2"
    assert specs["agent-node-1"].env["OVS_RUNDIR"] != specs["agent-node-2"].env["OVS_RUNDIR"]


def test_dns_listens_on_both_families():
    spec = next(spec for spec in on_host.specs(plan.nodes(1)) if spec.name == "dns")
    assert "198.19.255.53:53" in spec.argv
    assert "[2001:2:0:ff::53]:53" in spec.argv


def test_only_containers_that_run_have_a_process_to_kill():
    listing = "TASK    PID     STATUS\nab    42    RUNNING\ncd    0    STOPPED\n"
    assert pods.parse_tasks(listing) == {"ab": 42}


def test_the_client_has_its_own_resolver_and_the_others_do_not():
    assert "client.resolv.conf" in " ".join(places.argv("client", ["true"]))
    assert "resolv.conf" not in " ".join(places.argv("router", ["true"]))
    assert places.argv("node-1", ["a", "b"])[-2:] == ["a", "b"]


def test_the_clusters_dns_manifest_is_complete():
    text = bring_up.coredns_manifest()
    assert "{{" not in text
    for wanted in (images.COREDNS, plan.CLUSTER_DNS_V4, plan.CLUSTER_DNS_V6, plan.SUBDOMAIN):
        assert wanted in text


def test_exports_put_the_labs_tools_first_on_path():
    lines = status.as_exports(status.env()).splitlines()
    assert "export LBCTL_DNS=198.19.255.53:53" in lines
    assert lines[-1].endswith(':$PATH"')


def test_names_of_imported_images_are_read_from_ctrs_words():
    said = "unpacking a.test/b:1 (sha256:00)...done\nunpacking a.test/c:2 (sha256:00)...done\n"
    assert images.imported_names(said) == ["a.test/b:1", "a.test/c:2"]
