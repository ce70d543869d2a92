"""Kinds of provider that bring any chat model of LangChain's."""

import subprocess
import sys
from typing import Any

import httpx
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel

from chains.runtime import errors
from chains.runtime.providers import register_provider_kind
from chains.runtime.registry import RegistrationError
from tests.conftest import ROOT
from tests.runtime.helpers import BOTH, code, plan, run, step, target
from tests.runtime.providers.plain import PlainModel
from tests.upstream import anthropic

pytestmark = pytest.mark.usefixtures("kinds")


def by(name: str, **data: Any):
    return plan(step(target(kind=name, model="any", **data)))


@pytest.mark.parametrize("mode", ["whole", "stream", "events", "log"])
async def test_a_model_that_cannot_stream_answers_in_one_piece(mode):
    register_provider_kind("plain", label="Plain", module="tests.runtime.providers.plain")

    ran = await run(by("plain"), mode=mode)

    assert (ran.output, ran.finish_reason) == ("re: cats", "stop")
    assert ran.chunks == ([] if mode == "whole" else ["re: cats"])


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        (
            "openai",
            {"module": "mine"},
            "There is a kind of provider 'openai' already: OpenAI, or compatible.",
        ),
        ("My Kind", {"module": "mine"}, "cannot name a kind"),
        ("x" * 33, {"module": "mine"}, "at most 32"),
        ("mine", {}, "either a module"),
        ("mine", {"module": "mine", "build": PlainModel}, "either a module"),
    ],
)
def test_what_cannot_be_registered_is_refused(name, given, words):
    with pytest.raises(RegistrationError, match=words):
        register_provider_kind(name, label="Mine", **given)


async def test_parameters_are_those_that_the_kind_names():
    register_provider_kind("plain", label="Plain", module="tests.runtime.providers.plain", extra_params=["a"])

    await run(plan(step(target(kind="plain", model="any"), extra={"a": 1})))
    with pytest.raises(errors.InvalidSpec, match="known are: a"):
        await run(plan(step(target(kind="plain", model="any"), extra={"b": 1})))


async def test_an_endpoint_may_be_required():
    register_provider_kind(
        "plain", label="Plain", module="tests.runtime.providers.plain", needs_endpoint=True
    )

    with pytest.raises(errors.InvalidSpec, match="Plain: the provider 'main' needs an endpoint"):
        await run(by("plain"))
    assert (await run(by("plain", base_url="http://127.0.0.1:9"))).output == "re: cats"


# --- Failures ----------------------------------------------------------------------------------


class Failing(PlainModel):
    error: Any

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        raise self.error


class Carrying(Exception):
    """As the SDKs of many providers raise it."""

    def __init__(self, status_code: int, message: str = ""):
        super().__init__(message)
        self.status_code = status_code


REQUEST = httpx.Request("POST", "http://x")
LIMITED = httpx.Response(429, headers={"retry-after": "3600"}, request=REQUEST)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("No."), "provider_failed"),
        (TimeoutError(), "provider_timeout"),
        (ConnectionRefusedError(), "provider_unreachable"),
        (httpx.ConnectError("No."), "provider_unreachable"),
        (httpx.ReadError("No."), "provider_cut"),
        (httpx.HTTPStatusError("No.", request=REQUEST, response=LIMITED), "provider_rate_limited"),
        (Carrying(401), "provider_auth_failed"),
        (Carrying(400, "The prompt is too long."), "context_too_long"),
        (openai.APITimeoutError(REQUEST), "provider_timeout"),
    ],
)
async def test_exceptions_are_translated_where_the_kind_does_not(error, code):
    register_provider_kind("failing", label="Failing", build=lambda *_: Failing(error=error))

    with pytest.raises(errors.ProviderError) as caught:
        await run(by("failing"))

    assert caught.value.code == code


async def test_a_kinds_own_translation_counts():
    def build(*_: Any) -> BaseChatModel:
        return Failing(error=ValueError("No."))

    register_provider_kind(
        "failing", label="Failing", build=build, translate=lambda error: errors.ProviderRefused()
    )

    with pytest.raises(errors.ProviderRefused):
        await run(by("failing"))


@BOTH
async def test_an_exception_of_anthropics_sdk_is_translated_in_chains_in_code_too(
    upstream, registry, streaming
):
    upstream.script(anthropic.refuses(401))
    model = ChatAnthropic(model="claude-opus-5", base_url=upstream.url, api_key="none", max_retries=0)

    with pytest.raises(errors.ProviderAuthFailed):
        await run(code(model), "Hi", streaming=streaming)


# --- Packages ----------------------------------------------------------------------------------


async def test_a_missing_package_is_named_until_it_is_there(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "just_installed", raising=False)
    register_provider_kind(
        "late",
        label="Late",
        module="just_installed.kind",
        package="just_installed",
        install="pip install just-installed",
    )

    with pytest.raises(errors.InvalidSpec) as caught:
        await run(by("late"))
    (tmp_path / "just_installed").mkdir()
    (tmp_path / "just_installed/__init__.py").touch()
    (tmp_path / "just_installed/kind.py").write_text("from tests.runtime.providers.plain import build")
    ran = await run(by("late"))

    assert str(caught.value) == (
        "Late: the Python package 'just_installed' is not installed. "
        "Install it with: pip install just-installed"
    )
    assert ran.output == "re: cats"


def test_no_sdk_is_imported_before_it_is_used():
    asks = "import sys, chains.runtime.running.execution; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", asks], cwd=ROOT, capture_output=True, text=True, check=True)

    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert "langchain_core" in imported
    assert not imported & {"openai", "langchain_openai", "anthropic", "langchain_anthropic"}
