"""Make the pictures of docs/prove.md from an evaluation: docs/images/prove_sheet.svg and prove_report.png.

    soarm prove examples/bundle --folder proof --twin --tracked
    python docs/proof_pictures.py proof

Run from the root of the repository. The first is the sheet as it is printed, the second the figures of the report.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from PIL import Image

FIGURES = ("success", "failures", "scenes", "times")
GAP = 24


def main() -> None:
    """Make both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of an evaluation that is done")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    sheet = (options.folder / "sheet.svg").read_text(encoding="utf-8")
    as_wide_as_the_page = re.sub(r'width="[\d.]+mm" height="[\d.]+mm"', 'width="900"', sheet, count=1)
    (options.out / "prove_sheet.svg").write_text(as_wide_as_the_page, encoding="utf-8")
    drawn = [Image.open(options.folder / "figures" / f"{name}.png").convert("RGB") for name in FIGURES]
    width = max(one.width for one in drawn)
    columns = [_stacked(drawn[:2], width), _stacked(drawn[2:], width)]
    height = max(len(one) for one in columns)
    padded = [np.pad(one, ((0, height - len(one)), (0, 0), (0, 0)), constant_values=255) for one in columns]
    Image.fromarray(np.concatenate(padded, axis=1)).quantize(64).save(options.out / "prove_report.png", optimize=True)


def _stacked(pictures: list[Image.Image], width: int) -> np.ndarray:
    parts = []
    for picture in pictures:
        at = np.asarray(picture)
        parts.append(np.pad(at, ((0, GAP), (0, width + GAP - at.shape[1]), (0, 0)), constant_values=255))
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
