"""What every benchmark shares: `--quick`, `--json FILE`, the machine, and running a charter with real data filled in."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

Figures = Mapping[str, float]


def main(measure: Callable[[bool], Figures], description: str) -> None:
    """Parse the options, measure, print the figures and write them as JSON when asked.

    A benchmark that needs a development data set leaves with a reason when `CHARTER_DATA` doesn't name the folder.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="under 5 minutes on 2 cores")
    parser.add_argument("--json", type=Path, help="write {'figures': {name: number}} here")
    options = parser.parse_args()
    figures = dict(measure(options.quick))
    for name, value in figures.items():
        print(f"{name:48s} {value:.6g}")
    if options.json:
        machine = {
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "python": platform.python_version(),
        }
        options.json.write_text(json.dumps({"figures": figures, "machine": machine}, indent=1))


def data_folder() -> Path:
    """The folder of development data sets, or leave with the reason."""
    place = os.environ.get("CHARTER_DATA")
    if not place:
        sys.exit("SKIPPED: this benchmark needs the folder of data sets: set CHARTER_DATA")
    return Path(place).resolve()


def run_charter(text: str, folder: Path | None = None) -> object:
    """Run a charter given as text in a folder of its own (new unless given) and return the `charter.Result`."""
    import charter

    place = folder or Path(tempfile.mkdtemp(prefix="charter-bench-"))
    if "${CHARTER_DATA}" in text:
        text = text.replace("${CHARTER_DATA}", str(data_folder()))
    path = place / "charter.yaml"
    path.write_text(text, encoding="utf-8")
    return charter.run(path)
