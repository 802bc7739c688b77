"""What a hospital's day may hold: every case by its number, and what the service shall do.

A test names the cases that it shows with ``@pytest.mark.fault("F03", ...)``; see
`tests.faults.report`. Numbers are names: they stay when cases go.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Case:
    """One fault or bad input.

    Attributes
    ----------
    what
        What happens.
    expected
        What the service does.
    missing
        Why it can not be shown on a machine without a GPU or a container engine, or in part.
    """

    what: str
    expected: str
    missing: str | None = None


CASES: Final = {
    "F01": Case(
        "Redis is killed during a click",
        "2xx: from memory, or encoded again; counted in `sammoe_redis_errors_total`",
    ),
    "F02": Case(
        "Redis restarts empty",
        "the next first click is one encode; refine, undo and masks come from the store",
    ),
    "F03": Case(
        "Redis hangs, or takes 2 s",
        "done without it within 150 ms; the breaker opens, and one trial at a time closes it",
    ),
    "F04": Case("Redis is full", "nothing is written to it, everything is answered; counted"),
    "F05": Case(
        "a value in Redis is cut off, changed, or of another version",
        "a miss: encoded again and replaced; never a wrong mask",
    ),
    "F06": Case(
        "Redis' password is changed, or its certificate has expired",
        "done without it; ready, and says so",
    ),
    "F07": Case(
        "a client leaves while a value of 768 KiB comes from Redis",
        "the connection is dropped; the next user's bytes are never mixed",
    ),
    "F08": Case(
        "Triton, or a model of it, is killed during a click",
        "503 with Retry-After, or an answer on the second trial; found again when it is back",
    ),
    "F09": Case(
        "Triton is up, but a model is not loaded",
        "503, or the general mask with `check: failed`; not ready, but alive",
    ),
    "F10": Case(
        "Triton is slow",
        "a bounded queue: 429 beyond it; 504 at the deadline",
    ),
    "F11": Case(
        "the engine answers NaN, Inf or another shape",
        "502 `engine_output_invalid`, or the general mask where an expert does; nothing is kept",
    ),
    "F12": Case(
        "Triton's gRPC stalls while its HTTP answers",
        "not ready; a new connection, which answers where the server does",
    ),
    "F13": Case("SIGTERM under load", "requests under way are finished; exit code 0"),
    "F14": Case(
        "SIGKILL of a front end",
        "nothing that was answered is lost; another front end goes on",
    ),
    "F15": Case("the disk is full", "503; no part of a file is left; alive"),
    "F16": Case(
        "the clock jumps by an hour",
        "leases last as long as they did; ids ascend; tokens have a bounded leeway",
    ),
    "F17": Case(
        "the GPU is out of memory",
        "503; other models go on",
        "no GPU in the tests' machines: shown with a graph that fails on the CPU",
    ),
    "F18": Case(
        "a bundle is published that is damaged, incomplete, or wrong",
        "refused; nothing is switched; the old one goes on",
    ),
    "F19": Case(
        "a bundle is swapped while requests are under way",
        "those are finished by the bundle that began them, new ones by the new",
    ),
    "F20": Case("bundles are swapped under traffic, again and again", "no failed request"),
    "F21": Case(
        "the store's server is slow or hangs",
        "answered, or 503 `store_unavailable` within a bounded time; alive; nobody else waits",
    ),
    "F22": Case(
        "the store's server refuses connections, or breaks them off",
        "503 with Retry-After; not ready; what was answered before is there afterwards",
    ),
    "F23": Case(
        "the store's server says 500 after a write that took effect",
        "an answer with its record, or 503; with an Idempotency-Key never a second record",
    ),
    "F24": Case(
        "the store is full or read-only",
        "writes: 503 `store_unavailable` with Retry-After; not ready; reads go on",
    ),
    "F25": Case(
        "a record is of a newer version, or damaged",
        "503 `store_unavailable` for that record alone; never a guess",
    ),
    "F26": Case(
        "the audit log's disk is full, fails, or hangs",
        "changes: 503 `audit_unavailable`; not ready; reads go on; no line is lost or torn",
    ),
    "S01": Case("an upload says that it is too large", "413 before anything of it is read"),
    "S02": Case("an upload that does not say so is too large", "413 at the limit; closed"),
    "S03": Case(
        "head or body come byte by byte",
        "408 or closed, in bounded time; others do not notice; uploads leave half of the room",
    ),
    "S04": Case(
        "thousands of idle connections",
        "those idle longest are closed; others do not notice; memory is bounded",
    ),
    "S05": Case("a gzip bomb as NIfTI or NRRD", "inflated no further than the header says; 4xx"),
    "S06": Case("a DICOM file whose deflated content is a bomb", "4xx; memory is bounded"),
    "S07": Case(
        "a zip with paths upwards, links, archives within, a bomb",
        "`archive_invalid` or 413; nothing is left",
    ),
    "S08": Case(
        "a NIfTI header lies: sides, types, offsets, slopes, extensions",
        "4xx before memory is taken",
    ),
    "S09": Case(
        "an affine is singular, reflected or sheared",
        "singular: 422; reflected and tilted: the mask lies where the scan does",
    ),
    "S10": Case("odd DICOM series", "read right, with a warning; or 422 with a code for each"),
    "S11": Case(
        "DICOM sequences that are nested 10 000 deep, do not end, or are longer than the file",
        "4xx in a process of its own, whose memory and time are bounded",
    ),
    "S12": Case(
        "a DICOM preamble holds a program",
        "read as data; what is written has a preamble of zeros",
    ),
    "S13": Case(
        "a patient's name in tags, file names, addresses, with control characters",
        "never in logs, metrics or addresses; log lines can not be forged",
    ),
    "S14": Case("a scan is constant, or holds NaN, Inf, 1e38", "422; nothing is embedded"),
    "S15": Case("a point outside, NaN, 1e308, text, a boolean, label 7", "422 with a JSON pointer"),
    "S16": Case(
        "no point, only negative ones, thousands, the same twice", "422 or 413; the last counts"
    ),
    "S17": Case("a prior mask of another scan, shape or kind", "409 or 422"),
    "S18": Case(
        "an id is guessed, another's, expired, or deleted meanwhile",
        "404 for all of these; 410 for a lease",
    ),
    "S19": Case(
        "a request is sent again under its Idempotency-Key", "the same answer; 409 for another"
    ),
    "S20": Case(
        "a key or token is missing, wrong, forged, expired",
        "401 or 403 without a detail; compared in constant time",
    ),
    "S21": Case("another web page calls", "refused, and told nothing; `*` can not be set"),
    "S22": Case(
        "a DICOMweb address leads elsewhere: metadata services, redirects, names that change",
        "refused after the name is looked up; redirects are not followed",
    ),
    "S23": Case(
        "the PACS answers HTML, a wrong boundary, too much, 401, nothing", "502, 504 or 413"
    ),
    "S24": Case(
        "the PACS stores a part of what it is sent",
        "said for each file; sending again is harmless; nothing is deleted",
    ),
    "S25": Case("what is no HTTP, or two requests in one", "4xx or closed; nobody else notices"),
    "S26": Case("pipelining; HEAD, TRACE and OPTIONS on every route", "answered in order; 405"),
    "S27": Case(
        "a thousand windows at once from one principal, or of a thousand principals",
        "429 with Retry-After for the one; clicks go before warm-up",
    ),
    "S28": Case("50 first clicks on one scan at once", "one encode, 50 answers"),
    "S29": Case("two refine one segmentation at once", "two children, both kept"),
    "S30": Case(
        "equal voxels with another affine, window, encoder or owner",
        "other keys; equal scans share embeddings and nothing else",
    ),
    "S31": Case("unknown Accept, Content-Type, Content-Encoding", "406, 415"),
    "S32": Case("random paths and names of experts", "labels of metrics and logs stay few"),
    "S33": Case(
        "JSON nested 100 000 deep, with a million members, with huge numbers", "400 or 413, soon"
    ),
    "S34": Case("a viewer is closed while it waits", "the work stops, and its place is free"),
    "S35": Case("a request alone, or among others", "the same bytes"),
}
