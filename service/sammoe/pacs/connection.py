"""Requests to one DICOMweb server: to it alone, without redirects, within time and size.

A name is looked up, the addresses are checked, and the connection is made to the address that was
checked: a name that means something else a moment later leads nowhere.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import httpx

from sammoe.errors import InvalidInput, PacsError, PacsUnavailable, SeriesMissing
from sammoe.pacs.servers import Network, PacsServer

_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 60.0
"""Longest silence; also for the first byte, which a PACS that fetches from tape may take."""
_WRITE_SECONDS: Final = 60.0
_POOL_SECONDS: Final = 60.0
_CONNECTIONS: Final = 16
_KEPT_SECONDS: Final = 0.5
"""How long an idle connection is used again: Orthanc closes it after one second."""

Answer = httpx.Response


class Connection:
    """A client of one server."""

    def __init__(self, server: PacsServer) -> None:
        self.server = server
        credentials = None
        headers = {}
        if server.user:
            credentials = httpx.BasicAuth(server.user, server.password.get_secret_value())
        if token := server.token.get_secret_value():
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.AsyncClient(
            transport=_Checked(server),
            auth=credentials,
            headers=headers,
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(
                connect=_CONNECT_SECONDS,
                read=_READ_SECONDS,
                write=_WRITE_SECONDS,
                pool=_POOL_SECONDS,
            ),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        query: bytes = b"",
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[Answer]:
        """Send a request; the answer's head is there, its body can be read once, as a stream.

        Parameters
        ----------
        method, headers, content
            As usual; credentials are added.
        path
            Below the server's root; begins with a slash.
        query
            Encoded already.

        Raises
        ------
        PacsUnavailable
            The server can not be reached or is too slow; also later, while the body is read.
        PacsError
            It breaks the protocol, or its address is none that a server has.
        """
        try:
            url = httpx.URL(self.server.url + path)
            if query:
                url = url.copy_with(query=query)
            for value in (headers or {}).values():
                value.encode("ascii")
        except (httpx.InvalidURL, UnicodeError):
            raise InvalidInput("The address or a header is none that a server takes.") from None
        try:
            async with self._http.stream(method, url, headers=headers, content=content) as answer:
                yield answer
        except (httpx.TimeoutException, httpx.NetworkError) as error:
            raise PacsUnavailable(
                "The DICOMweb server can not be reached, or answers too slowly; try again."
            ) from error
        except httpx.HTTPError as error:
            raise PacsError("The DICOMweb server broke off its answer; try again.") from error


def check_status(answer: Answer) -> None:
    """Refuse an answer that is not of success.

    Raises
    ------
    SeriesMissing
        The server has no such thing.
    PacsUnavailable
        The server is busy.
    PacsError
        It refuses, fails, or sends elsewhere.
    """
    status = answer.status_code
    if status in (200, 204):
        return
    if status in (404, 410):
        raise SeriesMissing("The DICOMweb server has no such study or series.")
    if status in (401, 403):
        raise PacsError("The DICOMweb server refuses this service's credentials.")
    if 300 <= status < 400:
        raise PacsError("The DICOMweb server sends elsewhere, and redirects are not followed.")
    if status in (429, 503, 504):
        raise PacsUnavailable("The DICOMweb server is busy; try again.")
    raise PacsError(f"The DICOMweb server answered {status}.")


class _Checked(httpx.AsyncBaseTransport):
    """Connects to addresses that were checked."""

    def __init__(self, server: PacsServer) -> None:
        root = httpx.URL(server.url)
        self._origin = (root.scheme, root.host, root.port)
        self._networks = server.networks
        context = ssl.create_default_context(
            cafile=None if server.ca_file is None else str(server.ca_file)
        )
        limits = httpx.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_KEPT_SECONDS)
        self._inner = httpx.AsyncHTTPTransport(verify=context, limits=limits, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if (url.scheme, url.host, url.port) != self._origin:
            raise httpx.UnsupportedProtocol("another origin")
        port = url.port or (443 if url.scheme == "https" else 80)
        address = await _resolve(url.host, port, self._networks)
        # The Host header is there already; TLS checks the certificate for the name.
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        request.url = url.copy_with(host=address)
        try:
            return await self._inner.handle_async_request(request)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            # It may have closed a connection that it kept just when that was taken again.
            if request.method != "GET":
                raise
            return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _resolve(host: str, port: int, networks: tuple[Network, ...]) -> str:
    """An address of a host, none of whose addresses is where no server may be."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise httpx.ConnectError("no such host") from error
    addresses = [str(place[0]).partition("%")[0] for *_, place in found]
    for address in addresses:
        if not _may_be_server(ipaddress.ip_address(address), networks):
            raise PacsError("The DICOMweb server's name leads to an address that is not allowed.")
    return addresses[0]


def _may_be_server(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: tuple[Network, ...]
) -> bool:
    """Inside of the networks, if there are any; and never link-local, as clouds' own services."""
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return not networks or any(address in network for network in networks)
