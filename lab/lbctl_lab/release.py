"""lbctl on the lab as everyone installs it: images, and a release of the chart by helm. Shell."""

from pathlib import Path

import yaml

from lbctl_lab import (
    commands,
    controlplane,
    credentials,
    plan,
    product_images,
    progress,
    state,
    values,
    wheels,
)

HERE = state.ROOT / "release"
VALUES = HERE / "values.yaml"


def chart() -> Path:
    """Return the folder of the chart."""
    return Path(state.checkout()) / "charts" / "lbctl"


def build_images(shown: progress.Progress) -> list[Path]:
    """Return the archives of lbctl's images, built now from this checkout."""
    code = wheels.own()
    built = (
        product_images.build(component, code, HERE / "images", shown)
        for component in product_images.COMPONENTS.values()
    )
    return [each.archive for each in built]


def install(backend: plan.Backend, shown: progress.Progress) -> None:
    """Install the chart; returns as soon as helm has written everything."""
    tree = values.chart(str(state.ROOT), backend)
    path = state.write(VALUES, yaml.safe_dump(tree, sort_keys=False))
    with shown.step(f"helm install {values.RELEASE} charts/lbctl"):
        helm("install", "--create-namespace", values_file=path)


def helm(verb: str, *words: str, text: str | None = None, values_file: Path | str = "-") -> str:
    """Run a command of helm's on the release with the lab's chart and values."""
    release = (values.RELEASE, str(chart()), "--namespace", values.NAMESPACE)
    argv = [str(controlplane.tools() / "helm"), verb, *release, "--values", str(values_file)]
    return commands.run([*argv, *words], text=text, env=environment(), timeout_s=180)


def environment() -> dict[str, str]:
    """Return helm's environment: the cluster, and nothing of it in anybody's home."""
    homes = {f"HELM_{kind}_HOME": str(HERE / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    return {"KUBECONFIG": str(credentials.ADMIN), **homes}
