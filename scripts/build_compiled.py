"""Build what of the name server may be compiled: by hand, in `scripts/setup`, or into a wheel.

A wheel has it only where `LBCTL_COMPILED=1` is set at build; then it is for one platform.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "dns" / "lbctl_dns" / "_shortest.c"
BUILT = SOURCE.with_name(f"_shortest{sysconfig.get_config_var('EXT_SUFFIX')}")
FLAGS = (
    "-std=c11", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Wno-unused-parameter",
    "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wl,-z,relro,-z,now",
)  # fmt: skip


def build(target: Path = BUILT, further: tuple[str, ...] = ()) -> Path:
    """Compile where the source is newer; return what was built. Raises OSError."""
    if target.exists() and target.stat().st_mtime >= SOURCE.stat().st_mtime:
        return target
    # Into its place in one step: others may be loading it.
    new = target.with_suffix(f".{os.getpid()}")
    compiler = shlex.split(os.environ.get("CC") or "cc")
    headers = f"-I{sysconfig.get_path('include')}"
    command = [*compiler, *FLAGS, *further, headers, str(SOURCE), "-o", str(new)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        new.unlink(missing_ok=True)
        raise OSError(f"{shlex.join(command)}: {done.stderr}")
    new.rename(target)
    return target


class Hook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the compiled part into a wheel that asks for it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build before the wheel's files are gathered."""
        if self.target_name == "wheel" and os.environ.get("LBCTL_COMPILED") == "1":
            built = build()
            build_data["force_include"][str(built)] = f"lbctl_dns/{built.name}"
            build_data["pure_python"], build_data["infer_tag"] = False, True


def main() -> int:
    """Build it in this checkout; 1 with the reason when that cannot be."""
    try:
        build()
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
