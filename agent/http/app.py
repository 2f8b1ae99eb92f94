"""The Quart application: routes, the checks before them, and errors as JSON."""

from collections.abc import Callable

from quart import g, request
from quart.wrappers.base import BaseRequestWebsocket
from quart_trio import QuartTrio
from werkzeug.routing import MapAdapter

from agent.http.api import RecorderAPI, RunsAPI
from agent.http.body import read_body
from agent.http.guard import check_request
from agent.http.peers import peer
from agent.http.responses import register_error_handlers
from agent.http.routes import Routes
from agent.http.settings import HttpSettings


class App(QuartTrio):
    """Quart, with routes that do not depend on the request's ``Host``.

    Quart binds them to it before any of our checks and error handlers. That fails for a name that
    IDNA has no form for (``a..b``): with an empty 500, and a traceback in the log.
    """

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        if request is None:
            return super().create_url_adapter(None)
        return self.url_map.bind("localhost", path_info=request.path, default_method=request.method)


def create_app(
    recorder: RecorderAPI,
    settings: HttpSettings,
    runs: RunsAPI | None = None,
    is_ending: Callable[[], bool] = lambda: False,
) -> QuartTrio:
    """Create the application for ``recorder``. Its only state is a cache of rendered pages.

    ``runs``: those that are kept for longer than the process; None if there are none.
    ``is_ending``: whether the agent has been asked to end.
    """
    app = App("agent.http", static_folder=None, template_folder=None)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    # body.py enforces the limit instead, so that it can drain a body that is too large.
    app.config["MAX_CONTENT_LENGTH"] = None
    # The server limits each write instead; this timeout would truncate a long page.
    app.config["RESPONSE_TIMEOUT"] = None
    # Otherwise //status would be answered with an HTML redirect.
    app.url_map.merge_slashes = False

    @app.before_request
    async def admit() -> None:
        g.body = await read_body(request, settings)
        if peer() is not None:
            check_request(request.method, request.headers, None)
            return
        check_request(request.method, request.headers, settings.allowed_hosts)
        if request.path not in open_to_all:
            settings.access.check(request.method, request.headers.get("Authorization"))

    register_error_handlers(app)
    routes = Routes(recorder, settings, runs, is_ending)
    open_to_all = {route.path for route in routes.declared if route.is_open}
    routes.add_to(app)
    return app
