"""A client of a sandbox, which is asked by path."""

from typing import Any

import requests

AUTH = ("key", "secret")


class SandboxSession(requests.Session):
    """Calls the sandbox on a port, with its key and secret: `session.get("/customers/anna")`."""

    def __init__(self, port: int, auth: tuple[str, str] = AUTH) -> None:
        super().__init__()
        self.port = port
        self.auth = auth

    def request(
        self, method: str | bytes, url: str | bytes, *args: Any, **options: Any
    ) -> requests.Response:
        assert isinstance(url, str)
        address = f"http://127.0.0.1:{self.port}{url}"
        return super().request(method, address, *args, **{"timeout": 10, **options})
