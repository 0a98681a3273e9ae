"""The least that receiving and forwarding costs with Flask and requests: benchmarks/segment.py
starts it.

    python benchmarks/least.py PORT ENGINE_PORT

No server, no mapping files, no checks, nothing kept: a view that reads a call and sends it on,
through the cheapest door that requests has.
"""

import json
import sys

from candidates import serve_barely
from flask import Flask, request
from requests import Request
from requests.adapters import HTTPAdapter


def main() -> None:
    port, engine = map(int, sys.argv[1:])
    app = Flask(__name__)
    adapter = HTTPAdapter(pool_maxsize=100)
    url = f"http://127.0.0.1:{engine}/events/invoke"
    headers = {"Content-Type": "application/json"}

    @app.post("/webhooks/segment")
    def forward() -> dict[str, str]:
        call = json.loads(request.get_data())
        payload = {
            "event_name": call["event"],
            "source_id": call["userId"],
            "metadata": call["properties"],
        }
        body = json.dumps(payload)
        prepared = Request("POST", url, headers, data=body, auth=("key", "secret")).prepare()
        adapter.send(prepared, timeout=(5, 10)).raise_for_status()
        return {}

    print("receiving", file=sys.stderr, flush=True)
    serve_barely(app, port)


if __name__ == "__main__":
    main()
