"""The OpenAPI document names every way to authenticate."""

import pytest
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView


class WhoAmI(APIView):
    @extend_schema(responses={200: str})
    def get(self, request):
        return Response("")


urlpatterns = [path("who", WhoAmI.as_view())]


@pytest.fixture
def document(db):
    # With the database: the project adds its chains to every document.
    return SchemaGenerator(patterns=urlpatterns).get_schema(request=None, public=True)


def test_either_header_or_the_session_will_do(document):
    assert document["paths"]["/who"]["get"]["security"] == [
        {"bearer": []},
        {"apiKey": []},
        {"session": []},
    ]


def test_each_way_says_where_its_credential_goes(document):
    schemes = document["components"]["securitySchemes"]

    assert schemes["bearer"]["scheme"] == "bearer"
    assert (schemes["apiKey"]["in"], schemes["apiKey"]["name"]) == ("header", "X-API-Key")
    assert (schemes["session"]["in"], schemes["session"]["name"]) == ("cookie", "sessionid")
