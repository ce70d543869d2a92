"""The runnables as LangServe serves them: ``python -m tests.compat.langserve_app PORT``."""

import sys

import uvicorn
from fastapi import FastAPI
from langserve import add_routes

from tests.compat.runnables import RUNNABLES


def main(port: int) -> None:
    app = FastAPI()
    for name, runnable in RUNNABLES.items():
        add_routes(app, runnable, path=f"/{name}")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    main(int(sys.argv[1]))
