"""Health checks: whether the process is alive, and whether it is ready to serve."""

import threading

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

# Set as soon as the process begins to stop.
draining = threading.Event()


def alive(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "alive"})


def ready(request: HttpRequest) -> JsonResponse:
    """Return 503 while the database does not respond, and as soon as the process begins to stop."""
    if draining.is_set():
        return JsonResponse({"status": "draining"}, status=503)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "no database"}, status=503)
    return JsonResponse({"status": "ready"})
