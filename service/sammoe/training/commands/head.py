"""``sammoe train gate --mode heads``: one expert's head."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sammoe.bundle import FEATURES_FILE, GENERAL_DECODER, Bundle, Expert, ReferenceFeatures
from sammoe.bundle.locking import claimed
from sammoe.errors import BundleInvalid, SettingsInvalid
from sammoe.export.commands import describe
from sammoe.export.reading import Networks
from sammoe.export.sharing import check_shared
from sammoe.model.checkpoint import load_checkpoint
from sammoe.model.heads_file import save_head
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.training.gates.heads import USUAL_SOFTENING, HeadRecipe
from sammoe.training.gates.new_head import HeadMaker
from sammoe.training.gates.sources import read_together
from sammoe.training.telling import tell


def run_head(args: argparse.Namespace, bundle: Bundle, networks: Networks) -> None:
    """Train it as asked, and say what comes next."""
    if args.train_experts:
        raise SettingsInvalid("--train-experts goes with --mode joint or paper")
    if networks.reference is None:
        raise BundleInvalid(
            f"{bundle.path} has no random prompts for heads to learn from: make a bundle with"
            f" sammoe train negatives --bundle {bundle.path} --data ..."
        )
    expert, decoder = _expert(args, bundle, networks)
    _check_domains(args.same_as, networks.reference)
    default = HeadRecipe()
    recipe = HeadRecipe(steps=args.steps or default.steps, lr=args.lr or default.lr, seed=args.seed)
    maker = HeadMaker(
        networks.model,
        networks.reference,
        bundle.manifest.window_rule(),
        args.prompts or 500,
        recipe,
        args.cache,
        args.data_seed,
    )
    own, general = read_together(args.data, args.also_general)
    out = args.out or (args.checkpoint.parent if args.checkpoint else run_folder(expert.name))
    with claimed(out):
        made = maker.make(expert, decoder, own, general, args.same_as)
        print(_told_of_domains(networks.reference, made.left_out))
        for kind, look in made.looks.items():
            print(
                f"{kind}: AUROC {look.auroc:.3f}, recall at .5 {look.recall:.2f},"
                f" false alarms {look.false_alarms:.2f}"
            )
        if not made.looks:
            tell(_told_of_doubt(expert.name))
        path = out / "head.safetensors"
        features = f"{bundle.manifest.models[GENERAL_DECODER]}/{FEATURES_FILE}"
        save_head(path, expert.name, made.net, bundle.manifest.files[features])
        print(f"{path}: head of {expert.name}; next: {_after_head(args, bundle, path)}")


def task_of(args: argparse.Namespace) -> tuple[object, ...]:
    """What was said of the expert's task."""
    return args.name, args.classes, args.modality


def run_folder(name: str) -> Path:
    """Where a gate is written when nothing is said."""
    return Path("runs") / f"gate_{name}"


def _expert(
    args: argparse.Namespace, bundle: Bundle, networks: Networks
) -> tuple[Expert, MaskDecoder]:
    """Whose head is wanted, and the decoder."""
    if args.checkpoint:
        checkpoint = load_checkpoint(args.checkpoint)
        check_shared(bundle, checkpoint.model, args.checkpoint)  # before the head is trained
        expert = describe(args, args.checkpoint, checkpoint.metadata)
        device = next(networks.model.mask_decoder.parameters()).device
        return expert, checkpoint.model.mask_decoder.requires_grad_(False).to(device)
    experts = {expert.name: expert for expert in bundle.manifest.experts}
    if args.expert is None:
        raise SettingsInvalid("say whose head to train: --checkpoint FILE or --expert NAME")
    if any(task_of(args)):
        raise SettingsInvalid(
            f"the bundle says what {args.expert} is for: --name, --class and --modality go with"
            " --checkpoint"
        )
    if args.expert not in experts:
        known = ", ".join(experts) or "none"
        raise SettingsInvalid(f"{bundle.path} has no expert {args.expert!r}; it has: {known}")
    return experts[args.expert], networks.experts[args.expert]


def _check_domains(names: Sequence[str], reference: ReferenceFeatures) -> None:
    for name in names:
        if name not in reference.domains:
            raise SettingsInvalid(
                f"--same-as {name}: the bundle has no random prompts of that domain; it has those"
                f" of {', '.join(reference.domains)}"
            )


def _told_of_domains(reference: ReferenceFeatures, left_out: Sequence[str]) -> str:
    used = [name for name in reference.domains if name not in left_out]
    return (
        f"random prompts of the bundle: learnt from {', '.join(used) or 'none'}; left out, as the"
        f" expert's own: {', '.join(left_out) or 'none'} (--same-as names more)"
    )


def _told_of_doubt(name: str) -> str:
    return (
        f"no calibration patient shows {name}, so its head may still be too sure, or not sure"
        f" enough, beside others: its logits are multiplied by {USUAL_SOFTENING:.2f}, as heads"
        " usually need. To have it measured, label more patients, give a new one the part calibrate"
        " in the data set's split.json, and train the head again"
    )


def _after_head(args: argparse.Namespace, bundle: Bundle, head: Path) -> str:
    """The command that puts a head into the bundle, with its expert if that is new."""
    action = "set-gate" if args.expert else "add-expert"
    options = {
        "--checkpoint": [args.checkpoint] if args.checkpoint else [],
        "--name": [args.name] if args.name else [],
        "--modality": args.modality or [],
        "--class": args.classes or [],
        "--head": [head],
    }
    words = [" ".join(map(str, (name, *values))) for name, values in options.items() if values]
    return " ".join(["sammoe bundle", action, str(bundle.path), *words, "--out ..."])
