"""Whether the process lives and whether it can serve."""

import threading

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

# Set once the process has been told to stop.
draining = threading.Event()


def alive(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "alive"})


def ready(request: HttpRequest) -> JsonResponse:
    """503 while the database does not answer, and once the process has been told to stop."""
    if draining.is_set():
        return JsonResponse({"status": "draining"}, status=503)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "no database"}, status=503)
    return JsonResponse({"status": "ready"})
