"""The report as one HTML page: no script, no request, for screen and print, light and dark."""

import json

from charter.release.record import Record
from charter.release.report import plots
from charter.release.report.view import first_lines, limits, scores, sections, title
from charter.release.report.words import WORDS, Language


def render(record: Record, *, language: Language = "en") -> str:
    """The page as HTML; everything that comes from data or charter is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    words = WORDS[language]
    drawn: dict[str, list[Markup]] = {
        "scores": [],
        "groups": [],
        "calibration": [],
        "learning": [],
        "classes": [],
    }
    for one in record.findings:
        if one.metric == "confusion" and one.attachment:
            drawn["scores"].append(Markup(plots.confusion(words["confusion"], one.attachment)))
        if one.metric == "expected_calibration_error" and not one.slice and one.attachment:
            drawn["calibration"].append(Markup(plots.reliability(words["reliability"], one.attachment)))
    headline = "macro_f1" if record.charter.task.use == "classification" else "micro_f1"
    for column in record.charter.data.groups:
        parts = [
            one
            for one in record.findings
            if one.area == "performance" and one.metric == headline and set(one.slice) == {column}
        ]
        if parts:
            drawn["groups"].append(
                Markup(plots.forest(words["forest"].format(metric=f"{column}: {headline}"), parts))
            )
    by_class = [
        one
        for one in record.findings
        if one.area == "performance" and one.metric == "f1" and set(one.slice) == {"class"}
    ]
    if by_class:
        drawn["classes"].append(Markup(plots.forest(words["forest"].format(metric="f1"), by_class)))
    drawn["learning"].append(Markup(plots.learning(words["loss"], record.history)))
    by_title = {words[key]: images for key, images in drawn.items()}
    environment = Environment(
        loader=PackageLoader("charter.release"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        language=language,
        words=words,
        record=record,
        title=title(record, language),
        lines=first_lines(record, language),
        blocks=[
            block
            for block in (limits(record, language), scores(record, language), *sections(record, language))
            if block.rows
        ],
        plots=by_title,
        provenance=json.dumps(dict(record.provenance), ensure_ascii=False, indent=1),
    )
