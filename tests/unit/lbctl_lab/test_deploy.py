from lbctl import settings
from lbctl_lab import bring_up, deploy, images, places, plan, status


def test_every_settings_file_of_the_lab_is_one_that_lbctl_accepts():
    trees = [deploy.settings(), deploy.router_settings(), *map(deploy.settings, plan.nodes(3))]
    for tree in trees:
        assert settings.Settings.model_validate(tree).lbctl.cluster_name == plan.CLUSTER


def test_each_agent_gets_the_legs_of_its_own_node():
    agents = [settings.Settings.model_validate(deploy.settings(n)).agent for n in plan.nodes(2)]
    assert [agent.legs for agent in agents] == [
        ("172.31.241.6", "fd00:1b:241:1::2"),
        ("172.31.241.10", "fd00:1b:241:2::2"),
    ]
    assert len({agent.state_dir for agent in agents}) == 2


def test_there_is_one_agent_per_node_and_one_for_the_router():
    specs = {spec.name: spec for spec in deploy.specs(plan.nodes(2))}
    assert set(specs) == {"controller", "dns", "agent-node-1", "agent-node-2", "agent-router"}
    assert specs["agent-node-2"].place == "node-2"
    assert specs["agent-router"].place == "router"
    assert specs["agent-node-1"].env["OVS_RUNDIR"] != specs["agent-node-2"].env["OVS_RUNDIR"]


def test_dns_listens_on_both_families():
    spec = next(spec for spec in deploy.specs(plan.nodes(1)) if spec.name == "dns")
    assert "172.31.240.53:53" in spec.argv
    assert "[fd00:1b:0:240::53]:53" in spec.argv


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
    assert "export LBCTL_DNS=172.31.240.53:53" in lines
    assert lines[-1].endswith(':$PATH"')


def test_names_of_imported_images_are_read_from_ctrs_words():
    said = "unpacking a.test/b:1 (sha256:00)...done\nunpacking a.test/c:2 (sha256:00)...done\n"
    assert images.imported_names(said) == ["a.test/b:1", "a.test/c:2"]
