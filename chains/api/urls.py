"""The API's URLs."""

urlpatterns = []
