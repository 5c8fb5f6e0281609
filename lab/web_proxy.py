"""A private nginx or Caddy with TLS on loopback, from the examples in `examples/`."""

import shutil
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from lab.process import NotInstalled, Process, accepts, free_port

EXAMPLES = Path(__file__).parent.parent / "examples"
PACKAGES = {"nginx": "nginx-light", "caddy": "caddy"}
NGINX = """
daemon off;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/site.conf;
}}
"""
"""What the configuration of the system has around the file of a site."""


class WebProxy:
    """A reverse proxy for the site on `port` of loopback, with a certificate for localhost."""

    def __init__(self, directory: Path, kind: str, port: int) -> None:
        self.directory, self._kind, self._site = directory, kind, port
        self.port, self._plain = free_port(), free_port()
        self.process: Process | None = None

    @property
    def origin(self) -> str:
        """The origin of the site behind this proxy."""
        return f"https://localhost:{self.port}"

    def trusting(self) -> ssl.SSLContext:
        """Return a client's context that trusts the certificate."""
        return ssl.create_default_context(cafile=self.directory / "site.pem")

    def start(self, changes: Mapping[str, str]) -> Self:
        """Start the proxy with its example, in which `changes` are replaced: each must occur in it."""
        program = shutil.which(self._kind, path="/usr/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise NotInstalled(f"No {self._kind}: install the package {PACKAGES[self._kind]}.")
        self.directory.mkdir(parents=True, exist_ok=True)
        self._make_certificate()
        command = self._nginx(program, changes) if self._kind == "nginx" else self._caddy(program, changes)
        home = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(self.directory))
        self.process = Process(command, self.directory / "proxy.log", home)
        self.process.wait_until(lambda: accepts(("127.0.0.1", self.port)))
        return self

    def stop(self) -> None:
        """Stop the proxy if it is running."""
        if self.process is not None:
            self.process.stop()

    def _nginx(self, program: str, changes: Mapping[str, str]) -> list[str | Path]:
        ours = {
            "listen 443 ": f"listen 127.0.0.1:{self.port} ",
            "listen [::]:443 ": f"listen [::1]:{self.port} ",
            "listen 80;": f"listen 127.0.0.1:{self._plain};",
            "listen [::]:80;": f"listen [::1]:{self._plain};",
            "/etc/ssl/dnc.example.com.pem": str(self.directory / "site.pem"),
            "/etc/ssl/private/dnc.example.com.key": str(self.directory / "site.key"),
            "dnc.example.com": "localhost",
            "127.0.0.1:8080": f"127.0.0.1:{self._site}",
        }
        (self.directory / "site.conf").write_text(_replaced(EXAMPLES / "nginx.conf", {**changes, **ours}))
        config = self.directory / "nginx.conf"
        config.write_text(NGINX.format(directory=self.directory))
        return [program, "-p", self.directory, "-e", "stderr", "-c", config]

    def _caddy(self, program: str, changes: Mapping[str, str]) -> list[str | Path]:
        certificate = f"tls {self.directory / 'site.pem'} {self.directory / 'site.key'}"
        ours = {
            "dnc.example.com {": f"https://localhost:{self.port} {{\n\t{certificate}",
            "127.0.0.1:8080": f"127.0.0.1:{self._site}",
            "{\n\tservers": "{\n\tadmin off\n\tauto_https disable_redirects\n\tservers",
        }
        config = self.directory / "Caddyfile"
        config.write_text(_replaced(EXAMPLES / "Caddyfile", {**changes, **ours}))
        return [program, "run", "--adapter", "caddyfile", "--config", config]

    def _make_certificate(self) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            raise NotInstalled("No openssl: install the package openssl.")
        subprocess.run(  # noqa: S603 - the lab's own command
            [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-keyout", self.directory / "site.key", "-out", self.directory / "site.pem"],
            check=True, capture_output=True,
        )  # fmt: skip


def _replaced(example: Path, changes: Mapping[str, str]) -> str:
    text = example.read_text()
    for was, becomes in changes.items():
        if was not in text:
            raise ValueError(f"{example.name} has no {was!r}")
        text = text.replace(was, becomes)
    return text
