"""Who is calling, asked through rest_framework views, one synchronous and one async."""

import asyncio
from datetime import timedelta

import pytest
from django.http import JsonResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import PermissionDenied
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.auth import IsCaller, authenticate, key_in
from accounts.callers import CredentialsRefused, aauthenticate_key, authenticate_key
from accounts.keys import generate_key, issue_key
from accounts.models import ApiKey
from chains.api.errors import problem_of, respond


class WhoAmI(APIView):
    permission_classes = [IsCaller]

    def get(self, request):
        return Response({"user": request.user.username, "key": request.auth and request.auth.pk})

    post = get


@csrf_exempt
async def who_am_i(request):
    try:
        caller = await authenticate(request)
    except Exception as error:
        return respond(problem_of(error), request)
    return JsonResponse({"user": caller.user.username, "key": caller.key and caller.key.pk})


urlpatterns = [path("sync", WhoAmI.as_view()), path("async", who_am_i)]
# Keys are looked up in a thread of the database's own.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.usefixtures("shared_db")]

GARBAGE = [
    "",
    "garbage",
    "' OR '1'='1",
    "x" * 10_240,
    "chk_live_" + "x" * 49,
    "\0",
    "🔑",
    "chk_live_" + "\0" * 49,
]
both_ways = pytest.mark.parametrize("url", ["/sync", "/async"])


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# --- A good key --------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    "headers",
    [
        lambda key: {"Authorization": f"Bearer {key}"},
        lambda key: {"Authorization": f"bearer   {key} "},
        lambda key: {"X-API-Key": key},
        lambda key: {"X-API-Key": key, "Authorization": f"Bearer {key}"},
    ],
    ids=["bearer", "lower case", "x-api-key", "both, the same"],
)
def test_a_live_key_names_its_owner(client, url, headers, alice, live_key):
    response = client.post(url, headers=headers(live_key.secret))

    assert response.status_code == 200
    assert response.json() == {"user": "alice", "key": live_key.row.pk}


def test_a_key_costs_one_query(live_key, django_assert_num_queries):
    with django_assert_num_queries(1):
        caller = authenticate_key(live_key.secret)
        assert caller.user.is_active

    assert caller.key == live_key.row


@both_ways
def test_a_key_wins_over_the_session(client, url, bob, live_key):
    client.force_login(bob)

    assert client.get(url, headers=bearer(live_key.secret)).json()["user"] == "alice"


# --- Bad keys ----------------------------------------------------------------------------------


@both_ways
def test_all_bad_kinds_get_the_same_answer(client, url, live_key, revoked_key, expired_key, orphaned_key):
    live = live_key.secret
    answers = {
        kind: client.post(url, headers=headers)
        for kind, headers in {
            "none": {},
            "garbage": bearer("garbage"),
            "unknown": bearer(generate_key()),
            "revoked": bearer(revoked_key.secret),
            "expired": bearer(expired_key.secret),
            "inactive owner": bearer(orphaned_key.secret),
            "no scheme": {"Authorization": live},
            "other scheme": {"Authorization": f"Basic {live}"},
            "two keys": bearer(f"{live}, {live}"),
            "empty": {"X-API-Key": ""},
        }.items()
    }

    assert {kind: answer.status_code for kind, answer in answers.items()} == dict.fromkeys(answers, 401)
    assert len({answer.content for answer in answers.values()}) == 1
    assert {answer.headers["WWW-Authenticate"] for answer in answers.values()} == {"Bearer"}


def test_all_bad_keys_raise_an_equal_error(revoked_key, expired_key, orphaned_key):
    errors = []
    for key in ["garbage", generate_key(), revoked_key, expired_key, orphaned_key]:
        with pytest.raises(CredentialsRefused) as caught:
            authenticate_key(getattr(key, "secret", key))
        errors.append(caught.value)

    assert len({(type(error), str(error), error.code) for error in errors}) == 1


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda text: ascii(text[:12]))
def test_garbage_is_refused_without_a_query(client, db, header, garbage, django_assert_num_queries):
    value = f"Bearer {garbage}" if header == "Authorization" else garbage

    with django_assert_num_queries(0):
        responses = [client.post(url, headers={header: value}) for url in ("/sync", "/async")]

    assert [response.status_code for response in responses] == [401, 401]


