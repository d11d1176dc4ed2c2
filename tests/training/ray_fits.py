"""A fit that two workers of Ray Train make: ray_fits.py BASE FOLDER NAME; checkpoints are so often that one is always new."""

import sys
from functools import partial
from pathlib import Path


def made(base, folder, name, world):
    import shared_fits
    from safetensors.torch import save_file

    notes = []
    weights = shared_fits.fitted(
        name, base, folder / f"work {name}", world, checkpoint_seconds=0.3, on_note=notes.append
    )
    save_file({key: one.clone() for key, one in weights.items()}, folder / f"{name}.safetensors")
    return {"notes": notes}


if __name__ == "__main__":
    import json

    from charter.pipeline.on_ray import on_ray

    base, folder, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    (folder / "told.json").write_text(json.dumps(on_ray(partial(made, base, folder, name), 2)))
