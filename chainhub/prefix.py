"""The path under which a proxy mounts this server (``PATH_PREFIX``), in the addresses of requests."""

from typing import Any

from django.conf import settings


def mounted(application: Any) -> Any:
    """Wrap ``application``: each path that it gets begins with the prefix, which is also the ``root_path``.

    Some proxies remove the prefix before they pass a request on, and others do not. A request that a monitor
    sends without a proxy has none either. The ``root_path`` of the server below is replaced in every case,
    because daphne takes it from a header that any client can send.
    """
    prefix = settings.PATH_PREFIX

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if prefix or scope.get("root_path"):
            scope = {**scope, "root_path": prefix, **_under(prefix, scope)}
        await application(scope, receive, send)

    return answer


def _under(prefix: str, scope: Any) -> dict[str, Any]:
    """Return the scope's ``path`` and, if it has one, its ``raw_path``, both under the prefix."""
    path, raw_path = scope["path"], scope.get("raw_path")
    if path == prefix:
        # Django has no address for an empty path.
        path, raw_path = f"{path}/", raw_path and raw_path + b"/"
    elif not path.startswith(f"{prefix}/"):
        path, raw_path = prefix + path, raw_path and prefix.encode() + raw_path
    return {"path": path} | ({} if raw_path is None else {"raw_path": raw_path})


def path_in(scope: Any) -> str:
    """Return the path of a mounted request without the prefix."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))
