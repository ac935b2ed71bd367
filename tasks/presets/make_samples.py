"""Makes the sample data that ships in `samples/`: run it to rebuild them from their sources.

    python tasks/presets/make_samples.py emoji digits english

It needs the network: Debian's `apt-get download` and `dpkg-deb`, and pip. Sources are fetched into a temporary
folder, pinned by version, and checked against the sha256 below, so that another source stops the run. Nothing in the
library imports this file.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SAMPLES = Path(__file__).with_name("samples")
SOURCES = {
    "fonts-noto-color-emoji=2.042-0+deb12u1": "a5ab0f69c7938423862320d9aca5dd187b3fd879d6a9a57dd52e17c3fa8d2751",
    "wordnet-base=1:3.0-37": "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
    "emoji==2.16.0": "c4230d80640def9071599ff56b1b5950fe13a2a94c0da98c5deab12431b24330",
    "scikit-learn==1.9.1": "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
}
WHEEL = ("--only-binary=:all:", "--platform=manylinux_2_28_x86_64", "--python-version=3.11")
SPRITE = 72
HELD_OUT = 0.2
ENGLISH_HELD_OUT = 0.05

EMOJI: dict[str, str] = {
    "animals": """ant, bat, bear, butterfly, camel, cat face, cow face, crab, crocodile, dog face, dolphin, duck,
        elephant, flamingo, fox, frog, giraffe, hedgehog, horse face, kangaroo, koala, lady beetle, lion, lobster,
        monkey face, mouse face, octopus, owl, panda, parrot, peacock, penguin, pig face, rabbit face, shark, snail,
        spider, squid, swan, tiger face, tropical fish, turtle, whale, zebra""",
    "food": """avocado, banana, birthday cake, broccoli, carrot, cheese wedge, cherries, coconut, cookie, croissant,
        doughnut, ear of corn, eggplant, french fries, grapes, hamburger, hot beverage, hot dog, kiwi fruit, lemon,
        lollipop, mushroom, peach, pear, pineapple, pizza, popcorn, pretzel, red apple, strawberry, sushi, taco,
        tomato, watermelon""",
    "nature": """cactus, cherry blossom, cloud with rain, crescent moon, fire, four leaf clover, high voltage,
        maple leaf, palm tree, rainbow, ringed planet, rose, snowflake, snowman, star, sun, sunflower, tornado, tulip,
        volcano, water wave""",
    "travel": """airplane, ambulance, anchor, automobile, bicycle, bus, canoe, castle, church, ferris wheel,
        flying saucer, helicopter, house, locomotive, moai, motorcycle, parachute, police car, rocket, sailboat,
        stop sign, taxi, tent, tractor, vertical traffic light""",
    "play": """accordion, american football, artist palette, balloon, basketball, bowling, bullseye, chess pawn, drum,
        game die, guitar, kite, microphone, musical keyboard, puzzle piece, saxophone, skateboard, soccer ball,
        teddy bear, tennis, trophy, trumpet, violin, wrapped gift, yo-yo""",
    "things": """alarm clock, axe, backpack, battery, bell, bomb, books, broom, bucket, camera, candle, chair,
        credit card, crown, dress, electric plug, gear, gem stone, glasses, gloves, hammer, headphone, jeans, key,
        light bulb, locked, magnet, microscope, necktie, pencil, pill, ring, scissors, screwdriver, shopping cart,
        stethoscope, sunglasses, syringe, t-shirt, telephone, television, top hat, umbrella, world map, yarn""",
    "fantasy": "alien, ghost, jack-o-lantern, robot, skull, unicorn",
}

GROUPS = {
    5: "animal",
    6: "artifact",
    13: "food",
    17: "object",
    19: "phenomenon",
    20: "plant",
    22: "process",
    23: "quantity",
    25: "shape",
    27: "substance",
    28: "time",
}
PLAIN = re.compile(r"[a-z][a-z ,'-]*[a-z]")
UNWANTED = re.compile(
    r"sex|erotic|obscen|vulgar|slur|offensive|derog|disparag|naked|nude|genital|penis|vagin|testi|semen|sperm|"
    r"breast|buttock|prostitut|brothel|contracept|condom|abort|excre|feces|fecal|urin|dung|feti|tortur|execut|kill|"
    r"suicid|murder|slave|nazi|gas chamber|narcotic|heroin|opium|cocaine|marijuana|cannabis|hallucin|corpse|nig+er|"
    r"darky|squaw|whore|bitch|cock\b|pussy|\btits?\b|\bass\b|crap|shit|rape|gay|queer|dyke|fag"
)


def fetch(name: str, folder: Path) -> Path:
    """Download one pinned source into `folder`, check its sha256 and print it."""
    if "==" in name:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *WHEEL, name]
    else:
        command = ["apt-get", "download", name]
    before = set(folder.iterdir())
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (path,) = set(folder.iterdir()) - before
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"source {name}  sha256 {digest}")
    if digest != SOURCES[name]:
        raise SystemExit(f"{name}: the sha256 must be {SOURCES[name]}, but is {digest}")
    if path.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", path.name, "unpacked"], cwd=folder, check=True)
        return folder / "unpacked"
    return path


def share(text: str) -> float:
    """A number in [0, 1) that depends on `text` alone: what decides the split."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def write_table(path: Path, rows: list[dict[str, str]], delimiter: str) -> None:
    """A header line and one line a row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def make_emoji(folder: Path) -> None:
    """Draw each chosen emoji once with the Noto font, cropped and scaled into a square with alpha."""
    wheel = zipfile.ZipFile(fetch("emoji==2.16.0", folder))
    known = json.loads(wheel.read("emoji/unicode_codes/emoji.json"))
    code = {v["en"].strip(":").replace("_", " "): k for k, v in known.items() if v["status"] == 2}
    unpacked = fetch("fonts-noto-color-emoji=2.042-0+deb12u1", folder)
    font = ImageFont.truetype(unpacked / "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf", 109)
    target = SAMPLES / "emoji"
    (target / "sprites").mkdir(parents=True, exist_ok=True)
    rows = []
    for group, listed in EMOJI.items():
        for name in (" ".join(part.split()) for part in listed.split(",")):
            file = f"sprites/{name.replace(' ', '-').lower()}.png"
            draw(code[name], font).save(target / file, optimize=True)
            rows.append({"name": name.lower(), "file": file, "group": group})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (target / "emoji.jsonl").write_text(lines, encoding="utf-8")
    copyright = (unpacked / "usr/share/doc/fonts-noto-color-emoji/copyright").read_text(encoding="utf-8")
    (target / "LICENCE").write_text(copyright, encoding="utf-8")


def draw(emoji: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """One emoji, centred in a transparent square of `SPRITE` pixels."""
    canvas = Image.new("RGBA", (180, 180), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((20, 20), emoji, font=font, embedded_color=True)
    glyph = canvas.crop(canvas.getbbox())
    side = max(glyph.size)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.paste(glyph, ((side - glyph.width) // 2, (side - glyph.height) // 2))
    return square.resize((SPRITE, SPRITE), Image.Resampling.LANCZOS)


def make_digits(folder: Path) -> None:
    """Put the 1,797 scans of 8 x 8 pixels on one sheet, 60 a row, and their labels and split in a table."""
    wheel = zipfile.ZipFile(fetch("scikit-learn==1.9.1", folder))
    table = gzip.decompress(wheel.read("sklearn/datasets/data/digits.csv.gz")).decode()
    items = [[round(float(cell)) for cell in line.split(",")] for line in table.splitlines()]
    sheet = Image.new("L", (60 * 8, -(-len(items) // 60) * 8))
    members: dict[int, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        scan = Image.frombytes("L", (8, 8), bytes(15 * ink for ink in item[:64]))
        sheet.paste(scan, (index % 60 * 8, index // 60 * 8))
        members[item[64]].append(index)
    held: set[int] = set()
    for indices in members.values():
        held |= set(sorted(indices, key=lambda i: share(f"digits/{i}"))[: round(HELD_OUT * len(indices))])
    target = SAMPLES / "digits"
    target.mkdir(parents=True, exist_ok=True)
    sheet.save(target / "sheet.png", optimize=True)
    split = ["valid" if index in held else "train" for index in range(len(items))]
    rows = [{"item": str(i), "digit": str(item[64]), "split": split[i]} for i, item in enumerate(items)]
    write_table(target / "digits.csv", rows, ",")
    licence = wheel.read("scikit_learn-1.9.1.dist-info/licenses/COPYING").decode().split("\n----\n")[0]
    described = wheel.read("sklearn/datasets/descr/digits.rst").decode()
    (target / "LICENCE").write_text(licence.strip() + "\n\n----\n\n" + described.strip() + "\n", encoding="utf-8")


def make_english(folder: Path) -> None:
    """Keep the plain noun definitions of WordNet that are 5 to 20 words long, one row a synset."""
    unpacked = fetch("wordnet-base=1:3.0-37", folder)
    rows = list(definitions(unpacked / "usr/share/wordnet/data.noun"))
    target = SAMPLES / "english"
    target.mkdir(parents=True, exist_ok=True)
    write_table(target / "english.tsv", rows, "\t")
    copyright = (unpacked / "usr/share/doc/wordnet-base/copyright").read_text(encoding="utf-8")
    (target / "LICENCE").write_text(copyright, encoding="utf-8")


def definitions(path: Path) -> Iterator[dict[str, str]]:
    """Read `data.noun` (wndb(5WN)): the first sense of each gloss, without repeated or unwanted text."""
    seen: set[str] = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        head, gloss = line.split(" | ", 1)
        offset, lexfile, _, _, lemma = head.split(" ", 5)[:5]
        text = gloss.split("; ")[0].strip()
        word = lemma.replace("_", " ")
        fits = 5 <= len(text.split()) <= 20 and len(text) <= 100 and PLAIN.fullmatch(text) and PLAIN.fullmatch(word)
        if int(lexfile) not in GROUPS or not fits or text in seen or UNWANTED.search(f"{word} {text}"):
            continue
        seen.add(text)
        split = "valid" if share(f"english/{offset}") < ENGLISH_HELD_OUT else "train"
        yield {"synset": f"n{offset}", "split": split, "group": GROUPS[int(lexfile)], "word": word, "text": text}


MAKERS = {"emoji": make_emoji, "digits": make_digits, "english": make_english}


def digest(name: str) -> str:
    """The sha256 over the names and the bytes of a set's files, its README apart."""
    total = hashlib.sha256()
    for path in sorted((SAMPLES / name).rglob("*")):
        if path.is_file() and path.name != "README.md":
            total.update(path.relative_to(SAMPLES).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def main(names: list[str]) -> None:
    """Make the named sets, all by default, and print the digest of each."""
    for name in names or list(MAKERS):
        with tempfile.TemporaryDirectory() as folder:
            MAKERS[name](Path(folder))
        print(f"made {name}  sha256 {digest(name)}")


if __name__ == "__main__":
    main(sys.argv[1:])
