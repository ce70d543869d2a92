"""Registering chains in code."""

from importlib import metadata
from types import ModuleType

import pytest
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel
from langchain_core.runnables.base import RunnableBinding

from chains.runtime.registry import Registered, RegistrationError, all_registered, register, registered

pytestmark = pytest.mark.usefixtures("registry")

ECHO: Runnable = RunnableLambda(lambda value: value)


def entry(name: str = "echo", runnable: object = ECHO, **options: object) -> Registered:
    register(name, runnable, **options)  # type: ignore[arg-type]
    found = registered(name.strip("/"))
    assert found is not None
    return found


def refusal(*args: object, **options: object) -> str:
    before = all_registered()
    with pytest.raises(RegistrationError) as refused:
        register(*args, **options)  # type: ignore[arg-type]
    assert all_registered() == before
    return str(refused.value)


def test_a_runnable_is_found_by_its_name():
    found = entry()

    assert (found.slug, found.runnable) == ("echo", ECHO)


def test_what_nobody_registered_is_none():
    assert registered("echo") is None


@pytest.mark.parametrize("name", ["joke", "/joke", "/joke/", "joke/"])
def test_a_name_may_be_written_as_a_path(name):
    assert entry(name).slug == "joke"


@pytest.mark.parametrize(
    "name", ["", "/", "Joke", "a/b", "a b", "-a", "_a", "a" * 65, "joke@2", "jöke", "joke\n", "../x"]
)
def test_what_can_be_no_address_can_be_no_name(name):
    assert refusal(name, ECHO).startswith(f"{name!r} cannot name a chain")


def test_a_name_is_given_once():
    register("joke", ECHO)

    assert refusal("/joke", ECHO) == f"The chain 'joke' is registered already, by {__name__}."


@pytest.mark.parametrize("thing", [3, "text", None, [ECHO], object()])
def test_what_langchain_cannot_run_is_refused(thing):
    assert refusal("joke", thing).startswith("The chain 'joke' is no LangChain runnable: ")


@pytest.mark.parametrize("key", ["base_url", "api_key", "callbacks", "run_name", "run_id", "headers", ""])
def test_only_some_parts_of_a_config_can_be_allowed(key):
    said = refusal("joke", ECHO, config_keys=["configurable", key])

    assert said.endswith(f"not {key!r}.")


def test_per_request_is_something_to_call():
    assert refusal("joke", ECHO, per_request={}) == "The chain 'joke': per_request is not callable."


@pytest.mark.parametrize(
    ("thing", "becomes"), [(len, RunnableLambda), ({"a": ECHO, "b": len}, RunnableParallel)]
)
def test_functions_and_dicts_become_runnables(thing, becomes):
    assert isinstance(entry(runnable=thing).runnable, becomes)


def test_types_that_cannot_be_inferred_may_be_given():
    built = entry(runnable=lambda value: value, input_type=int, output_type=str).runnable

    assert isinstance(built, RunnableBinding)
    assert (built.InputType, built.OutputType) == (int, str)


def test_without_options_callers_may_configure_and_see_no_steps():
    found = entry()

    assert (found.config_keys, found.expose_steps, found.per_request) == (("configurable",), False, None)
    assert (found.timeout_s, found.description) == (300, "")


def test_all_are_listed_by_name():
    for name in ("b", "c", "a"):
        register(name, ECHO)

    assert [found.slug for found in all_registered()] == ["a", "b", "c"]


# --- Where the code comes from -----------------------------------------------------------------


def registered_by(module: str) -> Registered:
    """As if the module's code had called ``register``."""
    names = {"__name__": module, "register": register, "ECHO": ECHO}
    exec("register('echo', ECHO)", names)
    found = registered("echo")
    assert found is not None
    return found


def test_the_module_that_registers_is_noted():
    assert entry().module == __name__


def test_code_of_an_installed_distribution_is_named_with_its_version():
    found = registered_by("langchain_core.somewhere")

    assert found.package == f"langchain-core {metadata.version('langchain-core')}"


@pytest.mark.parametrize(("version", "package"), [({"__version__": "1.2.0"}, "jokes 1.2.0"), ({}, "jokes")])
def test_other_code_is_named_by_its_package_and_what_that_says_of_itself(monkeypatch, version, package):
    module = ModuleType("jokes")
    vars(module).update(version)
    monkeypatch.setitem(__import__("sys").modules, "jokes", module)

    assert registered_by("jokes.runnables").package == package


def test_code_without_a_module_has_no_package():
    assert registered_by("").package == ""
