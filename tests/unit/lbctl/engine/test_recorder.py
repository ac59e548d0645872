"""Events are sent in the background and never in the way."""

import event_loops
from fakes import api_objects, api_server
from fakes.api_objects import Json, Refusal
from lbctl.engine import events
from lbctl.engine.events import Event, Recorder, Subject
from lbctl.kube import resources
from lbctl.kube.client import Client

KUARD = Subject(resources.SERVICES, "default", "kuard", "uid-1")
RULES = {rules.resource.plural: rules for rules in api_objects.KNOWN}


def event(number: int, *, warning: bool = False) -> Event:
    return Event(KUARD, warning, "Allocated", f"message {number}")


def sent(fake: api_server.ApiServer) -> list[Json]:
    return [obj for _, obj in fake.objects.listed(RULES["events"])]


def test_events_are_sent_with_what_kubectl_describe_shows() -> None:
    async def body() -> None:
        async with api_server.serving() as fake, Client(fake.cluster) as api:
            recorder = Recorder(api)
            recorder.record(event(1, warning=True))
            async with event_loops.running(recorder.run()):
                await event_loops.until(lambda: bool(sent(fake)))
            (obj,) = sent(fake)
            assert (obj["type"], obj["reason"], obj["message"]) == (
                "Warning",
                "Allocated",
                "message 1",
            )
            assert obj["involvedObject"]["uid"] == "uid-1"
            assert obj["metadata"]["namespace"] == "default"

    event_loops.run(body())


def test_an_event_that_cannot_be_sent_does_not_hold_up_the_next() -> None:
    async def body() -> None:
        async with api_server.serving() as fake, Client(fake.cluster) as api:
            fake.refuse("POST", "events", Refusal(403, "Forbidden", "no"))
            recorder = Recorder(api)
            recorder.record(event(1))
            recorder.record(event(2))
            async with event_loops.running(recorder.run()):
                await event_loops.until(lambda: bool(sent(fake)))
            assert [obj["message"] for obj in sent(fake)] == ["message 2"]

    event_loops.run(body())


def test_when_too_many_wait_the_oldest_is_dropped() -> None:
    async def body() -> None:
        async with api_server.serving() as fake, Client(fake.cluster) as api:
            recorder = Recorder(api)
            for number in range(events.KEPT + 1):
                recorder.record(event(number))
            async with event_loops.running(recorder.run()):
                await event_loops.until(lambda: bool(sent(fake)))
            assert [obj["message"] for obj in sent(fake)] == ["message 1"]

    event_loops.run(body())
