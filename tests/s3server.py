"""A real S3 API on the loopback interface (moto), in a process of its own, which keeps a log of its requests.

`python -m tests.s3server LOG` prints its port and ends when its input does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLEOFTESTS00", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests"}


@dataclass(frozen=True)
class S3Server:
    """A running server; `requests` are those since it was started."""

    url: str
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, service: str = "s3") -> Any:
        """Return a client of the test's own, which the environment has no say in."""
        return _client(self.url, service)

    def requests(self) -> list[dict[str, str]]:
        """Return method, path, query, range and whether it was signed, of each request."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def upload(self, folder: Path, bucket: str, prefix: str = "") -> None:
        """Put the files below a folder into a bucket, which is made."""
        client = self.client()
        client.create_bucket(Bucket=bucket)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                client.put_object(
                    Bucket=bucket, Key=prefix + path.relative_to(folder).as_posix(), Body=path.read_bytes()
                )


@cache
def _client(url: str, service: str) -> Any:
    from boto3.session import Session

    keys = {name.lower(): value for name, value in KEYS.items()}
    return Session(**keys, region_name="us-east-1").client(service, endpoint_url=url)


@contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """Run a server that keeps its log in `folder`."""
    log = folder / "requests.log"
    log.touch()
    command = [sys.executable, "-m", "tests.s3server", str(log)]
    with (folder / "server.log").open("wb") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, (folder / "server.log").read_text()
        try:
            yield S3Server(f"http://127.0.0.1:{port}", log)
        finally:
            process.stdin.close()
            process.wait(30)


def main(log: Path) -> None:
    """Serve until the standard input ends."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = DomainDispatcherApplication(create_backend_app)
    app.debug = False
    writing = threading.Lock()

    def logged(environ: dict[str, Any], start_response: Any) -> Any:
        told = {
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"],
            "query": environ["QUERY_STRING"],
            "range": environ.get("HTTP_RANGE", ""),
            "if_match": environ.get("HTTP_IF_MATCH", ""),
            "signed": "yes" if environ.get("HTTP_AUTHORIZATION") else "",
        }
        with writing, log.open("a") as file:
            file.write(json.dumps(told) + "\n")
        return app(environ, start_response)

    server = make_server("127.0.0.1", 0, logged, threaded=True)
    print(server.port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
