"""What a guest kernel is asked to run."""

import subprocess

LOADER = "/run/modprobe"


def run(argv: list[str], stdin: str = "") -> str:
    """Return what a command printed; raise RuntimeError with its complaint."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def load(*modules: str) -> None:
    """Load kernel modules."""
    run([LOADER, "--all", *modules])
