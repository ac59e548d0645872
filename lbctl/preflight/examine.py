"""Gather facts and judge them: the whole of `lbctl preflight`."""

import asyncio
from pathlib import Path

from lbctl.kube import client, config
from lbctl.model import errors
from lbctl.preflight import checks, gather, node_checks, node_gather
from lbctl.preflight.findings import Finding, problem
from lbctl.settings import Settings


async def cluster(settings: Settings, kubeconfig: Path | None) -> tuple[Finding, ...]:
    """Return the findings about the cluster; where it does not answer, that is the only one."""
    try:
        async with client.Client(config.load(kubeconfig)) as api:
            facts = await gather.cluster(api, settings.zones)
    except errors.LbctlError as error:
        fix = "give a kubeconfig that works with kubectl: --kubeconfig FILE, or KUBECONFIG"
        return (problem("API server", str(error), fix),)
    return checks.cluster(facts, settings)


async def node(settings: Settings) -> tuple[Finding, ...]:
    """Return the findings about the machine we run on."""
    facts = await asyncio.to_thread(node_gather.node, settings.agent)
    return node_checks.node(facts, settings.agent)
