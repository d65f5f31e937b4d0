"""Fonts to write with, split by family into those that training sees and those it never does."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTCollection, TTFont, TTLibError
from PIL import ImageFont

SYSTEM_DIRS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))

# A font whose family begins with one of these is kept for evaluation.
UNSEEN_FAMILIES = (
    "AR PL",
    "Amiri",
    "Bebas Neue",
    "Comfortaa",
    "Courier Prime",
    "Dancing Script",
    "Dosis",
    "EB Garamond",
    "IPAGothic",
    "IPAPGothic",
    "Jura",
    "Kaushan Script",
    "Lobster",
    "Lohit Devanagari",
    "NanumMyeongjo",
    "Noto Sans Mono",
    "Noto Serif",
    "Open Sans",
    "PT Sans",
    "Quattrocento",
    "Roboto Slab",
)

# Keycaps, initials with ornaments and the like: nobody writes a price with them.
ODD_FAMILIES = (
    "Amiri Quran",
    "Linux Biolinum Keyboard",
    "Linux Libertine Initials",
    "Noto Sans Math",
)

PACKAGES = (
    "fonts-allerta fonts-arphic-gbsn00lp fonts-b612 fonts-bebas-neue fonts-cabin fonts-cantarell fonts-comfortaa "
    "fonts-comic-neue fonts-courier-prime fonts-crosextra-caladea fonts-crosextra-carlito "
    "fonts-dancingscript fonts-dejavu fonts-dosis fonts-ebgaramond fonts-freefont-ttf "
    "fonts-gfs-didot fonts-gfs-neohellenic fonts-hosny-amiri fonts-humor-sans fonts-inconsolata "
    "fonts-inter fonts-ipafont-gothic fonts-jetbrains-mono fonts-junicode fonts-jura fonts-karla "
    "fonts-kaushanscript fonts-lato fonts-league-mono fonts-league-spartan fonts-leckerli-one "
    "fonts-liberation fonts-linuxlibertine fonts-lobster fonts-lobstertwo fonts-lohit-deva "
    "fonts-manrope fonts-nanum fonts-noto-core fonts-oldstandard fonts-open-sans fonts-paratype "
    "fonts-play fonts-quattrocento fonts-quicksand fonts-roboto fonts-roboto-slab "
    "fonts-sil-andika fonts-vlgothic fonts-wqy-zenhei"
)

# A font serves a script when it has all of these characters.
SCRIPT_PROBES = {
    "latin": "AZaz059+.,-:/@",
    "cyrillic": "АЯжщю",
    "greek": "ΑΩλψ",
    "arabic": "ابتمعن",
    "hebrew": "אבגשת",
    "devanagari": "अकमहित",
    "thai": "กขคมา",
    "han": "出售电话价格",
    "kana": "あいのカンス",
    "hangul": "가나다한국",
}


@dataclass(frozen=True)
class Face:
    """One style of a family; without a path it is the font that Pillow brings along."""

    family: str
    path: str | None
    index: int
    scripts: tuple[str, ...]

    @property
    def has_digits(self) -> bool:
        """Whether numbers can be set in it; fonts of one script alone often have none."""
        return "latin" in self.scripts

    def at(self, size_px: int) -> ImageFont.FreeTypeFont:
        """The face at an em of `size_px` pixels."""
        return _loaded(self.path, self.index, size_px)


BUILT_IN = Face("Aileron", None, 0, ("latin",))


class FontSet:
    """Faces to draw from: the script first, then a family, then one of its styles."""

    def __init__(self, faces: list[Face]):
        self.by_script: dict[str, dict[str, list[Face]]] = {}
        for face in faces:
            for script in face.scripts:
                self.by_script.setdefault(script, {}).setdefault(face.family, []).append(face)

    def families(self) -> list[str]:
        """All families, sorted."""
        return sorted({name for families in self.by_script.values() for name in families})

    def pick(self, script: str, rng: np.random.Generator) -> Face:
        """A face for `script`: each family is as likely, however many styles it has."""
        families = self.by_script[script]
        faces = families[sorted(families)[rng.integers(len(families))]]
        return faces[rng.integers(len(faces))]


def built_in() -> FontSet:
    """Pillow's own font alone: enough for a smoke test."""
    return FontSet([BUILT_IN])


def load_fonts(dirs: list[Path] | None = None) -> tuple[FontSet, FontSet]:
    """The fonts under `dirs` (default: the system's) for training and those it must not see.

    Raises `SystemExit` with the packages to install where one of the two is without Latin.
    """
    roots = dirs or list(SYSTEM_DIRS)
    paths = sorted(
        p for root in roots for p in root.rglob("*") if p.suffix in (".ttf", ".otf", ".ttc")
    )
    faces = [face for path in paths for face in _faces_of(path)]
    seen = FontSet([face for face in faces if not face.family.startswith(UNSEEN_FAMILIES)])
    unseen = FontSet([face for face in faces if face.family.startswith(UNSEEN_FAMILIES)])
    if "latin" not in seen.by_script or "latin" not in unseen.by_script:
        places = ", ".join(str(root) for root in roots)
        raise SystemExit(
            f"too few fonts under {places}; on Debian:\n  apt-get install {PACKAGES}\n"
            "or name folders that hold others with --fonts DIR"
        )
    return seen, unseen


def _faces_of(path: Path) -> list[Face]:
    try:
        if path.suffix == ".ttc":
            fonts = TTCollection(str(path), lazy=True).fonts
        else:
            fonts = [TTFont(str(path), lazy=True)]
        return [face for index, font in enumerate(fonts) if (face := _face(path, index, font))]
    except (TTLibError, OSError, AssertionError):
        return []  # a file that fontTools cannot read is no font for us


def _face(path: Path, index: int, font: TTFont) -> Face | None:
    characters = font.getBestCmap() or {}
    covers = lambda probe: all(ord(character) in characters for character in probe)
    scripts = tuple(script for script, probe in SCRIPT_PROBES.items() if covers(probe))
    family = font["name"].getBestFamilyName()
    if not scripts or not family or family.startswith(ODD_FAMILIES):
        return None
    return Face(family, str(path), index, scripts)


@lru_cache(maxsize=512)
def _loaded(path: str | None, index: int, size_px: int) -> ImageFont.FreeTypeFont:
    if path is None:
        return ImageFont.load_default(size_px)
    return ImageFont.truetype(path, size_px, index=index)
