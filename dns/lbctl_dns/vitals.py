"""What the feed process shows over HTTP: its workers' readiness, and its metrics."""

from lbctl.runtime import endpoint
from lbctl.runtime import metrics as common
from lbctl.settings import MetricsSettings
from lbctl_dns import crew, listening, metrics, names, probe


async def serve(
    kept: metrics.Metrics,
    published: metrics.Published,
    workers: crew.Crew,
    place: listening.Place,
    settings: MetricsSettings,
) -> None:
    """Serve health checks, asked at `place`, and metrics until cancelled."""
    asked = probe.reachable(place)

    async def ready() -> str:
        return await probe.ready(asked, next(iter(published.serials), names.ROOT))

    async def alive() -> str:
        return await probe.alive(asked)

    text = kept.show(published, workers) if settings.enabled else None
    routes = endpoint.routes(ready, alive, text, common.CONTENT_TYPE)
    await endpoint.Endpoint(routes).run(settings.port)