@both_ways
def test_a_key_in_the_query_string_is_not_looked_at(client, url, live_key):
    for name in ("key", "api_key", "token", "access_token"):
        assert client.post(f"{url}?{name}={live_key.secret}").status_code == 401


@both_ways
def test_two_different_keys_are_a_bad_request(client, url, live_key):
    headers = {**bearer(live_key.secret), "X-API-Key": generate_key()}

    response = client.post(url, headers=headers)

    assert response.status_code == 400
    assert "X-API-Key" in response.json()["detail"]


@both_ways
def test_a_bad_key_is_refused_even_with_a_session(client, url, bob, revoked_key):
    client.force_login(bob)

    for key in (revoked_key.secret, generate_key(), revoked_key.secret[:-1], "chk_live_"):
        assert client.get(url, headers=bearer(key)).status_code == 401


@both_ways
def test_a_revoked_key_stops_working_at_once(client, url, live_key):
    assert client.post(url, headers=bearer(live_key.secret)).status_code == 200

    live_key.row.revoke()

    assert client.post(url, headers=bearer(live_key.secret)).status_code == 401


def test_no_header_is_told_apart_from_a_foreign_one():
    request = RequestFactory().get("/")
    assert key_in(request) is None

    for foreign in ("", "Basic cHJveHk6c2VjcmV0"):
        request = RequestFactory().get("/", headers={"Authorization": foreign})
        assert key_in(request) == ""


# --- Credentials of somebody else --------------------------------------------------------------

# What clients and proxies send that is not for us.
FOREIGN = {
    "a proxy's login": {"Authorization": "Basic cHJveHk6c2VjcmV0"},
    "an empty bearer": {"Authorization": "Bearer "},
    "nothing at all": {"Authorization": ""},
    "a token of someone else": {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"},
    "a signature": {"Authorization": 'Digest username="chk_live_x", realm="r"'},
}
each_foreign = pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)


@both_ways
@each_foreign
def test_a_foreign_credential_beside_a_key_is_ignored(client, url, foreign, live_key):
    response = client.post(url, headers={**foreign, "X-API-Key": live_key.secret})

    assert (response.status_code, response.json().get("key")) == (200, live_key.row.pk)


@both_ways
@pytest.mark.parametrize("plain", ["", " ", "of-another-service"])
def test_a_foreign_x_api_key_beside_a_key_is_ignored(client, url, plain, live_key):
    response = client.post(url, headers={**bearer(live_key.secret), "X-API-Key": plain})

    assert (response.status_code, response.json().get("key")) == (200, live_key.row.pk)


@both_ways
@each_foreign
def test_a_foreign_credential_beside_a_session_is_ignored(client, url, foreign, alice):
    client.force_login(alice)

    for headers in (foreign, {"X-API-Key": ""}, {**foreign, "X-API-Key": "of-another-service"}):
        assert client.get(url, headers=headers).json() == {"user": "alice", "key": None}


@both_ways
@each_foreign
def test_a_foreign_credential_does_not_take_the_place_of_a_csrf_token(url, foreign, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)

    assert client.post(url, {}, content_type="application/json", headers=foreign).status_code == 403


@both_ways
@each_foreign
def test_a_foreign_credential_alone_is_refused_as_a_bad_key_is(client, db, url, foreign):
    response = client.get(url, headers=foreign)

    assert response.status_code == 401
    assert response.content == client.get(url, headers=bearer("chk_live_")).content


@both_ways
def test_a_key_that_is_cut_off_still_disagrees_with_another(client, url, live_key):
    headers = {**bearer(live_key.secret[:-1]), "X-API-Key": live_key.secret}

    assert client.post(url, headers=headers).status_code == 400


# --- Sessions ----------------------------------------------------------------------------------


@both_ways
def test_a_session_may_read(url, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)

    assert client.get(url).json() == {"user": "alice", "key": None}


@both_ways
def test_a_session_without_a_csrf_token_may_not_write(url, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)

    response = client.post(url, {}, content_type="application/json")

    assert response.status_code == 403
    assert "CSRF" in response.json()["detail"]


