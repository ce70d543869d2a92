"""The resource ``chains`` of the API."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers

from chains.api.base import IgnoreAccept
from chains.api.pagination import BySlug
from chains.models import Chain


class ChainSerializer(serializers.ModelSerializer):
    class Meta:
        model = Chain
        fields = ["slug", "name", "description", "created_at"]


class VisibleChains(generics.GenericAPIView):
    """Only chains that the caller may run."""

    serializer_class = ChainSerializer
    content_negotiation_class = IgnoreAccept

    def get_queryset(self) -> Any:
        return Chain.objects.visible_to(self.request.user).enabled()


@extend_schema(summary="List the chains one may run", tags=["chains"])
class ChainListView(VisibleChains, generics.ListAPIView):
    pagination_class = BySlug


@extend_schema(summary="A chain one may run", tags=["chains"])
class ChainDetailView(VisibleChains, generics.RetrieveAPIView):
    lookup_field = "slug"
