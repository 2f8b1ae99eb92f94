"""The HTTP application in-process: no socket, no Hypercorn."""

from typing import Any

from quart_trio.testing import TrioClient

LABELS = {
    "scenario": "baseline",
    "impl": "python",
    "variant": "numpy",
    "commit": "c",
    "dataset": "d",
}
REPORT = {"impl": "i", "variant": "v", "commit": "c", "dataset": "d"}
FIGURES = {"baseline_ms": 1500.0, "optimized_ms": 1200.0, "gain_pct": 20.0}
JSON = {"Content-Type": "application/json"}


async def ask(client: TrioClient, method: str, path: str, **kwargs: Any) -> tuple[int, Any]:
    response = await client.open(path, method=method, **kwargs)
    assert response.content_type == "application/json"
    return response.status_code, await response.get_json()
