"""No package is without a place in the import rules and the type checks."""

import tomllib

from tests.conftest import ROOT

RULES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
NOT_THE_PRODUCT = {"tests", "benchmarks"}


def test_every_package_is_under_the_import_rules_and_the_type_checks():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - NOT_THE_PRODUCT

    assert set(RULES["importlinter"]["root_packages"]) == packages
    assert set(RULES["mypy"]["packages"]) == packages
    (layers,) = (
        c["layers"] for c in RULES["importlinter"]["contracts"] if "containers" not in c and "layers" in c
    )
    assert set(layers) == packages
