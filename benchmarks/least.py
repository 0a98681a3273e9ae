"""The least that receiving and forwarding costs with Flask and requests: benchmarks/segment.py
starts it.

    python benchmarks/least.py PORT ENGINE_PORT

No server, no mapping files, no checks, nothing kept: a view that reads a call and sends it on, the
cheapest way that we know to send with requests.
"""

import json
import sys

from candidates import serve_barely
from flask import Flask, request

from destination.model.request import Request
from destination.outbound.client import Client


def main() -> None:
    port, engine = map(int, sys.argv[1:])
    app = Flask(__name__)
    client = Client(
        f"http://127.0.0.1:{engine}",
        headers={"Authorization": "Basic a2V5OnNlY3JldA=="},
        connect_timeout=5,
        read_timeout=10,
        connections=100,
    )

    @app.post("/webhooks/segment")
    def forward() -> dict[str, str]:
        call = json.loads(request.get_data())
        payload = {
            "event_name": call["event"],
            "source_id": call["userId"],
            "metadata": call["properties"],
        }
        body = json.dumps(payload)
        sent = Request(method="POST", path="/events/invoke", body=body, idempotent=False)
        return {"answer": client.exchange(sent).answer}

    print("receiving", file=sys.stderr, flush=True)
    serve_barely(app, port)


if __name__ == "__main__":
    main()
