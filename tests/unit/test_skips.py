from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

SUITE = """
    import pytest

    @pytest.mark.gpu
    def test_on_a_gpu(): pass

    @pytest.mark.data
    def test_on_real_data(): pass

    def test_with_a_program(): pytest.skip("redis-server is missing")

    def test_that_runs(): pass
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a suite under the policy on a machine without GPU and without real data."""

    def run(suite: str, *, strict: bool) -> pytest.RunResult:
        monkeypatch.setattr("tests.skips.has_gpu", lambda: False)
        monkeypatch.setenv("SAMMOE_TEST_DATA", str(pytester.path / "absent"))
        pytester.makeconftest(f"""
            from tests.skips import SkipPolicy

            def pytest_configure(config):
                config.addinivalue_line("markers", "gpu: a GPU")
                config.addinivalue_line("markers", "data: real data")
                config.pluginmanager.register(SkipPolicy(strict={strict}))
        """)
        pytester.makepyfile(suite)
        return pytester.runpytest_inprocess("-p", "no:xdist", "-p", "no:asyncio")

    return run


def test_every_skip_is_listed_with_its_reason(run: Run) -> None:
    result = run(SUITE, strict=False)

    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(
        [
            "*3 skipped*",
            "*::test_on_a_gpu: no GPU: torch finds no CUDA device",
            "*::test_on_real_data: SAMMOE_TEST_DATA: no folder *absent",
            "*::test_with_a_program: redis-server is missing",
        ]
    )


def test_in_ci_only_a_gpu_and_real_data_may_be_missing(run: Run) -> None:
    result = run(SUITE, strict=True)

    result.assert_outcomes(passed=1, skipped=2, failed=1)
    result.stdout.fnmatch_lines(["skipped although CI is set: redis-server is missing"])


def test_in_ci_a_module_without_its_package_is_an_error(run: Run) -> None:
    module = "import pytest; pytest.importorskip('no_such_package')"

    run(module, strict=False).assert_outcomes(skipped=1)
    run(module, strict=True).assert_outcomes(errors=1)


def test_an_expected_failure_is_no_skip(run: Run) -> None:
    suite = """
        import pytest

        @pytest.mark.xfail(reason="known")
        def test_known(): assert False
    """

    run(suite, strict=True).assert_outcomes(xfailed=1)


def test_a_run_without_skips_lists_none(run: Run) -> None:
    result = run("def test_that_runs(): pass", strict=True)

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*skipped*")
