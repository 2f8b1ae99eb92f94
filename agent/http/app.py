"""The application: routes, the checks before them, JSON errors around them."""

from quart import g, request
from quart_trio import QuartTrio

from agent.http.api import RecorderAPI
from agent.http.body import read_body
from agent.http.guard import check_request
from agent.http.responses import register_error_handlers
from agent.http.routes import Routes
from agent.http.settings import HttpSettings


def create_app(recorder: RecorderAPI, settings: HttpSettings) -> QuartTrio:
    """An application over ``recorder``. It holds no state of its own beyond a rendered page."""
    app = QuartTrio("agent.http", static_folder=None, template_folder=None)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    # body.py bounds the body itself, so that it can drain one that is too long.
    app.config["MAX_CONTENT_LENGTH"] = None
    # The server bounds each write instead; this one would cut a long page off in the middle.
    app.config["RESPONSE_TIMEOUT"] = None
    # Else //status is answered with an HTML redirect.
    app.url_map.merge_slashes = False

    @app.before_request
    async def admit() -> None:
        g.body = await read_body(request, settings)
        check_request(request.method, request.headers, settings.allowed_hosts)

    register_error_handlers(app)
    Routes(recorder).add_to(app)
    return app
