from sammoe.api.timing import server_timing


def test_phases_cache_and_total() -> None:
    header = server_timing({"crop": 1.234, "decode": 20.0}, "hit", 25.5)
    assert header == 'crop;dur=1.23, decode;dur=20.00, cache;desc="hit", total;dur=25.50'


def test_no_embedding_no_cache() -> None:
    assert server_timing({}, None, 1.0) == "total;dur=1.00"
