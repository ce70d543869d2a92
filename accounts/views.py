"""The pages of a user's own account."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import get_script_prefix
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import NewKeyForm
from accounts.keys import expiry_in, issue_key
from accounts.models import ApiKey, User


def signed_in(request: HttpRequest) -> User:
    """Return the user of a view with ``login_required``; the assertion is for the type checker."""
    assert isinstance(request.user, User)
    return request.user


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """List the user's keys. A POST creates a key and shows it in its response; the key is stored nowhere."""
    user, issued = signed_in(request), None
    form = NewKeyForm(request.POST or None)
    if form.is_valid():
        issued = issue_key(
            user=user,
            name=form.cleaned_data["name"],
            expires_at=expiry_in(form.cleaned_data["days"]),
        )
        form = NewKeyForm()
    context = {
        "form": form,
        "issued": issued,
        "keys": ApiKey.objects.of(user),
        "invoke_url": request.build_absolute_uri(f"{get_script_prefix()}chains/CHAIN/invoke"),
    }
    return render(request, "accounts/account.html", context)


@login_required
@require_POST
def revoke_key(request: HttpRequest, key_id: str) -> HttpResponse:
    get_object_or_404(ApiKey.objects.of(signed_in(request)), pk=key_id).revoke()
    return redirect("account")
