"""Readers of the two layouts that data sets for this field come in.

nnU-Net
    ``dataset.json``, ``imagesTr/CASE_0000.nii.gz`` and ``labelsTr/CASE.nii.gz``, also without the
    ``_0000``. Labels are one map; in version 2 of the format a class may be a list of values, a
    *region*, so that classes can overlap. Only the first channel is read.
SAM-Med3D
    ``<class>/<modality>_<data set>/imagesTr/CASE.nii.gz`` and ``labelsTr/`` under the same name, a
    binary map per class.

Names that begin with a dot are passed over: macOS packs such, and copies that were stopped leave
them. Who runs the command is told of other files that are no scans by their names.

A ``patients.json`` beside them (case -> patient) is needed where a patient has several cases. Its
cases are called as files in ``labelsTr`` are, without the ending; one that it lacks is a patient of
its own.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from sammoe.errors import DataSetInvalid
from sammoe.training.datasets.dataset import Case, DataSet, LabelSource
from sammoe.training.datasets.modalities import HOW_TO_SAY, modality_of
from sammoe.training.datasets.objects import read_object, some
from sammoe.training.telling import tell
from sammoe.volume.volume import Modality

_ENDINGS = (".nii.gz", ".nii", ".nrrd")
"""Also in capitals: a scan's format is told by its content."""
_NOTES = (".json", ".txt", ".csv")
"""Endings of what may lie beside scans."""
_PLAIN = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f]+")
"""Names of classes become names of files."""
_NUMBERED = re.compile(r"(.+)_\d{4}")
"""A case's channel, or another case's name."""


def load_datasets(roots: Sequence[Path], *, labelled: bool = True) -> list[DataSet]:
    """Data sets in the order given.

    ``labelled``: see :func:`load_dataset`.

    Raises
    ------
    DataSetInvalid
        As for :func:`load_dataset`; or two have one name, by which their cases could not be told
        apart.
    """
    found: dict[str, DataSet] = {}
    for root in roots:
        dataset = load_dataset(root, labelled=labelled)
        if dataset.name in found:
            raise DataSetInvalid(
                f"two data sets are called {dataset.name!r}, {found[dataset.name].root} and"
                f" {dataset.root}: rename one's folder"
            )
        found[dataset.name] = dataset
    return list(found.values())


def load_dataset(root: Path, *, labelled: bool = True) -> DataSet:
    """List a data set's cases; no scan is read. Who runs the command is told of scans whose
    modality is not said, and of files that are passed over.

    Parameters
    ----------
    labelled
        If not, labels are not asked for: there may be none, and the cases have none.

    Raises
    ------
    DataSetInvalid
        The folder has neither layout, its ``dataset.json`` is malformed, its ``patients.json``
        names a case that is not here or no patient, two images are of one case, or an image or its
        label file is missing or has an ending that is not read. The detail names the file.
    """
    read = _nnunet if (root / "dataset.json").is_file() else _sam_med3d
    dataset = read(root, labelled)
    if not dataset.cases:
        raise DataSetInvalid(f"{root} holds no cases")
    return dataset


def _nnunet(root: Path, labelled: bool) -> DataSet:
    about = read_object(root / "dataset.json")
    classes = _classes(about, root) if labelled else {}
    channels = _channels(about)
    channel = str(channels.get("0", ""))
    modality = modality_of(channel)
    if modality is Modality.UNKNOWN:
        said = f"its channel name {channel!r}" if channel else "it"
        _tell_of_unknown(root, said)
    name_of_set, cases = root.resolve().name, []
    labelled_names = _names(root / "labelsTr")
    images = _first_channels(_scans(root / "imagesTr"), labelled_names, len(channels) == 1)
    patients = _patients(root, images)
    for name, image in images.items():
        labels = {}
        if labelled:
            label = _label(root / "labelsTr", name, image)
            labels = {key: LabelSource(label, values) for key, values in classes.items()}
        cases.append(Case(name_of_set, name, patients.get(name, name), image, labels, modality))
    return DataSet(name_of_set, root, tuple(classes), tuple(cases))


