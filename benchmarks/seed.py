"""Creates the records that the benchmark needs, and prints the user's key and session as JSON."""

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chainhub.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402

from accounts.keys import issue_key  # noqa: E402
from accounts.models import User  # noqa: E402
from chains.models import Chain, Prompt, Provider  # noqa: E402
from chains.runtime.spec.chain import parse_spec  # noqa: E402
from chains.runtime.steps.prompts import PromptSpec  # noqa: E402

MESSAGES = [{"role": "system", "content": "You tell jokes."}, {"role": "human", "content": "{topic}"}]


def main(upstream: str) -> None:
    call_command("migrate", verbosity=0)
    user = User.objects.create_user("bench")
    Provider.objects.create(slug="bench", kind="openai", base_url=upstream, api_key="sk-bench")
    prompt = Prompt.objects.create(slug="joke")
    version = prompt.save_spec(PromptSpec.model_validate({"messages": MESSAGES}), author=None)
    prompt.point("production", version, by=None)
    chain = Chain.objects.create(slug="joke")
    step = {"name": "answer", "prompt": {"slug": "joke"}, "provider": "bench", "model": "bench"}
    chain.point("production", chain.save_spec(parse_spec({"steps": [step]}), author=None), by=None)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    key = issue_key(user=user, name="bench", expires_at=None).secret
    print(json.dumps({"key": key, "session": session.session_key}))


if __name__ == "__main__":
    main(sys.argv[1])
