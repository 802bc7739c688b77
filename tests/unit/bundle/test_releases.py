"""Publish and rollback, stopped at every step."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sammoe.bundle import Bundle, load_bundle, releases
from sammoe.bundle.releases import PREVIOUS_NAME, changing, manifest_of, rollback, tidy
from sammoe.errors import BundleInvalid, Conflict
from tests.unit.bundle.bundles import EXPERT, write_bundle


class Stopped(Exception):
    """The process ends here."""


@contextmanager
def stop_at(step: int) -> Iterator[list[str]]:
    """Everything that changes a folder raises when it is called for the ``step``-th time.

    Yields what was called.
    """
    called: list[str] = []

    def guarded(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            called.append(name)
            if len(called) == step:
                raise Stopped(name)
            return original(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            (Path, "replace"),
            (Path, "rename"),
            (Path, "write_bytes"),
            (shutil, "copyfile"),
            (shutil, "rmtree"),
        ):
            patch.setattr(owner, name, guarded(name, getattr(owner, name)))
        yield called


def release(root: Path, number: int) -> Bundle:
    """The first has an expert, the others have not; the encoder is the same in all."""
    write_bundle(root, experts=(EXPERT,) if number == 1 else (), version=str(number))
    return load_bundle(root)


def publish(bundle: Bundle, target: Path, active: str | None = None) -> Bundle:
    """As the command does."""
    target.mkdir(exist_ok=True)
    with changing(target):
        published = releases.publish(bundle, target, active)
        tidy(target)
    return published


@pytest.fixture
def first(tmp_path: Path) -> Bundle:
    return release(tmp_path / "first", 1)


@pytest.fixture
def second(tmp_path: Path) -> Bundle:
    return release(tmp_path / "second", 2)


@pytest.fixture
def served(tmp_path: Path) -> Path:
    return tmp_path / "served"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_bundle_is_published_as_it_is(first: Bundle, served: Path) -> None:
    published = publish(first, served)

    assert published.path == served
    assert published.digest == first.digest
    assert load_bundle(served).manifest == first.manifest
    assert names(served) == {"bundle.json", *first.manifest.models.values()}


def test_the_one_before_is_kept_and_comes_back(first: Bundle, second: Bundle, served: Path) -> None:
    publish(first, served)
    assert publish(second, served).digest == second.digest
    assert load_bundle(served).manifest.name == "test2"

    assert rollback(served).digest == first.digest
    assert load_bundle(served).model_path("decoder_cord").read_bytes() == b"decoder_cord1"
    assert rollback(served).digest == second.digest


def test_models_that_no_release_names_any_more_are_removed(
    first: Bundle, second: Bundle, served: Path, tmp_path: Path
) -> None:
    for bundle in (first, second):
        publish(bundle, served)
    (served / ".new-half").mkdir()
    (served / "notes").mkdir()
    assert first.manifest.models["gate"] in names(served)

    third = publish(release(tmp_path / "third", 3), served)

    kept = {*second.manifest.models.values(), *third.manifest.models.values()}
    assert names(served) == {"bundle.json", PREVIOUS_NAME, "notes"} | kept
    assert rollback(served).manifest.name == "test2"


def test_publishing_twice_keeps_the_one_before(first: Bundle, second: Bundle, served: Path) -> None:
    for bundle in (first, second, second):
        publish(bundle, served)

    assert rollback(served).digest == first.digest


def test_models_that_are_there_are_not_copied_again(
    first: Bundle, second: Bundle, served: Path
) -> None:
    publish(first, served)
    encoder = served / second.manifest.models["image_encoder"] / "1" / "model.onnx"
    before = encoder.stat()

    publish(second, served)

    assert encoder.stat().st_ino == before.st_ino


def test_a_damaged_folder_is_repaired(first: Bundle, second: Bundle, served: Path) -> None:
    publish(first, served)
    shutil.rmtree(served / first.manifest.models["gate"])
    encoder = served / first.manifest.models["image_encoder"]
    (encoder / "1" / "model.onnx").write_bytes(b"damaged")
    (served / first.manifest.models["decoder_general"] / "stray").write_bytes(b"")

    publish(second, served)

    assert load_bundle(served).digest == second.digest
    with pytest.raises(BundleInvalid, match="keeps no bundle from before"):
        rollback(served)


def test_a_damaged_bundle_does_not_come_back(first: Bundle, second: Bundle, served: Path) -> None:
    for bundle in (first, second):
        publish(bundle, served)
    (served / first.manifest.models["gate"] / "1" / "model.onnx").write_bytes(b"damaged")

    with pytest.raises(BundleInvalid, match="differs from its SHA-256"):
        rollback(served)
    assert load_bundle(served).digest == second.digest


@pytest.mark.fault("F18")
def test_a_bundle_that_changes_while_it_is_copied_is_not_published(
    first: Bundle, second: Bundle, served: Path
) -> None:
    publish(first, served)
    second.model_path("decoder_general").write_bytes(b"changed")

    with pytest.raises(BundleInvalid, match=r"decoder_general-\w{12} was changed"):
        publish(second, served)
    assert load_bundle(served).digest == first.digest
    assert names(served) == {"bundle.json", *first.manifest.models.values()}


def test_folders_that_are_no_place_for_bundles(first: Bundle, tmp_path: Path) -> None:
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "thesis.txt").write_text("all of it")

    with pytest.raises(BundleInvalid, match="holds other things"):
        publish(first, tmp_path / "desk")
    with pytest.raises(BundleInvalid, match="is the bundle itself"):
        publish(first, first.path)
    with pytest.raises(BundleInvalid, match="keeps no bundle from before"):
        rollback(first.path)
    assert names(tmp_path / "desk") == {"thesis.txt"}


@pytest.mark.fault("F18")
def test_a_publish_stopped_anywhere_leaves_a_bundle(
    first: Bundle, second: Bundle, tmp_path: Path
) -> None:
    third = release(tmp_path / "third", 3)
    for step in range(1, 100):
        served = tmp_path / f"served-{step}"
        publish(third, served)
        publish(second, served)
        with stop_at(step) as called:
            try:
                publish(first, served)
                break
            except Stopped:
                pass
        left = load_bundle(served)
        assert left.digest in {first.digest, second.digest}, called
        # Whatever was left half done does not stand in the way.
        assert publish(first, served).digest == first.digest
        assert load_bundle(served).digest == first.digest
    assert step > 5
    assert "replace" in called


def test_a_rollback_stopped_anywhere_leaves_a_bundle(
    first: Bundle, second: Bundle, tmp_path: Path
) -> None:
    for step in range(1, 100):
        served = tmp_path / f"served-{step}"
        publish(first, served)
        publish(second, served)
        with stop_at(step):
            try:
                rollback(served)
                break
            except Stopped:
                pass
        assert load_bundle(served).digest in {first.digest, second.digest}
    assert step == 3


def test_what_is_served_is_kept_though_another_was_copied_since(
    first: Bundle, second: Bundle, served: Path, tmp_path: Path
) -> None:
    for bundle in (first, second):
        publish(bundle, served)
    third = publish(release(tmp_path / "third", 3), served, active=first.digest)

    assert manifest_of(served, first.digest) == PREVIOUS_NAME
    assert manifest_of(served, second.digest) is None
    assert rollback(served, first.digest).digest == first.digest
    assert rollback(served, first.digest).digest == first.digest
    with pytest.raises(BundleInvalid, match=f"does not hold bundle {second.digest[:12]}"):
        rollback(served, second.digest)
    assert rollback(served).digest == third.digest


def test_what_is_served_elsewhere_need_not_be_here(
    first: Bundle, second: Bundle, served: Path
) -> None:
    publish(first, served)
    publish(second, served, active="0" * 64)
    assert rollback(served).digest == first.digest


def publish_too_late(bundle: Bundle, target: Path) -> None:
    """The record was changed by somebody else meanwhile."""
    with changing(target):
        releases.publish(bundle, target)
        raise Conflict("The record names another one by now.")


def test_after_a_conflict_the_folder_names_what_it_named(
    first: Bundle, second: Bundle, served: Path, tmp_path: Path
) -> None:
    for bundle in (first, second):
        publish(bundle, served)
    third = release(tmp_path / "third", 3)

    with pytest.raises(Conflict):
        publish_too_late(third, served)

    assert load_bundle(served).digest == second.digest
    assert rollback(served).digest == first.digest


def test_a_conflict_at_the_first_publish_leaves_a_place_for_bundles(
    first: Bundle, second: Bundle, served: Path
) -> None:
    served.mkdir()
    with pytest.raises(Conflict):
        publish_too_late(first, served)

    assert manifest_of(served, first.digest) is None
    assert publish(second, served).digest == second.digest
    assert names(served) == {"bundle.json", *second.manifest.models.values()}