@both_ways
def test_a_session_with_its_csrf_token_may_write(url, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    token = client.cookies["csrftoken"] = "c" * 32

    response = client.post(url, {}, content_type="application/json", headers={"X-CSRFToken": token})

    assert response.status_code == 200


@both_ways
def test_a_session_with_someone_elses_csrf_token_may_not_write(url, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    client.cookies["csrftoken"] = "c" * 32

    response = client.post(url, {}, content_type="application/json", headers={"X-CSRFToken": "d" * 32})

    assert response.status_code == 403


@both_ways
def test_a_foreign_origin_may_not_write_with_a_session(url, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    token = client.cookies["csrftoken"] = "c" * 32
    headers = {"X-CSRFToken": token, "Origin": "https://evil.example"}

    response = client.post(url, {}, content_type="application/json", headers=headers)

    assert response.status_code == 403


@both_ways
def test_a_key_needs_no_csrf_token(url, live_key):
    client = Client(enforce_csrf_checks=True)

    assert client.post(url, headers=bearer(live_key.secret)).status_code == 200


@both_ways
def test_the_session_of_someone_who_left_gets_the_same_answer_as_a_bad_key(client, url, alice):
    client.force_login(alice)
    alice.is_active = False
    alice.save()

    response = client.get(url)

    assert response.status_code == 401
    assert response.content == client.get(url, headers=bearer("garbage")).content


@both_ways
def test_a_forged_session_cookie_gets_the_same_answer_as_a_bad_key(client, db, url):
    client.cookies["sessionid"] = "x" * 32

    assert client.get(url).status_code == 401
    assert client.get(url).content == client.get(url, headers=bearer("garbage")).content


def test_a_session_costs_two_queries(client, alice, django_assert_num_queries):
    client.force_login(alice)

    with django_assert_num_queries(2):
        assert client.get("/async").status_code == 200


async def test_the_async_door_raises_rest_frameworks_own_errors():
    with pytest.raises(CredentialsRefused):
        await authenticate(RequestFactory().post("/"))


async def test_a_csrf_failure_is_a_permission_denied(shared_db, alice):
    client = AsyncClient(enforce_csrf_checks=True)
    await client.aforce_login(alice)

    response = await client.post("/async", {}, content_type="application/json")

    assert response.status_code == PermissionDenied.status_code


# --- Last use ----------------------------------------------------------------------------------


def test_the_first_use_is_noted(client, live_key):
    before = timezone.now()

    client.get("/sync", headers=bearer(live_key.secret))

    assert before <= ApiKey.objects.get().last_used_at <= timezone.now()


@pytest.mark.parametrize(("seconds_ago", "noted"), [(50, False), (70, True)])
def test_a_use_is_noted_at_most_once_a_minute(client, live_key, seconds_ago, noted):
    earlier = timezone.now() - timedelta(seconds=seconds_ago)
    ApiKey.objects.update(last_used_at=earlier)

    client.get("/sync", headers=bearer(live_key.secret))

    assert (ApiKey.objects.get().last_used_at != earlier) is noted


def test_a_noted_use_costs_nothing_for_a_minute(client, live_key, django_assert_num_queries):
    client.get("/sync", headers=bearer(live_key.secret))

    with django_assert_num_queries(1):
        client.get("/sync", headers=bearer(live_key.secret))


def test_a_noted_async_use_is_not_written_again_for_a_minute(client, live_key):
    client.get("/sync", headers=bearer(live_key.secret))
    noted = ApiKey.objects.get().last_used_at

    client.get("/async", headers=bearer(live_key.secret))

    assert ApiKey.objects.get().last_used_at == noted


def test_a_refused_key_is_not_noted_as_used(client, revoked_key):
    client.get("/sync", headers=bearer(revoked_key.secret))

    assert ApiKey.objects.get().last_used_at is None


async def test_an_async_use_is_noted_beside_the_request(shared_db, live_key):
    caller = await aauthenticate_key(live_key.secret)
    assert caller.key.last_used_at is None

    for _ in range(500):
        if await ApiKey.objects.live().filter(last_used_at__isnull=False).aexists():
            return
        await asyncio.sleep(0.01)
    pytest.fail("The use was never noted.")


async def test_many_uses_at_once_all_get_in(shared_db, live_key):
    callers = await asyncio.gather(*(aauthenticate_key(live_key.secret) for _ in range(50)))

    assert {caller.key for caller in callers} == {live_key.row}


def test_two_keys_of_one_owner_are_both_valid(client, alice, live_key):
    second = issue_key(user=alice, name="second", expires_at=None)

    answers = [client.get("/sync", headers=bearer(key.secret)).json()["key"] for key in (live_key, second)]

    assert answers == [live_key.row.pk, second.row.pk]
