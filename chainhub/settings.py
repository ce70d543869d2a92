"""All settings; every environment variable is read here and listed in .env.example."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from corsheaders.defaults import default_headers
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

from chains.doors import FOR_PROGRAMS

BASE_DIR = Path(__file__).resolve().parent.parent

VERSION = "0.1.0"

env = environ.Env()
env.read_env(env.str("ENV_FILE", str(BASE_DIR / ".env")))

DEBUG = env.bool("DEBUG", False)
# The directory of the SQLite database and, with DEBUG, of the generated secrets.
VAR_DIR = Path(env.str("VAR_DIR", str(BASE_DIR / "var")))

# With these variables set, LangChain sends prompts and answers to a third party. A variable that somebody
# left in the environment must not do that.
os.environ["LANGSMITH_TRACING"] = os.environ["LANGCHAIN_TRACING_V2"] = "false"
# The OpenAI SDK would send these to every provider.
for _name in ("OPENAI_ORG_ID", "OPENAI_ORGANIZATION", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
    os.environ.pop(_name, None)


def secret(name: str) -> str:
    """Return the environment variable as it is. ``env`` takes a value that begins with "$" as a reference."""
    return os.environ.get(name, "")


def generated_secret(name: str, generate: Any) -> str:
    """Return the environment variable or, with DEBUG only, a secret generated once and stored in VAR_DIR."""
    if value := secret(name):
        return value
    if not DEBUG:
        raise ImproperlyConfigured(f"Set {name}. Only with DEBUG=on is one generated into var/.")
    path = VAR_DIR / name.lower()
    if not path.exists():
        VAR_DIR.mkdir(exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(generate())
    return path.read_text()


# --- Secrets -----------------------------------------------------------------------------------

SECRET_KEY = generated_secret("SECRET_KEY", get_random_secret_key)
# The first key encrypts stored provider credentials; every key can decrypt. To rotate, prepend a new key.
FIELD_KEYS = [
    key.strip() for key in generated_secret("FIELD_KEYS", lambda: Fernet.generate_key().decode()).split(",")
]
for _key in FIELD_KEYS:
    try:
        Fernet(_key)
    except ValueError as error:
        raise ImproperlyConfigured(
            "FIELD_KEYS must be a comma-separated list of Fernet keys (44 url-safe base64 characters)."
        ) from error

# --- Address, allowed hosts and origins --------------------------------------------------------

PORT = env.int("PORT", 8000)
HOST = env.str("HOST", "127.0.0.1")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
if "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS must name hosts; '*' would let anyone forge one.")
# Full origins (scheme, host, port) whose pages may call the API with a key, open the WebSocket or post
# forms with a session.
ALLOWED_ORIGINS = env.list(
    "ALLOWED_ORIGINS", default=[f"http://{host}:{PORT}" for host in ("localhost", "127.0.0.1")]
)
for _origin in ALLOWED_ORIGINS:
    _parts = urlsplit(_origin)
    if _parts.scheme not in ("http", "https") or not _parts.netloc or _parts.path:
        raise ImproperlyConfigured(f"ALLOWED_ORIGINS: {_origin!r} is not like https://example.com")
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS
CORS_ALLOWED_ORIGINS = ALLOWED_ORIGINS
CORS_URLS_REGEX = f"^/{FOR_PROGRAMS}"
CORS_ALLOW_HEADERS = [*default_headers, "x-api-key", "x-request-id", "cache-control"]
CORS_EXPOSE_HEADERS = [
    "retry-after",
    "x-chainhub-cost",
    "x-chainhub-prompts",
    "x-chainhub-run-id",
    "x-chainhub-version",
    "x-request-id",
]
ADMIN_PATH = env.str("ADMIN_PATH", "admin").strip("/")
# The path under which a proxy mounts this server, such as "/hub"; "" at the root of its host. Django writes
# it before every address that it makes. ``chainhub.prefix`` reads it in requests.
PATH_PREFIX = "/".join(["", *filter(None, env.str("PATH_PREFIX", "").split("/"))])
if not re.fullmatch(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", PATH_PREFIX):
    raise ImproperlyConfigured(f"PATH_PREFIX: {PATH_PREFIX!r} is not a path like /hub or /tools/hub.")
# A proxy may remove the prefix, so an address that begins with it must not also be one of ours without it.
FIRST_PARTS = {"account", "api", "chains", "docs", "healthz", "metrics", "openapi.json", "readyz", "runs"}
FIRST_PARTS |= {"static", "ws", ADMIN_PATH.split("/")[0]}
if PATH_PREFIX and PATH_PREFIX.split("/")[1] in FIRST_PARTS:
    raise ImproperlyConfigured(
        f"PATH_PREFIX: {PATH_PREFIX!r} begins as an address of ChainHub's own. Choose another path."
    )
FORCE_SCRIPT_NAME = PATH_PREFIX or None

# --- The server (manage.py serve) --------------------------------------------------------------

# A request's headers and body have to arrive within the first two limits. A client that reads nothing for
# STALL_SECONDS while data waits for it is disconnected.
HEADER_SECONDS = env.float("HEADER_SECONDS", 15)
BODY_SECONDS = env.float("BODY_SECONDS", 30)
STALL_SECONDS = env.float("STALL_SECONDS", 30)
# An unused connection is closed after this time. Load balancers keep one for a minute, so this is longer.
IDLE_SECONDS = env.float("IDLE_SECONDS", 75)
# For each process.
MAX_CONNECTIONS = env.int("MAX_CONNECTIONS", 1000)
MAX_CONNECTIONS_PER_ADDRESS = env.int("MAX_CONNECTIONS_PER_ADDRESS", 100)
# Peers that bring the connections of many clients.
TRUSTED_PROXIES = []
for _network in env.list(
    "TRUSTED_PROXIES",
    default=[
        "127.0.0.0/8",
        "::1",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "fc00::/7",
    ],
):
    try:
        TRUSTED_PROXIES.append(ip_network(_network.strip()))
    except ValueError as error:
        raise ImproperlyConfigured(f"TRUSTED_PROXIES: {error}. Write addresses or networks.") from error
WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", 1)
if WEB_CONCURRENCY < 1:
    raise ImproperlyConfigured("WEB_CONCURRENCY is the number of serving processes: 1 or more.")
# On SIGTERM, requests and runs may finish within this time. Hosts kill the process after 30 seconds, and
# the end of the interrupted runs takes a few seconds more.
DRAIN_SECONDS = env.float("DRAIN_SECONDS", 25)

# --- Application -------------------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic",
    "django.contrib.staticfiles",
    "channels",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts",
    "chains",
    "chainhub",
]
# Every middleware here supports async. A synchronous one would move each run into a thread, where a client
# that disconnects cannot cancel it.
MIDDLEWARE = [
    "chainhub.middleware.RequestContext",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "chainhub.urls"
ASGI_APPLICATION = "chainhub.asgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
# Django finds our form widgets in templates/ like other templates.
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
INSTALLED_APPS.append("django.forms")

# --- Data --------------------------------------------------------------------------------------

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'chainhub.sqlite3'}")
}
_database = DATABASES["default"]
# For each process: the number of database connections, and of the threads in which runs use them.
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", 8)
if _database["ENGINE"].endswith("sqlite3"):
    VAR_DIR.mkdir(exist_ok=True)
    # Without these three options, concurrent writers fail with "database is locked".
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": ("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"),
    }
else:
    # Under ASGI, Django's persistent connections outlive the thread that opened them. The pool replaces them.
    _database["CONN_MAX_AGE"] = 0
    _database["CONN_HEALTH_CHECKS"] = True
    _database["OPTIONS"] = {
        "pool": {"min_size": 2, "max_size": DATABASE_POOL_SIZE, "timeout": 5},
        "connect_timeout": 5,
        "options": "-c statement_timeout=10s -c idle_in_transaction_session_timeout=30s",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Only the channel layer uses REDIS_URL, and our code sends nothing over that layer yet: processes share
# their state in the database, and each process sends tokens directly to its own sockets. The layer is
# configured for messages between processes; the in-memory layer cannot reach another process.
REDIS_URL = env.str("REDIS_URL", "")
CHANNEL_LAYERS = {
    "default": (
        {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            # A consumer may wait for a message for any time. redis-py's default timeout is five seconds,
            # which is just when the layer itself sends its next request.
            "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 15}]},
        }
        if REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    )
}

# --- People ------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["accounts.hashers.PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "home"

# --- Browsers ----------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
# Under a prefix the names differ too: a browser also sends cookies of another Django at the root of the host.
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = PATH_PREFIX or "/"
SESSION_COOKIE_NAME = "sessionid" + PATH_PREFIX.replace("/", "_")
CSRF_COOKIE_NAME = "csrftoken" + PATH_PREFIX.replace("/", "_")
# Django's default keeps messages in a cookie of every path of the host.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SESSION_COOKIE_SAMESITE = "Lax"
# DEBUG is for plain HTTP on loopback. Every other installation is served behind TLS.
SECURE_COOKIES = env.bool("SECURE_COOKIES", not DEBUG)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", not DEBUG)
_prefix = re.escape(f"{PATH_PREFIX}/".lstrip("/"))
SECURE_REDIRECT_EXEMPT = [f"^{_prefix}healthz$", f"^{_prefix}readyz$"]
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", 0 if DEBUG else 31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not DEBUG
# Trust this header only if the operator confirms that a proxy in front sets it and removes the client's.
if env.bool("TRUST_X_FORWARDED_PROTO", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

STATIC_URL = f"{PATH_PREFIX}/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "servestatic.storage.CompressedManifestStaticFilesStorage"
        )
    },
}
SERVESTATIC_ALLOW_ALL_ORIGINS = False

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# --- API ---------------------------------------------------------------------------------------

MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", 1024 * 1024)
if MAX_BODY_BYTES < 1:
    raise ImproperlyConfigured("MAX_BODY_BYTES is a size in bytes: 1 or more.")
# The second limit: a body stays in memory, because the event loop would wait for a file on disk.
DATA_UPLOAD_MAX_MEMORY_SIZE = FILE_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
# The admin posts a prompt of a hundred messages and a hundred variables within this limit.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 3000
MAX_BATCH_INPUTS = 100
BATCH_CONCURRENCY = env.int("BATCH_CONCURRENCY", 8)
# A failed model call is retried after a random pause. This is the longest first pause; the limit doubles
# with each retry.
PROVIDER_BACKOFF_SECONDS = env.float("PROVIDER_BACKOFF_SECONDS", 1)
if PROVIDER_BACKOFF_SECONDS < 0:
    raise ImproperlyConfigured("PROVIDER_BACKOFF_SECONDS is a time in seconds: 0 or more.")
# Equal limits, so that each door accepts the same input, including a file from the playground's form.
WEBSOCKET_MAX_FRAME_BYTES = MAX_BODY_BYTES
SSE_PING_SECONDS = 15

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.auth.ApiKeyAuthentication",
        "accounts.auth.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.auth.IsCaller"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["chains.api.json.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "chains.api.errors.exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "ChainHub",
    "DESCRIPTION": "Run the chains that people manage in the admin.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    # The paths in the document have no prefix; this goes before each of them.
    "SERVERS": [{"url": PATH_PREFIX}] if PATH_PREFIX else [],
    "POSTPROCESSING_HOOKS": ["chains.api.schema.add_chain_paths"],
}

# Modules that register chains in code or kinds of provider, in addition to the module ``runnables`` of every
# installed app.
RUNNABLES = env.list("CHAINHUB_RUNNABLES", default=[])

# --- The demo ----------------------------------------------------------------------------------

OPENAI_API_KEY = secret("OPENAI_API_KEY")
OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", "")
OPENAI_MODEL = env.str("OPENAI_MODEL", "gpt-4.1-mini")

# --- Logs --------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "redact": {"()": "chainhub.logs.RedactSecrets"},
        "request_id": {"()": "chainhub.logs.AddRequestId"},
    },
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["redact", "request_id"],
            "formatter": "line",
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        # No handlers of its own: they would print everything twice. chains.actions.errors logs each
        # unexpected exception once, so Django need not log 4xx and 5xx responses as well.
        "django": {"handlers": []},
        "django.request": {"level": "CRITICAL"},
        # Scanners send arbitrary host names. The access log shows the 400.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # At the level DEBUG these log complete requests, including credentials.
        "openai": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "httpcore2": {"level": "WARNING"},
    },
}
