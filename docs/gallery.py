"""The gallery: every preset trained with its own settings, and a page of what it answers on held-out rows.

    python docs/gallery.py                    those whose YAML, rows or parts have changed
    python docs/gallery.py --only captioning grounding
    python docs/gallery.py --all              every one again

A page shows the first held-out rows, chosen by nobody. What was measured stands in a JSON file beside it, from which
the index is written. Seconds are the clock's, or the processor's where these are fewer: others may share the machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from omniline.core.errors import DataError, OmnilineError
from omniline.core.example import RowId
from omniline.core.rows import is_absent, read_path
from omniline.tasks.binding import Bound
from omniline.tasks.evaluation import Evaluation, evaluate
from omniline.tasks.memory import keep_pages
from omniline.tasks.presets.baseline import trivial_values
from omniline.tasks.presets.catalog import FOLDER, OWN, Preset, main_task, presets
from omniline.tasks.presets.training import train_taskfile
from omniline.tasks.taskfile import TaskFile

sys.path.insert(0, str(Path(__file__).resolve().parent))
from picturing import Page, masked_text, picture_of_patches, settings_of_slot

GALLERY = Path(__file__).resolve().parent / "gallery"
JUDGED = {True: 48, False: 128}
"""Held-out rows: fewer where the answers are pictures, sounds, clips or motions."""
MANY, FEW = 6, 3
LARGE = ("AUDIO", "VIDEO", "MOTION")
MADE = ("IMAGE", *LARGE)
ASSETS = ("png", "jpg", "gif", "wav", "bvh")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the pages that are out of date, then the index."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these presets alone, whether or not they changed")
    parser.add_argument("--all", action="store_true", help="every preset, whether or not it changed")
    parser.add_argument("--steps", type=int, help="fewer steps than the preset says, to try the pages out")
    parser.add_argument("--out", type=Path, default=GALLERY, help="the folder of the pages")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    keep_pages()
    failed = []
    for name, preset in ready().items():
        if options.only and name not in options.only:
            continue
        if not (options.only or options.all) and is_current(preset, options.out):
            print(f"{name}: up to date")
            continue
        began = time.perf_counter()
        try:
            record = make(preset, options.out, options.steps)
        except (OmnilineError, OSError, ValueError, RuntimeError) as cause:
            traceback.print_exc()
            failed.append(name)
            print(f"{name}: {cause}", flush=True)
            continue
        best = f"{record['metric']} {shown(record['value'])} (constant {shown(record['trivial'])})"
        print(f"{name}: {best}, {time.perf_counter() - began:.0f} s", flush=True)
    (options.out / "README.md").write_text(index(options.out), encoding="utf-8")
    return int(bool(failed))


def ready() -> dict[str, Preset]:
    """The shipped presets that need no download."""
    return {n: p for n, p in presets().items() if p.package == OWN and not n.endswith("_full")}


def digest(preset: Preset) -> str:
    """Of the preset's file and of the code that makes its rows."""
    total = hashlib.sha256(preset.path.read_bytes())
    for entry in preset.read().entries.values():
        for split in ("train", "valid"):
            call = entry[split]["call"] if isinstance(entry.get(split), dict) else ""
            module = FOLDER.parents[1].joinpath(*call.partition(":")[0].split(".")[1:]).with_suffix(".py")
            total.update(module.read_bytes() if module.is_file() else b"")
    return total.hexdigest()[:16]


def is_current(preset: Preset, folder: Path) -> bool:
    """Whether the page was made from the preset as it is."""
    record = folder / f"{preset.name}.json"
    return record.is_file() and json.loads(record.read_text(encoding="utf-8")).get("digest") == digest(preset)


class Watch:
    """How long something takes, from now on."""

    def __init__(self) -> None:
        self.clock, self.processor = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        """So far: by the clock, or of the processor where that is less."""
        return min(time.perf_counter() - self.clock, time.process_time() - self.processor)


