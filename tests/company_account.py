"""A provider of company accounts (OpenID Connect) on this machine: it signs for real, and lies as it is told.

Whoever is sent to it is let in at once. It holds our side to the rules: client and secret, the way back, PKCE, and each
code once.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

CLIENT, SECRET = "desk", "unguessable-7781"


@cache
def key(name: str) -> ECKey:
    """A key of the provider's, or of somebody else, by its name."""
    return ECKey.generate_key("P-256", {"kid": name, "use": "sig"})


@dataclass
class Provider:
    """Who comes, and what the provider says of them.

    `lies` takes the place of claims of the id token; `signed` is the key, `published` those that it shows. What it
    says of itself is changed by `calls_itself`. `broken` are paths that answer with a status.
    """

    now: datetime
    port: int = 0
    who: Mapping[str, Any] = field(default_factory=lambda: {"email": "ann@shop.example", "email_verified": True})
    lies: Mapping[str, Any] = field(default_factory=dict)
    algorithm: str = "ES256"
    signed: str = "first"
    published: list[str] = field(default_factory=lambda: ["first"])
    calls_itself: Mapping[str, Any] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    asked: dict[str, Mapping[str, str]] = field(default_factory=dict)  # what came with each code
    calls: list[str] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        """Its name, and where it is."""
        return f"http://127.0.0.1:{self.port}"

    def described(self) -> Mapping[str, Any]:
        """What it says of itself."""
        said = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        said |= {f"{name}_endpoint": f"{self.issuer}/{name}" for name in ("authorization", "token")}
        return {**said, **self.calls_itself}

    def keys(self) -> Mapping[str, Any]:
        """The keys that it shows."""
        return {"keys": [key(name).as_dict(private=False) for name in self.published]}

    def admit(self, asked: Mapping[str, str]) -> str:
        """Let somebody in; where they go on to."""
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert set(asked["scope"].split()) == {"openid", "email"}
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self.asked[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.issuer})}"

    def token(self, form: Mapping[str, str], authorization: str) -> Mapping[str, Any] | None:
        """What a code is worth; None where it is worth nothing."""
        asked = self.asked.pop(form["code"], None)
        known = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        good = asked and authorization == f"Basic {known}" and form["redirect_uri"] == asked["redirect_uri"]
        if not good or challenge.decode() != asked["code_challenge"]:
            return None
        at = int(self.now.timestamp())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "7781", "iat": at, "exp": at + 300, "nonce": asked["nonce"]}
        claims = {name: value for name, value in {**claims, **self.who, **self.lies}.items() if value is not None}
        return {"access_token": "x", "token_type": "Bearer", "id_token": self._signed(claims)}

    def _signed(self, claims: dict[str, Any]) -> str:
        if self.algorithm == "none":
            head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
                          for part in ({"alg": "none", "typ": "JWT"}, claims))  # fmt: skip
            return f"{head}.{body}."
        if self.algorithm == "HS256":  # the secret that both sides know: it proves nothing that we could not say
            return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET * 3), algorithms=["HS256"])
        if self.algorithm == "RS256":
            return jwt.encode({"alg": "RS256", "kid": "first"}, claims, RSAKey.generate_key(2048))
        return jwt.encode({"alg": "ES256", "kid": self.signed}, claims, key(self.signed))

    def later(self, seconds: float) -> None:
        """Set its clock on."""
        self.now += timedelta(seconds=seconds)


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            provider.calls.append(parts.path)
            if parts.path in provider.broken:
                self._say(provider.broken[parts.path], {"error": "broken"})
            elif parts.path == "/authorization":
                self.send_response(302)
                self.send_header("Location", provider.admit(dict(parse_qsl(parts.query))))
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif parts.path == "/keys":
                self._say(200, provider.keys())
            else:
                self._say(200, provider.described())

        def do_POST(self) -> None:
            provider.calls.append(self.path)
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            found = provider.token(form, self.headers.get("Authorization", ""))
            self._say(provider.broken.get(self.path, 200 if found else 400), found or {"error": "invalid_grant"})

        def _say(self, status: int, said: Mapping[str, Any]) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def providing(now: datetime) -> Iterator[Provider]:
    """A provider, until the block ends."""
    provider = Provider(now)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(provider))
    provider.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
