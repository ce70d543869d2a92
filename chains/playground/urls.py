"""URLs of the pages for people."""

from django.urls import path

from chains.playground import runs, views

urlpatterns = [
    path("", views.home, name="home"),
    path("chains/<ref:ref>/playground/", views.playground, name="playground"),
    path("chains/<ref:ref>/playground/chat/", views.chat, name="chat"),
    path("chains/<ref:ref>/playground/run/", views.run, name="playground_run"),
    path("chains/<ref:ref>/playground/runs/", views.history, name="playground_history"),
    path("runs/<uuid:run_id>/", runs.run_detail, name="run_detail"),
]
