"""Chains in code: their modules are found at start-up, and each has a row like any other chain."""

from importlib import import_module

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import module_has_submodule

from chains.models import Chain
from chains.runtime.registry import Registered, all_registered

MODULE = "runnables"


def discover() -> None:
    """Import ``runnables`` of every installed app, and the modules in ``CHAINHUB_RUNNABLES``.

    Raises ImproperlyConfigured naming the module that cannot be imported, and why.
    """
    own = [
        f"{app.name}.{MODULE}" for app in apps.get_app_configs() if module_has_submodule(app.module, MODULE)
    ]
    for name in [*own, *settings.RUNNABLES]:
        try:
            import_module(name)
        except Exception as error:
            raise ImproperlyConfigured(
                f"The chains in the module {name!r} cannot be loaded: {type(error).__name__}: {error}"
            ) from error


def record_registered() -> None:
    """See that every registered runnable has its row.

    Raises ImproperlyConfigured where a configured chain has the name already.
    """
    kinds = dict(Chain.objects.values_list("slug", "kind"))
    for entry in all_registered():
        if kinds.get(entry.slug) == Chain.Kind.SPEC:
            raise ImproperlyConfigured(
                f"The module {entry.module!r} registers the chain {entry.slug!r}, but a chain of that name "
                "is configured in the admin. Rename one of them."
            )
        if entry.slug not in kinds:
            record(entry)


def record(entry: Registered) -> None:
    """The row of a registered runnable, unless there is one: what an operator has set in it stays."""
    Chain.objects.get_or_create(
        slug=entry.slug,
        defaults={
            "kind": Chain.Kind.CODE,
            "description": entry.description,
            "expose_steps": entry.expose_steps,
        },
    )
