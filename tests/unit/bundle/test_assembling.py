import hashlib
from pathlib import Path

import pytest

from sammoe.bundle import (
    TENSORRT_CONFIG,
    Manifest,
    Routing,
    assembling,
    load_bundle,
    locking,
    releases,
)
from sammoe.bundle.assembling import assemble, upgrade
from sammoe.bundle.selector import is_current, without_selector
from sammoe.errors import BundleInvalid, Conflict
from tests.unit.bundle.bundles import EXPERT, write_bundle


def test_an_older_bundle_gets_what_triton_needs(tmp_path: Path) -> None:
    before = write_bundle(tmp_path / "old", (EXPERT,))
    old = load_bundle(tmp_path / "old")

    new = upgrade(old, out=tmp_path / "new")

    assert new.manifest.models.keys() == before.models.keys()
    for plain in before.models:
        assert new.model_digest(plain) == old.model_digest(plain)
        assert (new.path / new.manifest.models[plain] / TENSORRT_CONFIG).is_file()
    assert new.manifest.selector is not None
    assert load_bundle(old.path).digest == old.digest


def test_the_selector_holds_the_manifest_without_itself(tmp_path: Path) -> None:
    write_bundle(tmp_path, (EXPERT,))

    manifest = upgrade(load_bundle(tmp_path), out=tmp_path).manifest

    held = (tmp_path / str(manifest.selector) / "1" / "bundle.json").read_bytes()
    assert manifest.selector_digest == hashlib.sha256(held).hexdigest()
    assert type(manifest).model_validate_json(held) == without_selector(manifest)


def test_a_selector_of_another_version_is_known(tmp_path: Path) -> None:
    write_bundle(tmp_path, (EXPERT,))

    manifest = upgrade(load_bundle(tmp_path), out=tmp_path).manifest

    assert is_current(manifest)
    name = f"{manifest.selector}/1/selector.py"
    files = {**manifest.files, name: 64 * "0"}
    assert not is_current(manifest.model_copy(update={"files": files}))


def test_an_upgrade_of_what_is_new_changes_nothing(tmp_path: Path) -> None:
    write_bundle(tmp_path / "here", (EXPERT,))
    once = upgrade(load_bundle(tmp_path / "here"), out=tmp_path / "here")

    assert upgrade(once, out=once.path).digest == once.digest
    assert upgrade(once, out=tmp_path / "there").digest == once.digest
    assert {p.name for p in once.path.iterdir()} == {
        "bundle.json",
        *once.manifest.folders.values(),
    }


def test_a_bundle_that_differs_in_routing_alone_has_a_selector_of_its_own(tmp_path: Path) -> None:
    write_bundle(tmp_path / "one", (EXPERT,))
    one = upgrade(load_bundle(tmp_path / "one"), out=tmp_path / "one")
    manifest = one.manifest.model_copy(update={"routing": Routing(fusion="logit")})

    two = assemble(one, manifest, {}, out=tmp_path / "two", replace=False)

    assert two.manifest.models == one.manifest.models
    assert two.manifest.selector != one.manifest.selector


def test_a_selector_is_published_with_its_bundle_and_goes_with_it(tmp_path: Path) -> None:
    write_bundle(tmp_path / "old")
    bundles = [upgrade(load_bundle(tmp_path / "old"), out=tmp_path / "one")]
    for name in ("two", "three"):
        write_bundle(tmp_path / f"old-{name}", version=name)
        bundles.append(upgrade(load_bundle(tmp_path / f"old-{name}"), out=tmp_path / name))

    for bundle in bundles:
        releases.publish(bundle, tmp_path / "served")
        releases.tidy(tmp_path / "served")

    served = {path.name for path in (tmp_path / "served").iterdir()}
    assert served & {str(b.manifest.selector) for b in bundles} == {
        str(b.manifest.selector) for b in bundles[1:]
    }


def test_replacing_a_published_bundle_keeps_the_one_before_for_a_rollback(tmp_path: Path) -> None:
    bundles = []
    for name in ("one", "two", "three"):
        write_bundle(tmp_path / name, version=name)
        bundles.append(load_bundle(tmp_path / name))
    one, two, three = bundles
    served = tmp_path / "served"
    for bundle in (one, two):
        releases.publish(bundle, served)

    upgrade(three, out=served, replace=True)

    assert not (served / two.manifest.models["decoder_general"]).exists()
    replaced = load_bundle(served)
    routing = replaced.manifest.model_copy(update={"routing": Routing(fusion="logit")})
    assemble(replaced, routing, {}, out=served, replace=True)
    assert releases.rollback(served).digest == one.digest


def test_a_bundle_that_was_published_over_since_is_not_changed(tmp_path: Path) -> None:
    served = tmp_path / "served"
    for name in ("one", "two"):
        write_bundle(tmp_path / name, version=name)
    read = releases.publish(load_bundle(tmp_path / "one"), served)
    releases.publish(load_bundle(tmp_path / "two"), served)

    with pytest.raises(Conflict, match="another bundle by now than the one that was read"):
        upgrade(read, out=served)
    assert load_bundle(served).manifest.name == "testtwo"


def test_nobody_publishes_where_a_bundle_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "WAIT_SECONDS", 0.0)
    write_bundle(tmp_path / "one")
    one, served = load_bundle(tmp_path / "one"), tmp_path / "served"

    def publish(root: Path, manifest: Manifest) -> None:
        with releases.changing(root):
            pytest.fail("two at once")

    monkeypatch.setattr(assembling, "write_manifest", publish)
    with pytest.raises(Conflict, match="has been writing into"):
        upgrade(one, out=served)
    with releases.changing(served), pytest.raises(Conflict, match="has been writing into"):
        upgrade(one, out=served)


def test_a_model_changed_since_is_not_passed_on(tmp_path: Path) -> None:
    write_bundle(tmp_path / "old")
    old = load_bundle(tmp_path / "old")
    old.model_path("decoder_general").write_bytes(b"other")

    with pytest.raises(BundleInvalid, match="differs from its manifest"):
        upgrade(old, out=tmp_path / "new")


def test_a_selector_without_its_files_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    manifest = upgrade(load_bundle(tmp_path), out=tmp_path).manifest
    files = {n: d for n, d in manifest.files.items() if not n.endswith("1/selector.py")}

    with pytest.raises(ValueError, match=r"files lacks selector-\w+/1/selector.py"):
        type(manifest).model_validate({**manifest.model_dump(), "files": files})
