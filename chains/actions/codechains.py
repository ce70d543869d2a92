"""Code chains: imports their modules at start-up, and creates a ``Chain`` row for each."""

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
    """Create the ``Chain`` rows of registered runnables that have none.

    Raises ImproperlyConfigured where a configured chain has the same name.
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
    """Create the ``Chain`` row of a registered runnable; an existing row keeps an operator's changes."""
    Chain.objects.get_or_create(
        slug=entry.slug,
        defaults={
            "kind": Chain.Kind.CODE,
            "description": entry.description,
            "expose_steps": entry.expose_steps,
        },
    )
