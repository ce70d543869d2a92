"""The product's settings for tests: nothing of a developer's own .env, quick passwords, a fresh database."""

import gc
import os

# Until all tests are collected: what is imported stays, and the collector would walk it again and again.
gc.disable()

os.environ |= {"DEBUG": "on", "ENV_FILE": os.devnull}
_OWN = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ALLOWED_HOSTS", "ALLOWED_ORIGINS", "ADMIN_PATH")
# A server that a test starts keeps what the test has given it.
if "PYTEST_CURRENT_TEST" not in os.environ:
    for _name in (*_OWN, "PATH_PREFIX", "MAX_BODY_BYTES"):
        os.environ.pop(_name, None)

from chainhub.settings import *  # noqa: E402, F403
from chainhub.settings import DATABASES, INSTALLED_APPS, VAR_DIR  # noqa: E402

# The real hasher takes a second for each user on a small machine, by intention.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Nobody waits in a test before a model call is tried again.
PROVIDER_BACKOFF_SECONDS = 0

# Each test process has its own, so that several may run beside one another. A file, like the
# product's: in memory, threads would share the locks of one connection.
_database = DATABASES["default"]
if _database["ENGINE"].endswith("sqlite3"):
    _database["TEST"] = {"NAME": VAR_DIR / f"test-{os.getpid()}.sqlite3"}
else:
    _database["TEST"] = {"NAME": f"test_{_database['NAME']}_{os.getpid()}"}

# Its ``flush`` takes the place of Django's.
INSTALLED_APPS = [*INSTALLED_APPS, "tests.database"]
