"""URLs under /account/."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from accounts import views

urlpatterns = [
    path("", views.account, name="account"),
    path(
        "sign-in/",
        LoginView.as_view(template_name="accounts/sign_in.html", redirect_authenticated_user=True),
        name="sign_in",
    ),
    path("sign-out/", LogoutView.as_view(), name="sign_out"),
    # The slug converter keeps unusual characters, which some databases refuse, out of the query.
    path("keys/<slug:key_id>/revoke/", views.revoke_key, name="revoke_key"),
]
