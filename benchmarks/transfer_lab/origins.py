"""The two origins of a download: an API that only redirects, and a storage, both nginx over TLS.

`/api/download/models/VERSION?fileId=7` answers 307 to `/blob/7.safetensors` on the storage,
or on whatever port a network path shows of it. Everything lies in one scratch directory.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

HOST = "127.0.0.1"
START_S = 10.0
"""How long a server may take to listen."""

_CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {scratch}/nginx.pid;
error_log {scratch}/nginx-error.log error;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path {scratch}/temp;
  proxy_temp_path {scratch}/temp;
  fastcgi_temp_path {scratch}/temp;
  uwsgi_temp_path {scratch}/temp;
  scgi_temp_path {scratch}/temp;
  log_format short '$connection $status $request_uri "$http_range"';
  default_type application/octet-stream;
  keepalive_requests 100000;
  keepalive_timeout 60s;
  tcp_nodelay on;
  ssl_protocols TLSv1.3;
  ssl_certificate {scratch}/server.pem;
  ssl_certificate_key {scratch}/server.pem;
  ssl_session_cache shared:tls:4m;
  server {{
    listen {host}:{api} ssl backlog=511;
    access_log {scratch}/api.log short;
    location /api/download/models/ {{
      return 307 https://{host}:{shown}/blob/$arg_fileId.safetensors?sig=0123456789abcdef;
    }}
  }}
  server {{
    listen {host}:{storage} ssl backlog=511;
    access_log {scratch}/storage.log short;
    location /blob/ {{ alias {files}/; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPath:
    """What lies between client and servers: bytes per second of one connection, round trip.

    The rate holds for the storage alone, the round trip for the API, too.
    """

    rate: float = 0.0
    rtt: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Running servers, as clients see them. `ca` is the certificate to trust."""

    api_url: str
    ca: Path
    scratch: Path

    def download_url(self, file_id: int) -> str:
        """Return the address that redirects to a file."""
        return f"{self.api_url}/api/download/models/{file_id}?fileId={file_id}"

    def forget_requests(self) -> None:
        """Begin to count anew."""
        for name in ("api.log", "storage.log"):
            os.truncate(self.scratch / name, 0)

    def api_requests(self) -> int:
        """Return how often the download route was asked."""
        return (self.scratch / "api.log").read_text("utf-8").count(" /api/download/models/")

    def storage_requests(self) -> tuple[int, int]:
        """Return how often the storage was asked, and over how many connections."""
        lines = (self.scratch / "storage.log").read_text("utf-8").splitlines()
        return len(lines), len({line.split(" ", 1)[0] for line in lines})


@contextlib.contextmanager
def serve(scratch: Path, files: Path, path: NetworkPath | None = None) -> Iterator[Origins]:
    """Serve `files` from an empty directory `scratch`, reached by `path` or directly."""
    (scratch / "temp").mkdir()
    _make_certificate(scratch)
    api, storage = _free_port(), _free_port()
    shown_api, shown_storage = api, storage
    links = []
    if path is not None:
        shown_storage = _free_port()
        links.append(f"{shown_storage}:{storage}")
    if path is not None and path.rtt:
        shown_api = _free_port()
        links.append(f"{shown_api}:{api}")
    config = scratch / "nginx.conf"
    text = _CONFIG.format(
        scratch=scratch, files=files, host=HOST, api=api, storage=storage, shown=shown_storage
    )
    config.write_text(text, encoding="utf-8")
    nginx = [find_nginx() or "nginx", "-p", str(scratch), "-c", str(config)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_running([*nginx, "-e", str(scratch / "nginx-error.log")], storage))
        if path is not None:
            stack.enter_context(_running(_path_command(path, links), shown_storage))
        yield Origins(api_url=f"https://{HOST}:{shown_api}", ca=scratch / "ca.pem", scratch=scratch)


def find_nginx() -> str | None:
    """Return where nginx is: Debian puts it where only root looks by default."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _make_certificate(scratch: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(scratch / "ca.pem"))
    server = authority.issue_cert(HOST, "localhost")
    server.private_key_and_cert_chain_pem.write_to_path(str(scratch / "server.pem"))


def _path_command(path: NetworkPath, links: list[str]) -> list[str]:
    script = str(Path(__file__).with_name("network_path.py"))
    limits = ["--rate", str(path.rate), "--rtt", str(path.rtt)]
    return [sys.executable, "-I", "-S", script, *limits, *links]


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
    return port


@contextlib.contextmanager
def _running(words: list[str], port: int) -> Iterator[None]:
    """Run a server from when it listens on `port` until it is not needed any more."""
    process = subprocess.Popen(words, stderr=subprocess.PIPE)
    try:
        _wait_for(port, process)
        yield
    finally:
        process.kill()
        process.communicate()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port)):
            return
        time.sleep(0.01)
    process.kill()
    _, said = process.communicate()
    raise SystemExit(f"{process.args!r} does not listen on {port}:\n{said.decode()}")
