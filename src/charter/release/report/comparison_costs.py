"""What each of the compared runs began from, and what it cost. Pure."""

from charter.release.comparison import Comparison, began
from charter.release.record import Record
from charter.release.report.parts import Cell, Heading, Section, Table, Text
from charter.release.report.wording import Wording


def run_headings(comparison: Comparison, first: str, *, own: bool = True) -> list[Heading]:
    """A column for what is told, then one for each run."""
    return [Heading(first), *(Heading(run.label, own=own, number=True) for run in comparison.runs)]


def begins_section(comparison: Comparison, say: Wording) -> Section:
    """What each model began from, and what learned: so that a difference is not taken for the work of one of these alone."""
    each = [_beginning(run.record, say) for run in comparison.runs]
    rows = [
        [Cell(say(f"cmp_began_{name}")), *(one.get(name, Cell(say("dash"))) for one in each)]
        for name in ("from", "before", "after", "teacher", "learned")
        if any(name in one for one in each)
    ]
    headings = [Heading(say("cmp_began")), *(Heading(run.label, own=True) for run in comparison.runs)]
    caption = say("cmp_of_each", what=say("cmp_began"))
    return Section("begins", say("cmp_began"), [Table(caption, headings, rows)])


def _beginning(record: Record, say: Wording) -> dict[str, Cell]:
    told = began(record)
    kind = told.get("architecture")
    said = {
        "from": Cell(say("new_model", kind=kind)) if kind else Cell(str(told.get("base", "")), kind="own"),
        "learned": Cell(
            say(f"adapt_{told['adapt']}") if say.has(f"adapt_{told['adapt']}") else str(told["adapt"])
        ),
    }
    if "pretraining" in told:
        key = f"objective_{told['pretraining']}"
        note = (
            say("cmp_texts", count=say.count(told["pretraining_texts"]))
            if "pretraining_texts" in told
            else ""
        )
        said["before"] = Cell(say(key) if say.has(key) else str(told["pretraining"]), note)
    if "ancestors" in told:
        said["after"] = Cell(" ← ".join(told["ancestors"]), kind="own")
    if "teacher" in told:
        said["teacher"] = Cell(str(told["teacher"]), kind="own")
    return said


def cost_section(comparison: Comparison, say: Wording) -> Section:
    """What each run cost, pre-training and a teacher's answers counted too."""
    rows = [
        [Cell(say(f"cmp_{name}")), *(Cell(_cost_said(name, one, say), kind="number") for one in values)]
        for name, values in comparison.costs().items()
    ]
    lead = [
        say("cmp_cost_lead"),
        *([say("cmp_cost_before")] if "learning_seconds" in comparison.costs() else ()),
    ]
    table = Table(say("cmp_of_each", what=say("cmp_cost")), run_headings(comparison, say("cmp_cost")), rows)
    return Section("cost", say("cmp_cost"), [Text((" " if say.language == "en" else "").join(lead)), table])


def _cost_said(name: str, value: float | None, say: Wording) -> str:
    if value is None:
        return say("cmp_energy_unknown" if name == "energy_joules" else "cmp_unknown")
    if name.endswith("_seconds"):
        return say.duration(value)
    if name == "answer_milliseconds":
        return say("cmp_milliseconds", value=f"{value:.1f}")
    if name == "energy_joules":
        return say("cmp_joules", value=f"{value / 1000:,.1f}")
    return say("cmp_megabytes", value=f"{value / 1e6:,.1f}") if name == "size_bytes" else say.count(value)
