"""The wheel, which people install without the repository."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
JOB = """
import jaxflow as jf
from pathlib import Path

assert Path(jf.__file__).is_relative_to(Path.cwd() / "installed"), jf.__file__
result = jf.attribute(jf.load_model("verb-number"), ["The keys to the cabinet"])
assert result.certified_share == 1
print(jf.write_page(result, "report.html"))
"""


def test_the_citation_is_of_this_version():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)[1]
    assert f"\nversion: {version}\n" in citation


@pytest.mark.slow
def test_the_wheel_is_small_and_works_without_the_repository(tmp_path):
    def run(*command):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    _ = run(*pip, "wheel", "--no-deps", "--wheel-dir", "wheels", str(ROOT))
    (wheel,) = (tmp_path / "wheels").iterdir()
    assert wheel.name.startswith("jaxflow_attention-")
    assert wheel.stat().st_size < 15_000_000
    names = zipfile.ZipFile(wheel).namelist()
    assert "jaxflow/py.typed" in names
    # Nothing of the repository stands at the top of what a user installs.
    assert {name.split("/")[0].split("-")[0] for name in names} == {"jaxflow", "jaxflow_attention"}
    _ = run(*pip, "install", "--no-deps", "--no-index", "--target", "installed", str(wheel))
    # The environment's packages serve; the folder of the wheel goes before the checkout.
    job = f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r})\n{JOB}"
    assert "report.html" in run(sys.executable, "-I", "-c", job)
    assert (tmp_path / "report.html").stat().st_size > 10_000
