"""Requests made of the OpenAPI document, right and wrong, against a running service."""

import os
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok

from tests.integration.serving import Server
from tests.integration.test_serve import CLICK, add

EXAMPLES: Final = int(os.environ.get("SAMMOE_SCHEMATHESIS_EXAMPLES", "8"))
"""For each operation; few in every run, many by `make fuzz`."""

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

SCHEMA: Final = schemathesis.openapi.from_path(
    Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
)
OPERATIONS: Final = [found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)]


@pytest.fixture(scope="session")
def known(server: Server) -> dict[str, str]:
    """Ids that there are, by the name of the parameter."""
    with server.client() as http:
        volume = add(http, 77)
        answer = http.post(f"/v1/volumes/{volume}/segmentations", json=CLICK).raise_for_status()
        return {"volume_id": volume, "segmentation_id": answer.json()["id"]}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_server_error_and_no_answer_but_the_documented(
    operation: Any, server: Server, known: dict[str, str]
) -> None:
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])

    @given(case=cases, there=st.booleans())
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any, there: bool) -> None:
        if there and case.method != "DELETE":
            for name in known.keys() & case.path_parameters.keys():
                case.path_parameters[name] = known[name]
        case.call_and_validate(base_url=server.url, checks=CHECKS)

    ask()
