"""For migrations that come with a new door or another new switch."""

from typing import Any

from django.db import migrations


class CloseSwitch(migrations.RunPython):
    """Switch something new off on the chains that exist: their operators have not decided about it yet.

    Chains that are made afterwards have it on.
    """

    def __init__(self, switch: str):
        self.switch = switch
        super().__init__(self._close, self._forget)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.switch], {}

    def _close(self, apps: Any, schema_editor: Any) -> None:
        for chain in apps.get_model("chains", "Chain").objects.all():
            chain.disabled_endpoints = [*chain.disabled_endpoints, self.switch]
            chain.save(update_fields=["disabled_endpoints"])

    def _forget(self, apps: Any, schema_editor: Any) -> None:
        for chain in apps.get_model("chains", "Chain").objects.all():
            chain.disabled_endpoints = [name for name in chain.disabled_endpoints if name != self.switch]
            chain.save(update_fields=["disabled_endpoints"])
