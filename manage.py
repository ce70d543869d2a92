#!/usr/bin/env python
"""Django's command line for ChainHub."""

import asyncio
import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chainhub.settings")
    if sys.argv[1:2] in (["serve"], ["quickstart"]):
        # Before Django loads daphne, which makes the loop that the server runs on.
        try:
            import uvloop
        except ImportError:
            pass
        else:
            asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    execute_from_command_line(sys.argv)
