"""Lists the models of a provider."""

from chains.runtime import errors
from chains.runtime.providers import kind_of
from chains.runtime.providers.attempts import guarded
from chains.runtime.providers.failures import masked
from chains.runtime.providers.reach import ProviderConfig

MAX_MODELS = 500


async def models_of(provider: ProviderConfig, *, within_s: float) -> list[str] | None:
    """The names of the provider's models, MAX_MODELS at most; ``None`` where its kind cannot list them.

    Raises ProviderError, whose ``told`` has no secret.
    """
    kind = kind_of(provider.kind)
    listed = kind.load_models()
    if listed is None:
        return None
    try:
        names = await guarded(provider, listed(kind.reached(provider)), within_s)
    except errors.ProviderError as error:
        error.told = masked(error.told, *provider.secrets) if error.told else None
        raise
    return names[:MAX_MODELS]
