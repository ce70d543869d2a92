"""The HTTP clients of the SDKs, shared by all models that reach their provider in the same way."""

import openai

from chains.runtime.providers.openai_wire import tls
from chains.runtime.providers.reach import ProviderConfig
from concurrency.loops import per_loop

Client = openai.DefaultAsyncHttpxClient


class _Clients(dict[tuple[str, str, float], Client]):
    """The clients of one event loop, by proxy, certificates and time to connect."""

    def __missing__(self, key: tuple[str, str, float]) -> Client:
        proxy, ca_bundle, connect_s = key
        self[key] = client = Client(
            # No settings from the environment: a request sends only what its provider's record says.
            trust_env=False,
            verify=tls(ca_bundle),
            proxy=proxy or None,
            # providers.calls limits the wait for each piece.
            timeout=openai.Timeout(None, connect=connect_s),
            follow_redirects=False,
        )
        return client


_clients = per_loop(_Clients)


def client_for(provider: ProviderConfig) -> Client:
    """The client of this event loop for a provider's proxy, certificates and time to connect."""
    return _clients()[provider.proxy, provider.ca_bundle, provider.connect_s]
