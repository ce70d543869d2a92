"""The runnables as ChainHub serves them; named in CHAINHUB_RUNNABLES."""

from chains.runtime.registry import register
from chains.runtime.wire.config import CONFIG_KEYS
from tests.compat.runnables import RUNNABLES

for _name, _runnable in RUNNABLES.items():
    register(_name, _runnable, expose_steps=True)

# Callers may set all of its config that any chain may let them set.
register("open", RUNNABLES["configured"], config_keys=CONFIG_KEYS, expose_steps=True)
