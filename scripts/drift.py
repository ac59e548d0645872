"""What the scripts that generate files share: write them, or say which are not up to date."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "make values"

Texts = Callable[[], Mapping[Path, str]]
"""Gives the files that a script generates, with what they should hold."""


def stale(texts: Mapping[Path, str]) -> list[Path]:
    """Return the files that do not hold what they should."""
    return [path for path, text in texts.items() if not path.exists() or path.read_text() != text]


def main(purpose: str, texts: Texts) -> int:
    """Write the files, or with --check only compare them; return the exit code."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--check", action="store_true", help="compare only; exit code 1 on drift")
    check = parser.parse_args().check
    wanted = texts()
    found = stale(wanted)
    for path in found:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
        print(f"{path.relative_to(ROOT)}: {f'not up to date, `{COMMAND}`' if check else 'written'}")
    return 1 if check and found else 0
