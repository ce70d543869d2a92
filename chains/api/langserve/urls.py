"""LangServe's URLs under /chains/."""

from django.urls import path

from chains.api.langserve import feedback, runs, schemas
from chains.doors import DOORS, paths_of

SCHEMAS = {
    "input_schema": schemas.InputSchemaView,
    "output_schema": schemas.OutputSchemaView,
    "config_schema": schemas.ConfigSchemaView,
}

urlpatterns = [
    *(
        path(route, runs.view_of(door))
        for door in DOORS.values()
        if door.dialect == "langserve"
        for route in paths_of(door.name)
    ),
    *(path(route, view.as_view()) for name, view in SCHEMAS.items() for route in paths_of(name)),
    path("chains/<ref:ref>/feedback", feedback.FeedbackView.as_view(), name="feedback"),
]
