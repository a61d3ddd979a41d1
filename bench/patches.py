"""What one request costs through the library alone: JSON patches of a Pod, one after the other, nothing else.

`bare` starts it with an operator's environment (`python -m bench.patches`) and reads the seconds of CPU for each.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

from kubernetes.aio import client, config

from bench.bare import SESSION
from sandbox.kubeclient import NAMESPACE

WARMING, COUNTED = 50, 500
_PATH = f"/api/v1/namespaces/{NAMESPACE}/pods/opencode-session-{SESSION}/status"
_HEADERS = {"Accept": "application/json", "Content-Type": "application/json-patch+json"}


async def main() -> None:
    """Print the figure."""
    settings = client.Configuration()
    load: Callable[..., Awaitable[object]] = config.load_kube_config
    await load(client_configuration=settings, persist_config=False)
    # Left as it is, the library asks for a proxy and ~/.netrc in a thread before each request.
    settings.client_session_kwargs = {"trust_env": False}
    async with client.ApiClient(settings) as api:
        for number in range(WARMING + COUNTED):
            if number == WARMING:
                begun = time.process_time()
            body = [{"op": "add", "path": "/metadata/annotations/number", "value": str(number)}]
            reply = await api.call_api("PATCH", settings.host + _PATH, _HEADERS, body)
            json.loads(await reply.response.read())
            if reply.response.status != 200:
                sys.exit(f"{_PATH}: {reply.response.status}")
    print((time.process_time() - begun) / COUNTED)


if __name__ == "__main__":
    asyncio.run(main())
