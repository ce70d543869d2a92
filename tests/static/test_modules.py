"""The scripts of the pages, under Node's own test runner: what they decide, without a browser."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None, reason="No Node on this machine (Debian: apt-get install nodejs)."
)


@pytest.mark.parametrize("path", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.name)
def test_what_the_scripts_decide(path):
    command = [NODE, "--import", f"{HERE}/as_modules.mjs", "--test", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n# pass 0\n" not in done.stdout