def make(preset: Preset, folder: Path, steps: int | None = None) -> dict[str, Any]:
    """Train, judge, and write a page with its files; what the index needs to know."""
    file = preset.read()
    main_name = main_task(file, preset.name)
    training = Watch()
    trained = train_taskfile(file, steps=steps)
    seconds, model = training.seconds(), trained.model
    (task,) = (one for one in trained.mixture if one.name == main_name)
    watch = Watch()
    slow = any(slot.modality in MADE and not slot.given for slot in task.plan.targets)
    result = evaluate(model, task, rows=JUDGED[slow])[0]
    answering = watch.seconds() / max(result.rows, 1)
    bound = model.bound(task)
    try:
        trivial = trivial_values(bound, result.truths)
    except DataError:
        trivial = {}
    for old in (path for kind in ASSETS for path in folder.glob(f"{preset.name}-*.{kind}")):
        old.unlink()
    page = Page(folder, preset.name)
    examples = list(shots(page, model, bound, result))
    metric = file.about.metric or next(iter(result.values), "")
    record = {
        "name": preset.name,
        "title": file.about.title or preset.name,
        "line": bound.plan.text.split(" ||| ")[0],
        "metric": metric,
        "value": result.values.get(metric),
        "trivial": trivial.get(metric),
        "lower": metric in result.lower,
        "values": dict(result.values),
        "trivials": trivial,
        "lowers": sorted(result.lower),
        "rows": result.rows,
        "steps": len(trained.losses),
        "losses": [trained.early(), trained.late()],
        "seconds": round(seconds, 1),
        "answering": answering,
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "thumb": next(iter(page.answers or page.pictures), ""),
        "digest": digest(preset) if steps is None else "",
    }
    (folder / f"{preset.name}.json").write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    (folder / f"{preset.name}.md").write_text(written(record, file, examples), encoding="utf-8")
    return record


def shots(page: Page, model: Any, bound: Bound, result: Evaluation) -> Iterator[dict[str, str]]:
    """The first held-out rows, each as a mapping from heading to cell."""
    slots = bound.plan.alternatives[0].slots
    count = FEW if any(slot.modality in LARGE for slot in slots) else MANY
    count -= any(slot.modality == "AUDIO" and slot.side == "target" for slot in slots)
    if bound.plan.alternatives[0].arrow == "<->":
        yield from found_pairs(page, bound, result, count)
        return
    for number, (row, output) in enumerate(list(zip(result.truths, result.outputs, strict=True))[:count]):
        cells: dict[str, str] = {}
        picture = next((read_path(row, s.path) for s in slots if s.modality == "IMAGE" and s.side == "source"), None)
        seen = read_as_seen(model, bound, number, row)
        for slot in slots:
            value = read_path(row, slot.path)
            if (slot.side == "source" or slot.given) and not is_absent(value):
                hidden = settings_of_slot(slot).get("mask_ratio") or 0
                head = f"{slot.name} (in{f', {hidden:.0%} hidden' if hidden else ''})"
                cells[head] = page.cell(seen.get(slot.index, value), slot.modality, (), picture)
        for slot in (one for one in slots if one.side == "target" and not one.given):
            names = texts_beside(slot, slots, output.to_dict())
            true_names = texts_beside(slot, slots, {s.name: read_path(row, s.path) for s in slots})
            before = len(page.pictures)
            value = output.to_dict().get(slot.name)
            cells[f"{slot.name}: the model"] = page.cell(value, slot.modality, names, picture)
            page.answers += page.pictures[before:]
            truth = read_path(row, slot.path)
            cells[f"{slot.name}: the truth"] = page.cell(
                None if is_absent(truth) else truth, slot.modality, true_names, picture
            )
        yield cells


def texts_beside(slot: Any, slots: Sequence[Any], values: Mapping[str, Any]) -> Sequence[str]:
    """The texts of the same group, which name boxes."""
    if slot.modality != "BOX" or not slot.depth:
        return ()
    for one in slots:
        if one.modality == "TEXT" and one.depth == slot.depth and one.side == slot.side:
            found = values.get(one.name)
            return found if isinstance(found, list) else ()
    return ()


def found_pairs(page: Page, bound: Bound, result: Evaluation, count: int) -> Iterator[dict[str, str]]:
    """For `<->`: each row's left side, and the right side that lies nearest among all rows."""
    left, right = (
        torch.nn.functional.normalize(torch.stack([o.embeddings[side] for o in result.outputs]), dim=-1)
        for side in ("source", "target")
    )
    nearest = (left @ right.T).argmax(1).tolist()
    slots = bound.plan.alternatives[0].slots
    for number, row in enumerate(result.truths[:count]):
        cells = {}
        for slot in slots:
            if slot.side == "source":
                cells[slot.name] = page.cell(read_path(row, slot.path), slot.modality)
            else:
                best = read_path(result.truths[nearest[number]], slot.path)
                cells[f"{slot.name}: nearest of {result.rows}"] = page.cell(best, slot.modality)
                cells[f"{slot.name}: the truth"] = page.cell(read_path(row, slot.path), slot.modality)
        yield cells


