"""The report as one HTML page: no script, no request, for screen and print, light and dark."""

import base64
import hashlib
from importlib import resources

from charter.release.record import Record
from charter.release.report.claims import claims_sections
from charter.release.report.continual import continual_sections
from charter.release.report.fairness import fairness_sections
from charter.release.report.forms import forms_section
from charter.release.report.misjudged import marked
from charter.release.report.origin import (
    findings_section,
    glossary_section,
    learning_section,
    provenance_section,
    purpose_section,
)
from charter.release.report.performance import performance_sections
from charter.release.report.pretraining import pretraining_sections
from charter.release.report.privacy import privacy_sections
from charter.release.report.reading import reading_sections
from charter.release.report.reidentification import reidentification_sections
from charter.release.report.rows import data_section
from charter.release.report.trials import search_sections
from charter.release.report.view import limits_section, opening
from charter.release.report.when import when
from charter.release.report.wording import Wording
from charter.release.report.words import Language


def render(record: Record, *, language: Language | None = None) -> str:
    """The page as HTML, in the charter's language unless told otherwise.

    Everything that comes from data or charter is escaped. The page's policy allows its own style sheet, by its digest,
    and nothing else.
    """
    say = Wording(language or record.charter.report.language)
    sections = [
        limits_section(record, say),
        *forms_section(record, say),
        purpose_section(record, say),
        *performance_sections(record, say),
        *fairness_sections(record, say),
        data_section(record, say),
        *reidentification_sections(record, say),
        *pretraining_sections(record, say),
        *reading_sections(record, say),
        *privacy_sections(record, say),
        *claims_sections(record, say),
        *continual_sections(record, say),
        learning_section(record, say),
        *search_sections(record, say),
        provenance_section(record, say),
        findings_section(record, say),
        glossary_section(record, say),
    ]
    return written(
        "report.html",
        say=say,
        record=record,
        created=when(record.created),
        opening=opening(record, say),
        sections=sections,
    )


def written(template: str, **values: object) -> str:
    """A page from its template, with the style sheet and its digest."""
    style = _style("report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _rendered(template, style, style_digest=digest, **values)


def fragment(template: str, **values: object) -> str:
    """What a notebook shows, from its template, with its own style sheet."""
    return _rendered(template, _style("notebook.css"), **values)


def _style(name: str) -> str:
    return "\n" + resources.files("charter.release").joinpath(f"templates/{name}").read_text("utf-8")


def _rendered(template: str, style: str, **values: object) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("charter.release"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawing"] = Markup  # SVG made by `plots`, which escapes every word itself
    return environment.get_template(template).render(style=Markup(style), marked=marked, **values)
