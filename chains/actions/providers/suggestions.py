"""The names of models from which people choose."""

from asgiref.sync import async_to_sync

from chains.models import Provider
from chains.runtime import errors
from chains.runtime.providers import load_kinds
from chains.runtime.providers.listing import MAX_MODELS, models_of
from concurrency.database import borrowed_connection
from concurrency.kept import MODELS_KEPT_S, Kept

SUGGEST_S = 5.0

_listed: Kept[list[str]] = Kept(keep_s=MODELS_KEPT_S, most=256)


def suggested_models(provider: Provider) -> list[str]:
    """The names of models to choose from: those with a price, and those that the provider lists.

    The list is kept for a minute. A provider that does not tell it has an empty one.
    """
    with borrowed_connection():
        priced = list(provider.prices.values_list("model", flat=True).distinct())
    try:
        load_kinds([provider.kind])
    except errors.InvalidSpec:
        # Its kind is not installed, or not registered any more.
        return sorted(priced)
    # A provider that was changed meanwhile is asked again.
    listed = async_to_sync(_listed.get)((provider.pk, provider.updated_at), lambda: _list(provider))
    return list(dict.fromkeys([*sorted(priced), *listed]))[:MAX_MODELS]


async def _list(provider: Provider) -> list[str]:
    try:
        return await models_of(provider.to_config(), within_s=SUGGEST_S) or []
    except errors.ProviderError:
        return []
