"""URLs of the pages for people."""

from django.urls import path, re_path

from chains.playground import runs, views

# A slug, and a label or number behind an "@": nothing else reaches the database.
REF = r"(?P<ref>[-A-Za-z0-9_]{1,64}(?:@[-A-Za-z0-9_.]{1,64})?)"

urlpatterns = [
    path("", views.home, name="home"),
    re_path(rf"^chains/{REF}/playground/\Z", views.playground, name="playground"),
    re_path(rf"^chains/{REF}/playground/chat/\Z", views.chat, name="chat"),
    re_path(rf"^chains/{REF}/playground/run/\Z", views.run, name="playground_run"),
    re_path(rf"^chains/{REF}/playground/runs/\Z", views.history, name="playground_history"),
    path("runs/<uuid:run_id>/", runs.run_detail, name="run_detail"),
]