def _first_channels(
    images: Sequence[Path], labelled: Collection[str], one_channel: bool
) -> dict[str, Path]:
    """Case -> image. ``A_0000`` and ``A_0001`` are channels of ``A``, or two cases: the names of
    labels tell, even where labels are not asked for, as a case must have one name in all commands.
    In a folder without labels, cases of one channel have no others.
    """
    numbered: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        name, _ = _split_name(image)
        if match := _NUMBERED.fullmatch(name):
            numbered[match[1]].add(name)
    with_channels = {
        name
        for name, names in numbered.items()
        if f"{name}_0000" in names
        and (name in labelled or names.isdisjoint(labelled))
        and (name in labelled or len(names) == 1 or not one_channel)
    }
    found: dict[str, Path] = {}
    for image in images:
        name, _ = _split_name(image)
        if (match := _NUMBERED.fullmatch(name)) and match[1] in with_channels:
            if not name.endswith("_0000"):
                continue
            name = match[1]
        _add(found, name, image)
    return found


def _names(folder: Path) -> set[str]:
    """Of its scans, without endings; none if there is no folder."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return {_split_name(path)[0] for path in paths if _is_scan(path)}


def _add(found: dict[str, Path], name: str, image: Path) -> None:
    """Answers are kept by their cases' names, so a name is one case's."""
    if name in found:
        raise DataSetInvalid(
            f"two images are of the case {name!r}, {found[name]} and {image}: take one away, or"
            " give it another name"
        )
    found[name] = image


def _label(folder: Path, name: str, image: Path) -> Path:
    """The label file of a case, with its image's ending if there are several."""
    _, ending = _split_name(image)
    for possible in (ending, *_ENDINGS):
        if (path := folder / f"{name}{possible}").is_file():
            return path
    raise DataSetInvalid(f"{image} has no label file {folder / name}{ending}")


def _classes(about: Mapping[str, Any], root: Path) -> dict[str, frozenset[int]]:
    """Class -> values, without the background; both versions of the format.

    In version 1 several values may have one name: they are one class.
    """
    table, path = about.get("labels"), root / "dataset.json"
    wrong = DataSetInvalid(
        f"{path}: labels must name the classes' values, each a whole number or a list of them"
    )
    if not isinstance(table, dict) or not table:
        raise wrong
    try:
        if all(key.lstrip("-").isdigit() for key in table):  # version 1: value -> class
            background = table.get("0")
            found: dict[str, frozenset[int]] = {}
            for value, name in table.items():
                if name != background:
                    found[str(name)] = found.get(str(name), frozenset()) | {int(value)}
        else:
            found = {
                name: frozenset(map(_whole, value if isinstance(value, list) else [value]))
                for name, value in table.items()
            }
    except (TypeError, ValueError):
        raise wrong from None
    if "ignore" in found:
        raise DataSetInvalid(
            f"{path}: voxels of the label 'ignore' would be taken for background, for none can be"
            " left out of a scan: label them, or take out the scans that have such; then take"
            " 'ignore' out of the labels"
        )
    for name, values in found.items():
        if not values:
            raise DataSetInvalid(f"{path}: the class {name!r} has no value")
        if not _PLAIN.fullmatch(name):
            raise DataSetInvalid(f"{path}: the class {name!r} is no plain name, as files have")
    return {name: values for name, values in found.items() if values != {0}}


def _whole(value: Any) -> int:
    """A number as JSON has it, or in quotes; 1.7 is no label."""
    if isinstance(value, bool | float):
        raise TypeError
    return int(value)


def _channels(about: Mapping[str, Any]) -> dict[str, Any]:
    """Number -> name: ``channel_names`` in version 2 of the format, ``modality`` in 1."""
    channels = about.get("channel_names", about.get("modality", {}))
    return channels if isinstance(channels, dict) else {}


def _tell_of_unknown(root: Path, said: str) -> None:
    tell(
        f"{root}: {said} does not say whether scans are CT or MR, so it is guessed from each one's"
        f" voxels, by later commands as well: say it {HOW_TO_SAY}"
    )


