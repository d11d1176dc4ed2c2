"""What computed an artefact: it is on its record, because a later run that reuses it may stand on another machine."""

import os
import platform
from typing import Any


def machine() -> dict[str, Any]:
    """Python's version, the processor's kind, the system and the cores of this machine."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
    }
