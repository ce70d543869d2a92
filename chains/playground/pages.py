"""The data of a chain's pages: its plan, its forms, and the configuration of the pages' scripts."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import Http404, HttpRequest
from django.urls import get_script_prefix, reverse
from django.utils.http import urlencode

from chains.actions.find import Found, resolve
from chains.actions.wording import STATUS_TEXTS
from chains.models import Run
from chains.playground.forms import ConfigForm, InputForm
from chains.playground.opinions import feedback_path
from chains.playground.rows import RunRow, run_row
from chains.runtime.errors import ChainNotFound, FieldError
from chains.runtime.names import split_ref
from chains.runtime.plans.base import Plan
from chains.runtime.wire.chat import ChatForm, chat_form
from chains.runtime.wire.config import CONFIGURABLE

HISTORY_LENGTH = 10
# A placeholder in an address; the page's script replaces it with a run's id.
NO_RUN = UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class ChainPage:
    ref: str
    found: Found
    plan: Plan
    input: InputForm
    config: ConfigForm
    chat: ChatForm | None

    @property
    def run_config(self) -> dict[str, Any] | None:
        """The ``config`` of a run that the form starts."""
        chosen = self.config.chosen()
        return {CONFIGURABLE: chosen} if chosen else None

    def is_valid(self) -> bool:
        # A list, so that both forms are validated and all errors are shown at once.
        return all([self.input.is_valid(), self.config.is_valid()])

    def add_faults(self, faults: list[FieldError]) -> None:
        """Add each error to its form. The location of a config error begins with ``configurable``."""
        for fault in faults:
            first, *rest = fault["loc"] or [""]
            if first == CONFIGURABLE and self.config.fields and CONFIGURABLE not in self.input.fields:
                self.config.add_faults([{**fault, "loc": rest}])
            else:
                self.input.add_faults([fault])

    def faults_of_no_field(self) -> list[str]:
        return [*self.input.non_field_errors(), *self.config.non_field_errors()]


def chain_page(request: HttpRequest, ref: str) -> ChainPage:
    """Return the chain's page. Its forms contain the posted data, or else the earlier run in the address.

    Raises Http404 if the user may not run the chain, and InvalidSpec if the chain cannot run.
    """
    slug, label = split_ref(ref)
    try:
        found, plan = resolve(slug=slug, ref=label, user=request.user, switch="playground")
    except ChainNotFound as error:
        raise Http404 from error
    data = request.POST if request.method == "POST" else None
    earlier = earlier_run(request)
    input_schema, system = plan.input_schema, plan.system_messages
    chosen = earlier.config.get(CONFIGURABLE) if earlier else None
    config_schema = plan.config_schema if CONFIGURABLE in found.config_keys else {}
    return ChainPage(
        ref=ref,
        found=found,
        plan=plan,
        input=InputForm(
            input_schema, value=earlier.input if earlier else None, data=data, system_messages=system
        ),
        config=ConfigForm(config_schema, value=chosen, data=data),
        chat=chat_form(input_schema),
    )


async_chain_page = sync_to_async(chain_page)


def earlier_run(request: HttpRequest) -> Run | None:
    """Return the run in the address's ``from`` parameter, whose input is used again, or None."""
    try:
        run_id = UUID(request.GET.get("from", ""))
    except ValueError:
        return None
    return Run.objects.visible_to(request.user).filter(pk=run_id).first()


def last_runs(request: HttpRequest, ref: str) -> list[RunRow]:
    slug, _ = split_ref(ref)
    runs = Run.objects.visible_to(request.user).filter(chain_slug=slug).order_by("-created_at")
    return [run_row(run, ref=ref) for run in runs[:HISTORY_LENGTH]]


def script_config(page: ChainPage, *, here: str) -> dict[str, Any]:
    return {
        "chain_path": f"{get_script_prefix()}chains/{page.ref}",
        "socket_path": f"{get_script_prefix()}ws/chains/{page.ref}/",
        "run_path": reverse("run_detail", args=[NO_RUN]),
        "run_path_id": str(NO_RUN),
        "sign_in_path": f"{reverse(settings.LOGIN_URL)}?{urlencode({'next': here})}",
        "feedback_path": feedback_path(page.found.chain),
        "max_frame_bytes": settings.WEBSOCKET_MAX_FRAME_BYTES,
        "status_texts": dict(STATUS_TEXTS),
        "config_choices": page.config.typed_choices(),
        "config_defaults": page.config.defaults(),
    }
