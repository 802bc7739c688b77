"""Where all begins: a client of one service."""

import os
from datetime import date
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import httpx
from numpy.typing import ArrayLike, NDArray

from sammoe_client._effects import Give, Giving, Send, Steps
from sammoe_client._methods import Context, Handle, M, call, iterate
from sammoe_client._modes import Async, Sync
from sammoe_client._nifti import nifti
from sammoe_client._paging import paged
from sammoe_client._parsing import parsed
from sammoe_client._requests import Answer, Body, Sent, file_body, get, json_body, part, post
from sammoe_client._results import Result
from sammoe_client._segmentations import Segmentation, fetched
from sammoe_client._sending import send
from sammoe_client._settings import Retries, Timeouts
from sammoe_client._values import (
    Capabilities,
    ResultInfo,
    SegmentationInfo,
    Series,
    SeriesPage,
    Study,
    VolumeInfo,
    VolumePage,
)
from sammoe_client._version import __version__
from sammoe_client._volumes import Volume
from sammoe_client.errors import Unavailable

DEFAULT_URL: Final = "http://127.0.0.1:8000"
API_KEY: Final = "SAMMOE_API_KEY"
"""Environment variable of the API key, where none is given."""

Modality = Literal["auto", "CT", "MR"]


class Service(Handle[M]):
    """What can be asked of a service; `Client` blocks, `AsyncClient` awaits."""

    @call
    def open(
        self,
        source: str | PathLike[str],
        *,
        modality: Modality = "auto",
        project: str | None = None,
        on_upload: Sent | None = None,
    ) -> Steps[Volume[M]]:
        """Send a scan; the same scan again is the same volume.

        Parameters
        ----------
        source
            A file (NIfTI, NRRD, DICOM, or a zip archive of a DICOM series), or the folder of a
            DICOM series. Names of files are not sent.
        modality
            ``auto``: by DICOM's tag, else by a rule on the intensities.
        project
            Whose members shall see it.
        on_upload
            Told bytes sent and bytes in all.

        Raises
        ------
        OSError
            There is no such file.
        VolumeInvalid
            The scan can not be used; `DicomInvalid` and others say why.
        """
        path = Path(source)
        path.stat()
        return (yield from self._add(file_body(path, on_upload), modality, project))

    @call
    def open_array(
        self,
        voxels: NDArray[Any],
        affine: ArrayLike,
        *,
        modality: Modality = "auto",
        project: str | None = None,
        on_upload: Sent | None = None,
    ) -> Steps[Volume[M]]:
        """Send a scan that is in memory: voxels [i, j, k], and voxel index to RAS+ mm [4, 4]."""
        body = file_body(nifti(voxels, affine), on_upload)
        return (yield from self._add(body, modality, project))

    @call
    def open_series(
        self,
        study: str,
        series: str,
        *,
        server: str | None = None,
        modality: Modality = "auto",
        project: str | None = None,
    ) -> Steps[Volume[M]]:
        """Let the service get a DICOM series from a PACS that it knows.

        Parameters
        ----------
        server
            One of ``capabilities().dicomweb``; None: the first.

        Raises
        ------
        SeriesMissing, PacsError, PacsUnavailable, PacsUnknown
            It can not be had.
        """
        wanted = {"study": study, "series": series}
        if server is not None:
            wanted["server"] = server
        return (yield from self._add(json_body({"dicomweb": wanted}), modality, project))

    @call
    def volume(self, name: str) -> Steps[Volume[M]]:
        """A volume that is there, by its id."""
        return Volume(self._context, (yield from self._volume_info(name)))

    @iterate
    def volumes(self, *, project: str | None = None) -> Giving[Volume[M]]:
        """One's own volumes, or those of a project, newest first."""
        context = self._context
        yield from paged(
            VolumePage,
            "/v1/volumes",
            context.retries,
            lambda info: Volume(context, info),
            project=project,
        )

    @call
    def segmentation(self, name: str) -> Steps[Segmentation[M]]:
        """A segmentation that is there, by its id, with its mask."""
        request = get(f"/v1/segmentations/{part(name)}")
        answer = yield from send(request, self._context.retries)
        info = parsed(SegmentationInfo, answer.content)
        volume = yield from self._volume_info(info.volume)
        return (yield from fetched(self._context, info, volume))

    @call
    def result(self, name: str) -> Steps[Result[M]]:
        """A result that is there, by its id."""
        answer = yield from send(get(f"/v1/results/{part(name)}"), self._context.retries)
        return Result(self._context, parsed(ResultInfo, answer.content))

    @iterate
    def find_series(
        self,
        *,
        study: str | None = None,
        modality: str | None = None,
        since: date | None = None,
        until: date | None = None,
        server: str | None = None,
    ) -> Giving[Series]:
        """Series of a PACS that the service knows: of a study, or of the studies of some days."""
        offset: int | None = 0
        while offset is not None:
            wanted = {
                "study": study,
                "modality": modality,
                "since": None if since is None else since.isoformat(),
                "until": None if until is None else until.isoformat(),
                "server": server,
                "offset": offset,
            }
            request = post("/v1/dicomweb/search", json_body(wanted), upload=True)
            answer = yield from send(request, self._context.retries)
            page = parsed(SeriesPage, answer.content)
            for series in page.items:
                yield Give(series)
            offset = page.next

    @call
    def warm_study(self, study: str, *, server: str | None = None) -> Steps[int]:
        """Let the service get a study's scans from a PACS and prepare each, behind.

        Returns
        -------
        How many studies wait, this one included.
        """
        body = json_body({"study": study, "server": server})
        answer = yield from send(post("/v1/dicomweb/warm", body), self._context.retries)
        return parsed(Study, answer.content).waiting

    @call
    def capabilities(self) -> Steps[Capabilities]:
        """What the service can do: experts, spacings, limits, weights."""
        answer = yield from send(get("/v1/capabilities"), self._context.retries)
        return parsed(Capabilities, answer.content)

    @call
    def is_ready(self) -> Steps[bool]:
        """Whether clicks can be answered now; not tried again."""
        try:
            answer: Answer = yield Send(get("/readyz", accept="text/plain"))
        except Unavailable:
            return False
        return answer.status == httpx.codes.OK

    def _add(self, body: Body, modality: Modality, project: str | None) -> Steps[Volume[M]]:
        request = post("/v1/volumes", body, upload=True, modality=modality, project=project)
        answer = yield from send(request, self._context.retries)
        return Volume(self._context, parsed(VolumeInfo, answer.content))

    def _volume_info(self, name: str) -> Steps[VolumeInfo]:
        answer = yield from send(get(f"/v1/volumes/{part(name)}"), self._context.retries)
        return parsed(VolumeInfo, answer.content)


class Client(Service[Sync]):
    """A client that blocks. Threads may share it; its connections are kept and used again.

    Parameters
    ----------
    url
        Of the service, with a path where it is served below one.
    api_key
        Default: the environment variable `API_KEY`; none where the service has no keys.
    timeouts, retries
        How patient it is.
    transport
        In place of the network, for tests.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        http = httpx.Client(transport=transport, **_options(url, api_key))
        super().__init__(Context(Sync(http, timeouts or Timeouts()), retries or Retries()))

    def close(self) -> None:
        """Close its connections."""
        self._context.mode.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(Service[Async]):
    """The same on asyncio: methods are awaited, iterators are asynchronous."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        http = httpx.AsyncClient(transport=transport, **_options(url, api_key))
        super().__init__(Context(Async(http, timeouts or Timeouts()), retries or Retries()))

    async def close(self) -> None:
        """Close its connections."""
        await self._context.mode.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _options(url: str, api_key: str | None) -> dict[str, Any]:
    """What both kinds of httpx clients are told."""
    key = os.environ.get(API_KEY) if api_key is None else api_key
    headers = {"User-Agent": f"sam-med3d-moe-client/{__version__}"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return {"base_url": url, "headers": headers}
