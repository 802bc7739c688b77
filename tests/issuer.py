"""An issuer of tokens on loopback: signs what it is told to, and serves its keys over HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE = "sammoe"


class TestIssuer:
    """Keys by name; ``gone``: it answers 503; ``hits``: paths that were asked for."""

    __test__ = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, tuple[Any, str]] = {}
        self.extra: list[dict[str, Any]] = []
        self.gone = False
        self.delay = 0.0
        self.hits: list[str] = []
        self.issuer_said: str | None = None
        self.add("one")

    def add(self, name: str, algorithm: str = "RS256") -> None:
        """Make a further key."""
        key: Any
        if algorithm.startswith("ES"):
            key = ec.generate_private_key(ec.SECP256R1())
        elif algorithm == "EdDSA":
            key = ed25519.Ed25519PrivateKey.generate()
        else:
            key = rsa.generate_private_key(65537, 2048)
        self.keys[name] = key, algorithm

    def public(self, name: str = "one") -> bytes:
        """A key as everybody can have it, PEM."""
        public: bytes = (
            self.keys[name][0]
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        return public

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims of ann's, changed; None takes one away."""
        moment = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "iat": moment,
            "exp": moment + 300,
            "roles": ["segmenter"],
            "projects": [],
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, key: str = "one", headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that is signed as it should be."""
        private, algorithm = self.keys[key]
        given = {"kid": key} if headers is None else headers
        return jwt.encode(self.claims(**claims), private, algorithm=algorithm, headers=given)

    def document(self, path: str) -> Any:
        """What is at a path."""
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.issuer_said or self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            return {"keys": [*map(self._jwk, self.keys), *self.extra]}
        return None

    def _jwk(self, name: str) -> dict[str, Any]:
        private, algorithm = self.keys[name]
        kinds = jwt.get_algorithm_by_name(algorithm)
        found: dict[str, Any] = kinds.to_jwk(private.public_key(), as_dict=True)
        return found | {"kid": name, "use": "sig", "alg": algorithm}


@contextmanager
def issuing() -> Iterator[TestIssuer]:
    """An issuer that can be reached while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.hits.append(self.path)
            time.sleep(issuer.delay)
            found = None if issuer.gone else issuer.document(self.path)
            content = json.dumps(found).encode()
            self.send_response(503 if issuer.gone else 404 if found is None else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *given: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = TestIssuer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
