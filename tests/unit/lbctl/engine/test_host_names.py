"""Host names of several Services, beside a controller at work.

All are made in one second; the order of their UIDs is that of their making.
"""

from typing import Any

import controller_bed
import event_loops
from controller_bed import SETTINGS, Bed, Play, served
from inspect_reasons import noted
from lbctl.kube import resources
from lbctl.settings import Settings

HOST = "lbctl.io/hostname"
WWW = "www.lb.example"


async def note(bed: Bed, name: str, **notes: str | None) -> None:
    told = {f"lbctl.io/{key.replace('_', '-')}": text for key, text in notes.items()}
    await bed.api.patch(resources.SERVICES, name, {"metadata": {"annotations": told}}, "default")


async def member(bed: Bed, name: str, **notes: str) -> None:
    """Create a Service with a ready endpoint."""
    await bed.scale(1, name)
    told = {f"lbctl.io/{key.replace('_', '-')}": text for key, text in notes.items()}
    await noted(bed, name, told)
    await served(bed, name)


def answered(bed: Bed, name: str) -> set[str]:
    spec = (bed.decision(name) or {}).get("spec") or {}
    return {entry["host"] for entry in spec.get("names") or () if entry["published"]}


def taken(bed: Bed, name: str) -> dict[str, str]:
    names = ((bed.decision(name) or {}).get("spec") or {}).get("names") or ()
    return {entry["host"]: entry["takenBy"] for entry in names if "takenBy" in entry}


def auto(name: str) -> str:
    return f"{name}.default.lb.example"


def test_the_older_service_has_a_name_until_it_goes(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await member(bed, "old", hostname=WWW)
        await bed.until(lambda: answered(bed, "old") == {WWW, auto("old")})
        await member(bed, "new", hostname=WWW)
        await bed.until(lambda: answered(bed, "new") == {auto("new")})
        assert taken(bed, "new") == {WWW: "default/old"}
        told = (False, "HostnameTaken")
        await bed.until(lambda: bed.conditions("new").get("NameRegistered") == told)
        await bed.until(lambda: "HostnameTaken" in {e["reason"] for e in bed.all(resources.EVENTS)})
        await bed.delete("old")
        await bed.until(lambda: answered(bed, "new") == {WWW, auto("new")})
        await bed.until(lambda: bed.conditions("new")["NameRegistered"] == (True, "Published"))

    play(body)


def test_a_name_that_is_given_up_goes_to_who_waits(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await member(bed, "old", hostname=WWW)
        await member(bed, "new", hostname=f"{WWW},b.lb.example")
        await bed.until(lambda: taken(bed, "new") == {WWW: "default/old"})
        await note(bed, "old", hostname=None)
        await bed.until(lambda: answered(bed, "new") == {WWW, "b.lb.example", auto("new")})
        assert answered(bed, "old") == {auto("old")}

    play(body)


def test_an_older_service_that_comes_to_ask_gets_the_name_when_it_was_let_go(play: Play) -> None:
    both_at_once: list[bool] = []

    async def body(bed: Bed) -> None:
        await member(bed, "old")
        await member(bed, "new", hostname=WWW)
        await bed.until(lambda: WWW in answered(bed, "new"))

        def moved() -> bool:
            both_at_once.append(WWW in answered(bed, "new") & answered(bed, "old"))
            return WWW in answered(bed, "old")

        await note(bed, "old", hostname=WWW)
        await bed.until(moved)
        await bed.until(lambda: taken(bed, "new") == {WWW: "default/old"})

    play(body)
    assert not any(both_at_once)


def test_labels_of_a_namespace_open_and_close_a_suffix(tmp_path: Any) -> None:
    settings = Settings.model_validate(
        {
            **SETTINGS.model_dump(by_alias=True),
            "nameservice": {
                "subdomains": ["lb.example"],
                "ttl": 0,
                "suffixes": [
                    {
                        "suffix": "lb.example",
                        "namespaceSelectors": [{"matchLabels": {"names": "all"}}],
                    }
                ],
            },
        }
    )

    async def within() -> None:
        async with controller_bed.controlled(tmp_path, settings) as bed:
            body = {"metadata": {"name": "default"}}
            await bed.api.create(resources.NAMESPACES, body)
            await member(bed, "kuard", hostname=WWW)
            told = (False, "HostnameNotAllowed")
            await bed.until(lambda: bed.conditions().get("NameRegistered") == told)
            patch = {"metadata": {"labels": {"names": "all"}}}
            await bed.api.patch(resources.NAMESPACES, "default", patch)
            await bed.until(lambda: WWW in answered(bed, "kuard"))

    event_loops.run(within())


def test_declining_takes_the_names_away_and_nothing_else(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await member(bed, "kuard")
        await bed.until(lambda: bool(answered(bed, "kuard")))
        await note(bed, "kuard", dns="false")
        await bed.until(lambda: not answered(bed, "kuard"))
        await bed.until(lambda: bed.conditions()["NameRegistered"] == (False, "NamesDeclined"))
        assert bed.ingress() == ["192.0.2.1"]

    play(body)


def test_a_name_is_kept_without_data_or_at_all_when_the_last_endpoint_goes(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await member(bed, "kept", dns_at_zero="keep")
        await member(bed, "empty", dns_at_zero="nodata")
        await bed.until(lambda: bool(answered(bed, "empty")))
        await bed.scale(0, "kept")
        await bed.scale(0, "empty")
        await bed.until(lambda: not answered(bed, "empty"))
        (name,) = (bed.decision("empty") or {})["spec"]["names"]
        assert name["noData"] is True
        assert answered(bed, "kept") == {auto("kept")}

    play(body)