def _sam_med3d(root: Path, labelled: bool) -> DataSet:
    if not root.is_dir():
        raise DataSetInvalid(f"{root} is no folder")
    images: dict[tuple[str, str], Path] = {}
    labels: defaultdict[tuple[str, str], dict[str, LabelSource]] = defaultdict(dict)
    classes = []
    for folder in sorted(root.glob("[!.]*/[!.]*/imagesTr")):
        source, kind = folder.parent, folder.parent.parent.name
        if modality_of(source.name.partition("_")[0]) is Modality.UNKNOWN:
            _tell_of_unknown(root, f"the folder name {source.name!r}")
        if kind not in classes:
            classes.append(kind)
        here: dict[str, Path] = {}
        for image in _scans(folder):
            name, _ = _split_name(image)
            _add(here, name, image)
            key = (source.name, name)
            images.setdefault(key, image)
            if labelled:
                label = source / "labelsTr" / image.name
                if not label.is_file():
                    raise DataSetInvalid(f"{image} has no label file {label}")
                labels[key][kind] = LabelSource(label, frozenset([1]))
    if not images:
        raise DataSetInvalid(
            f"{root} is no data set: it has neither dataset.json (nnU-Net) nor"
            " CLASS/MODALITY_DATASET/imagesTr (SAM-Med3D)"
        )
    patients = _patients(root, [name for _, name in images])
    named: dict[str, Path] = {}  # CT_A's B_C has the name of CT_A_B's C
    for key, image in images.items():
        _add(named, "_".join(key), image)
    name_of_set = root.resolve().name
    cases = [
        Case(
            name_of_set,
            f"{source}_{name}",
            patients.get(name, name),
            image,
            labels[source, name],
            modality_of(source.partition("_")[0]),
        )
        for (source, name), image in images.items()
    ]
    return DataSet(name_of_set, root, tuple(classes), tuple(cases))


def _scans(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataSetInvalid(f"{folder} is missing")
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    scans = [path for path in visible if _is_scan(path)]
    others = [path.name for path in visible if not _is_scan(path)]
    if unread := [repr(name) for name in others if not name.lower().endswith(_NOTES)]:
        which = f"{some(unread)}: scans are read from .nii.gz, .nii and .nrrd alone"
        if not scans:
            raise DataSetInvalid(f"{folder} holds no scans, but {which}")
        tell(f"{folder}: passed over {which}")
    for path in scans:
        try:
            path.name.encode()
        except UnicodeEncodeError:
            name = f"{folder}: {path.name!r}"
            raise DataSetInvalid(f"{name} is a name that is no UTF-8: rename the file") from None
    return scans


def _is_scan(path: Path) -> bool:
    return path.name.lower().endswith(_ENDINGS)


def _split_name(path: Path) -> tuple[str, str]:
    """Of a scan: its name, and the ending as it is written there."""
    length = next(len(ending) for ending in _ENDINGS if path.name.lower().endswith(ending))
    return path.name[:-length], path.name[-length:]


def _patients(root: Path, cases: Collection[str]) -> dict[str, str]:
    """Case -> patient, for those of the data set's cases of which ``patients.json`` says one.

    What it says of others must not be passed over: a patient whose case is spelt wrongly there
    would be in several parts of the split.
    """
    path = root / "patients.json"
    if not path.is_file():
        return {}
    table = read_object(path)
    known = set(cases)
    if wrong := [repr(case) for case in table if case not in known]:
        like = next(iter(cases), "case0")
        raise DataSetInvalid(
            f"{path} names {some(wrong)}, and no case is called so: name cases as files in labelsTr"
            f" are named, without the ending, such as {like!r}"
        )
    if wrong := [repr(case) for case, patient in table.items() if not _is_name(patient)]:
        raise DataSetInvalid(
            f"{path} must say who the patient is, as text or a whole number, of {some(wrong)}"
        )
    return {case: str(patient) for case, patient in table.items()}


def _is_name(patient: Any) -> bool:
    if isinstance(patient, str):
        return bool(patient.strip())
    return isinstance(patient, int) and not isinstance(patient, bool)