def read_as_seen(model: Any, bound: Bound, number: int, row: Mapping[str, Any]) -> dict[int, Any]:
    """What the model saw of slots that are hidden in part: the picture with its hole, the text with its gaps."""
    hidden = [
        s for s in bound.plan.alternatives[0].slots if s.side == "source" and settings_of_slot(s).get("mask_ratio")
    ]
    if not hidden:
        return {}
    reader = model.reader(bound)
    sketch, _ = reader.sketch(row, 0, mode="valid", targets=False)
    example = reader.encode(sketch, RowId(bound.task.name, number), wording=0, seed=0, mode="valid")
    held = {piece.slot: piece.encoded for stream in example.streams for piece in stream.source if piece.slot >= 0}
    found: dict[int, Any] = {}
    for slot in hidden:
        tensors = held[slot.index].tensors if slot.index in held else {}
        if "patches" in tensors:
            settings = settings_of_slot(slot)
            found[slot.index] = picture_of_patches(tensors["patches"], settings.get("patch") or settings["factor"])
        elif slot.modality == "TEXT":
            found[slot.index] = masked_text([int(token) for token in tensors["tokens"]], model.tokenizer)
    return found


def shown(value: float | None) -> str:
    """A figure, or a dash."""
    return "-" if value is None else f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"


def written(record: Mapping[str, Any], file: TaskFile, examples: Sequence[Mapping[str, str]]) -> str:
    """The page of a preset."""
    about = file.about
    lines = [f"# {record['title']}", "", "```", record["line"], "```", ""]
    lines += [f"    omniline train {record['name']}", "", f"Data: {about.data}  ", f"Licence: {about.licence}  "]
    if about.ofasys not in ("", "none"):
        lines.append(f"OFASys calls it `{about.ofasys}`.  ")
    lines += [
        f"Trained for {record['seconds']:.0f} s ({record['steps']:,} steps, {record['threads']} threads), "
        f"{record['parameters'] / 1e6:.2f} M parameters; loss {record['losses'][0]:.3f} to {record['losses'][1]:.3f}; "
        f"{1000 * record['answering']:.0f} ms an answer.",
        "",
        f"| metric, {record['rows']} held-out rows | this model | best constant answer |",
        "|---|---:|---:|",
    ]
    for name, value in record["values"].items():
        way = "↓" if name in record["lowers"] else "↑"
        mark = "**" if name == record["metric"] else ""
        lines.append(f"| {mark}{name}{mark} {way} | {shown(value)} | {shown(record['trivials'].get(name))} |")
    heads = list(dict.fromkeys(head for cells in examples for head in cells))
    lines += [
        "",
        f"## The first {len(examples)} held-out rows",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
    ]
    lines += [f"| {' | '.join(cells.get(head, '') for head in heads)} |" for cells in examples]
    return "\n".join(lines) + "\n"


def index(folder: Path) -> str:
    """The table of all pages."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    lines = [
        "# The gallery",
        "",
        "Every preset, trained from nothing by `omniline train NAME` on a CPU with its own settings. The figure is on",
        "held-out rows, beside what the best constant answer scores on them. The models are tiny and the data small or",
        "made: the pages show that each way works, not how good a large model would be. `make gallery` makes them",
        "again.",
        "",
        "| | task | line | held-out | constant | seconds |",
        "|---|---|---|---:|---:|---:|",
    ]
    for one in records:
        thumb = f'<img src="{one["thumb"]}" width="64">' if one["thumb"] else ""
        line = one["line"].replace("|", "&#124;")
        figure = f"{one['metric']} {'↓' if one['lower'] else '↑'} **{shown(one['value'])}**"
        page = f"[{one['title']}]({one['name']}.md)"
        cells = (thumb, page, f"<code>{line}</code>", figure, shown(one["trivial"]), f"{one['seconds']:.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
