"""nginx as deploy/ sets it up, in front of a receiver on this machine, with a certificate of its own.

python -m tests.proxy PORT RECEIVER [FOLDER]
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What an installation has.
CONFIGURATION = Path(__file__).parents[1] / "deploy" / "nginx" / "nginx.conf"

#: Folders that nginx makes at its start.
FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def nginx(folder: Path, *, port: int, receiver: int) -> Iterator["subprocess.Popen[bytes]"]:
    """nginx on `port`, by TLS, in front of the receiver on the other; `folder` is its own."""
    subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        f"-keyout {folder}/privkey.pem -out {folder}/fullchain.pem".split(),
        check=True,
        capture_output=True,
    )
    (folder / "nginx.conf").write_text(configuration(folder, port=port, receiver=receiver))
    with (folder / "nginx.log").open("wb") as log:
        command = ["nginx", "-c", str(folder / "nginx.conf"), "-e", "stderr", "-g", "daemon off;"]
        started = subprocess.Popen(command, stderr=log)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(20)


def configuration(folder: Path, *, port: int, receiver: int) -> str:
    """What an installation has, but for its places and ports."""
    text = CONFIGURATION.read_text()
    own = "".join(f"    {name}_temp_path {folder}/{name};\n" for name in FOLDERS)
    for pattern, replacement in {
        r"^user .*\n": "",
        r"/etc/nginx/tls": str(folder),
        r"/run/nginx\.pid": f"{folder}/pid",
        r" +listen \[::\].*\n": "",
        r"listen 443": f"listen 127.0.0.1:{port}",
        r"127\.0\.0\.1:8080": f"127.0.0.1:{receiver}",
        r"^http \{\n": f"http {{\n{own}",
    }.items():
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert count, pattern
    return text


if __name__ == "__main__":
    port, receiver = map(int, sys.argv[1:3])
    with nginx(Path(*sys.argv[3:]).resolve(), port=port, receiver=receiver) as running:
        running.wait()
