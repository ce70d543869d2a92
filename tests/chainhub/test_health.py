"""/healthz and /readyz: for whoever watches the process."""

import pytest
from django.test import Client


def test_a_living_process_says_so_without_the_database():
    response = Client().get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "alive"})


def test_a_process_with_a_database_is_ready(db):
    response = Client().get("/readyz")

    assert (response.status_code, response.json()) == (200, {"status": "ready"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_what_watches_is_never_sent_elsewhere(db, path, settings):
    settings.SECURE_SSL_REDIRECT = True

    assert Client().get(path).status_code == 200
