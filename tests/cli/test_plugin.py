"""The worked plug-in of docs/extending.md, installed beside Charter, is found, checked and measured."""

import os
import subprocess
import sys
from pathlib import Path

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"

CODE = """
import sys
from pathlib import Path
from charter.errors import CharterFileError
from charter.pipeline import run
path = Path(sys.argv[1])
found = run(path).record.findings
slices = {one.slice["length"] for one in found if one.area == "length"}
assert slices == {"part 1 of 3", "part 2 of 3", "part 3 of 3"}, slices
path.write_text(path.read_text().replace("parts: 3", "parts: 99"))
try:
    run(path)
except CharterFileError as error:
    assert "audits[1].parts" in str(error), error
else:
    raise AssertionError("an option out of its range was accepted")
"""


def test_an_audit_of_another_package_is_used_like_a_built_in(tmp_path, tiny_bert, reviews_csv):
    site = tmp_path / "site"
    facts = site / "charter_by_length-0.1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: charter-by-length\nVersion: 0.1.0\n")
    (facts / "entry_points.txt").write_text("[charter.audit]\nby_length = charter_by_length:by_length\n")
    charter = reviews_csv.parent / "charter.yaml"
    charter.write_text(
        f"""name: a
data: {{source: reviews.csv, inputs: {{text: text}}, target: label, split: {{test: 0.4}}}}
model: {{base: "{tiny_bert}", max_length: 32}}
task: {{use: classification}}
training: {{epochs: 1}}
audits: [{{use: performance, resamples: 100}}, {{use: by_length, parts: 3, resamples: 100}}]
limits: ["macro_f1[length=*] >= 0"]
""",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{PLUGIN}", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", CODE, str(charter)], check=True, env=environment)
