"""The settings, read from the environment by a process of its own."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

SECRETS = {
    "SECRET_KEY": "$q+ahodi$(9i!7*#-*-26jmn7",
    "OPENAI_API_KEY": "$HOME",
}
PRINT = f"""
import json
from chainhub import settings
print(json.dumps({{name: getattr(settings, name) for name in {list(SECRETS)}}}))
"""


@pytest.mark.parametrize("in_file", [False, True], ids=["environment", "file"])
def test_a_secret_is_taken_as_it_stands(tmp_path, in_file):
    file = tmp_path / "env"
    file.write_text("".join(f"{name}='{value}'\n" for name, value in SECRETS.items() if in_file))
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
    environment |= {"ENV_FILE": str(file), "DEBUG": "on", "VAR_DIR": str(tmp_path)}

    told = subprocess.run(
        [sys.executable, "-c", PRINT],
        cwd=ROOT,
        env=environment | ({} if in_file else SECRETS),
        capture_output=True,
        check=True,
    )

    assert json.loads(told.stdout) == SECRETS
