"""Serves the review page until it is stopped."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Final

from jobs.runtime.errors import BackpromptError

try:
    import uvicorn
    from fastapi import FastAPI
    from nicegui import ui
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from jobs.review.page import Site, add_pages
except ImportError as error:
    raise BackpromptError(
        f"The review page needs the extra 'review' ({error}): pip install 'backprompt[review]'"
    ) from error

_LOCAL: Final = ("127.0.0.1", "localhost", "::1", "[::1]")
_RECONNECT_SECONDS: Final = 30.0


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        BackpromptError: if the port is in use, or there is no such address here.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        found = socket.socket(family, socket.SOCK_STREAM)
        # A page that was just stopped may start again at once.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen()
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BackpromptError(
            f"The page cannot be served at {host}, port {port}: {reason}. Choose another with --host and --port."
        ) from error
    return found


def address(host: str, listener: socket.socket) -> str:
    """Return the page's address for a person."""
    port = listener.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/"


def make_server(site: Site, host: str) -> uvicorn.Server:
    """Return the server of the pages, not yet running; one a process, as NiceGUI has one app a process."""
    app = FastAPI(openapi_url=None)
    if is_loopback(host):
        # Else a page anywhere could reach this one through a name that it points here.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*_LOCAL, host])
    add_pages(site)
    ui.run_with(
        app,
        title=site.texts.guideline.title,
        dark=None,
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=_RECONNECT_SECONDS,
    )
    # Browsers keep a connection open, and would keep a server that waits for them to end.
    return uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1))


def serve(site: Site, host: str, listener: socket.socket, is_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, then save what waits.

    Raises:
        BackpromptError: if that cannot be saved.
    """
    try:
        server = make_server(site, host)
        is_ready()
        server.run(sockets=[listener])
    finally:
        site.store.close()


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
