"""The report as one HTML page: no script, no request, for screen and print, light and dark."""

import base64
import hashlib
from importlib import resources

from charter.release.record import Record
from charter.release.report.misjudged import marked
from charter.release.report.origin import (
    findings_section,
    glossary_section,
    learning_section,
    provenance_section,
    purpose_section,
)
from charter.release.report.performance import performance_sections
from charter.release.report.rows import data_section
from charter.release.report.trials import search_sections
from charter.release.report.view import limits_section, opening
from charter.release.report.wording import Wording
from charter.release.report.words import Language


def render(record: Record, *, language: Language | None = None) -> str:
    """The page as HTML, in the charter's language unless told otherwise.

    Everything that comes from data or charter is escaped. The page's policy allows its own style sheet, by its digest,
    and nothing else.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    say = Wording(language or record.charter.report.language)
    sections = [
        limits_section(record, say),
        purpose_section(record, say),
        *performance_sections(record, say),
        data_section(record, say),
        learning_section(record, say),
        *search_sections(record, say),
        provenance_section(record, say),
        findings_section(record, say),
        glossary_section(record, say),
    ]
    environment = Environment(
        loader=PackageLoader("charter.release"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawing"] = Markup  # SVG made by `plots`, which escapes every word itself
    style = "\n" + resources.files("charter.release").joinpath("templates/report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("report.html").render(
        say=say,
        record=record,
        opening=opening(record, say),
        sections=sections,
        marked=marked,
        style=Markup(style),
        style_digest=digest,
    )
