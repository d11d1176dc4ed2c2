"""What each column of a data set is likely to be, with the reason in a line: guesses for people to correct, no verdicts."""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from charter.data.columns import SPLIT_NAMES
from charter.data.layouts import (
    PAIRS,
    QUESTIONED,
    QUESTIONS,
    Choices,
    belonging,
    find_choices,
    is_pair,
    names_of,
)
from charter.data.look import FEW, ColumnLook, Look

TEXTS = names_of(
    "text texts review reviews comment comments content sentence message tweet body document article description question "
    "utterance post tokens words 文本 内容 评论 正文 句子 评价 留言 问题"
)
TARGETS = names_of(
    "label labels target class category sentiment rating ratings stars score tags ner_tags entities spans intent emotion y "
    "polarity 标签 类别 情感 分类 评分 星级 意图 情绪"
)
RIGHT = names_of(
    "answer answerkey answer_key correct correct_answer gold right solution 答案 正确答案 正确选项"
)
"""Names of a column that says which choice is right, beside TARGETS."""
GROUPS = names_of(
    "gender sex age race ethnicity nationality country region city state province district language lang dialect topic "
    "religion disability education occupation income channel department source "
    "性别 年龄 年龄段 城市 地区 省份 国家 民族 国籍 语言 主题 话题 学历 职业 渠道 部门 来源"
)
SUBJECTS = names_of(
    "user userid username author authorid customer customerid client clientid patient patientid person personid speaker "
    "speakerid reviewer reviewerid account member employee participant subject respondent worker "
    "姓名 用户 用户名 用户id 患者 患者id 病人 客户 客户id 作者 会员 员工 学号 工号 身份证 身份证号"
)
TITLES = names_of("title headline subject_line summary 标题 题目 摘要")
ORDERED = names_of("rating ratings stars star score level grade severity priority 评分 星级 等级 级别 得分")
"""Names of numbers that have an order, and of which few are classes."""
MEASURED = names_of("similarity relatedness price value amount duration 相似度 价格 金额 时长")
RELEVANT = names_of("relevance relevant match matched duplicate correct 相关 相关性 匹配")
FOUND = names_of("passage document answer response 答案 文档")
"""Names of the second text of a pair, where the first looks for it."""
TIMES = names_of("date time datetime timestamp created day 日期 时间 创建时间")
MOST_CLASSES = 1000
MOST_GROUP_VALUES = 50
MOST_RANKS = 11


@dataclass(frozen=True)
class Guess:
    """What is guessed (a column, several, or none) and why, in a line."""

    columns: tuple[str, ...]
    why: str

    @property
    def column(self) -> str | None:
        """The first column, None where there is none."""
        return self.columns[0] if self.columns else None


@dataclass(frozen=True)
class Roles:
    """A guess for every role of a charter's data, and the task that follows with its options."""

    text: Guess
    target: Guess
    task: Guess
    groups: Guess
    subject: Guess
    split: Guess
    time: Guess
    options: Mapping[str, Any] = field(default_factory=dict)


def guess_roles(
    look: Look, *, text: tuple[str, ...] | None = None, target: tuple[str, ...] | None = None
) -> Roles:
    """Guess every role; a text or target that is known already is kept, and the others fit it. A target of () is none."""
    split, time = guess_split(look), guess_time(look)
    taken = {*split.columns, *time.columns}
    choices = find_choices(look, _naming(look, taken, target), text)
    if choices is not None:
        return _with_choices(look, choices, split, time, said=text is not None)
    together = belonging(look)
    if text is None and together and not target:
        texts = Guess(together, "named as texts that belong together")
    elif text is None:
        texts = guess_pair(look, guess_text(look, taken))
    else:
        texts = Guess(text, "as you said")
    taken |= set(texts.columns)
    if target is not None:
        balance = _balance(look.column(target[0])) if len(target) == 1 else ""
        targets = Guess(target, balance or "as you said")
    elif texts.columns == together and together:
        targets = Guess((), "none: which texts belong together is all there is to learn")
    else:
        targets = guess_target(look, texts.column, taken)
        if is_pair(texts.columns) and not _is_rated(look, targets, texts.columns):
            targets = Guess(
                (), "none: no column rates the pairs, so what is learned is that they belong together"
            )
    taken |= set(targets.columns)
    subject = guess_subject(look, taken)
    pair = is_pair(texts.columns) or (bool(together) and texts.columns == together)
    return Roles(
        texts,
        targets,
        guess_task(look, targets, pair=pair),
        guess_groups(look, taken | set(subject.columns)),
        subject,
        split,
        time,
        _options(look, targets),
    )


def _naming(look: Look, taken: Collection[str], target: tuple[str, ...] | None) -> list[ColumnLook]:
    """The columns that may name a choice: the one that is known to, else those named so."""
    if target is not None:
        return [one for one in look.columns if one.name in target[:1] and len(target) == 1]
    free = [one for one in look.columns if one.name not in taken]
    return [one for one in free if _named(one, RIGHT)] + [one for one in free if _named(one, TARGETS)]


def _with_choices(
    look: Look,
    choices: Choices,
    split: Guess,
    time: Guess,
    *,
    said: bool,
) -> Roles:
    """said: whether the texts are known and not guessed."""
    taken = {*choices.texts, choices.target, *split.columns, *time.columns}
    subject = guess_subject(look, taken)
    few = f"{len(choices.columns)} columns of choices" if len(choices.columns) > 1 else "lists of choices"
    named = look.column(choices.target)
    return Roles(
        Guess(choices.texts, "as you said" if said else f"{', '.join(choices.stems)}, and {few}"),
        Guess((choices.target,), f"names one of up to {choices.most} choices; {_balance(named)}"),
        Guess(("multiple_choice",), "one of the choices of each row is right"),
        guess_groups(look, taken | set(subject.columns)),
        subject,
        split,
        time,
        choices.options,
    )


def _is_rated(look: Look, target: Guess, texts: tuple[str, ...]) -> bool:
    """Whether a column beside a pair rates it; beside a query and what answers it only one that is named so."""
    one = look.column(target.column) if target.column is not None else None
    searched = texts[-1].lower() in FOUND
    return one is not None and (not searched or _named(one, TARGETS | ORDERED | MEASURED | RELEVANT))


def _options(look: Look, target: Guess) -> dict[str, Any]:
    one = look.column(target.column) if len(target.columns) == 1 and target.column is not None else None
    return {"separator": one.separator} if one is not None and one.separator else {}


def guess_text(look: Look, taken: Collection[str] = ()) -> Guess:
    """The lists of words, or else the long and varied texts."""
    free = [one for one in look.columns if one.name not in taken]
    words = [one for one in free if one.kind == "words"]
    if words:
        best = max(words, key=lambda one: (_named(one, TEXTS), one.length))
        return Guess((best.name,), f"lists of words, {best.length:.0f} on average")
    texts = [one for one in free if one.kind == "text"]
    if not texts:
        return Guess((), "no column holds texts")
    best = max(texts, key=lambda one: _textness(one))
    more = "named so, " if _named(best, TEXTS) else ""
    return Guess((best.name,), f"{more}{best.length:.0f} characters on average, {best.different:,} different")


def guess_pair(look: Look, texts: Guess) -> Guess:
    """The text, and what is read with it: the other text of a pair, or a title before a body; told by their names."""
    names = {one.name.lower(): one for one in look.columns if one.kind in ("text", "labels")}
    for first, second in PAIRS:
        if first in names and second in names and _is_varied(names[first]) and _is_varied(names[second]):
            return Guess((names[first].name, names[second].name), "named as a pair of texts, read together")
    if any(one.kind == "answers" for one in look.columns):
        asked = next((one for name, one in names.items() if name in QUESTIONS), None)
        about = next((one for name, one in names.items() if name in QUESTIONED), None)
        if asked is not None and about is not None:
            return Guess((asked.name, about.name), "a question and the text that it is about")
    titles = [one for name, one in names.items() if name in TITLES and one.name not in texts.columns]
    body = look.column(texts.column) if texts.column is not None else None
    if body is not None and body.kind == "text" and titles and _is_varied(titles[0]):
        return Guess((titles[0].name, body.name), f"{titles[0].name} before {body.name}, read together")
    return texts


def _is_varied(one: ColumnLook) -> bool:
    return not one.shares or one.different > 0.2 * one.filled


def _textness(one: ColumnLook) -> float:
    varied = one.different / max(one.filled, 1)
    return (
        one.length
        * math.sqrt(varied)
        * (3 if _named(one, TEXTS) else 1)
        / (20 if _named(one, SUBJECTS) else 1)
    )


def guess_target(look: Look, text: str | None, taken: Collection[str] = ()) -> Guess:
    """Tags beside words, spans beside a text, or else a column of classes: named like a target, or of the fewest values."""
    free = [one for one in look.columns if one.name not in taken and one.name != text]
    answers = [one for one in free if one.kind == "answers"]
    if answers:
        return Guess((answers[0].name,), "answers with their places in the text")
    held = look.column(text) if text is not None else None
    listed = "tags" if held is not None and held.kind == "words" else "spans"
    marked = [one for one in free if one.kind == listed]
    if marked:
        best = max(marked, key=lambda one: _named(one, TARGETS))
        return Guess(
            (best.name,), f"{'a tag for each word' if listed == 'tags' else 'spans'}; {_balance(best)}"
        )
    listed_labels = [one for one in free if one.kind == "labels"]
    if listed_labels:
        best = max(listed_labels, key=lambda one: (_named(one, TARGETS), -one.different))
        if not best.separator or _named(best, TARGETS):
            return Guess((best.name,), f"several labels in a cell; {_balance(best)}")
    flags = [one for one in free if _is_flag(one)]
    classes = [one for one in free if _is_class(one, look.rows)]
    if len(flags) >= 3 and not any(_named(one, TARGETS) for one in classes):
        return Guess(tuple(one.name for one in flags), f"{len(flags)} columns of 0 and 1: a label each")
    numbers = [one for one in free if one.kind == "number" and not one.shares and not _looks_like_number(one)]
    measured = [
        one for one in numbers if _named(one, TARGETS | ORDERED | MEASURED) and not _named(one, SUBJECTS)
    ]
    if measured and not any(_named(one, TARGETS) for one in classes):
        return Guess((measured[0].name,), f"named so; a number of {measured[0].different:,} values")
    named = [one for one in classes if _named(one, TARGETS)]
    plain = [one for one in classes if one.shares and not _named(one, GROUPS | SUBJECTS | TIMES)]
    if named:
        best = min(named, key=lambda one: (one.name.lower() not in TARGETS, one.different))
        return Guess((best.name,), f"named so; {_balance(best)}")
    if plain:
        best = min(plain, key=lambda one: one.different)
        return Guess((best.name,), f"the fewest values; {_balance(best)}")
    return Guess((), "no column holds classes, tags or spans")


def _is_flag(one: ColumnLook) -> bool:
    return len(one.shares) == 2 and set(one.shares) <= {"0", "1", "0.0", "1.0", "true", "false"}


def _is_class(one: ColumnLook, rows: int) -> bool:
    if one.kind not in ("text", "number", "truth value"):
        return False
    whole = one.kind != "number" or bool(one.shares)  # a number of many values is measured, not a class
    return whole and 2 <= one.different <= min(MOST_CLASSES, max(2, rows // 2)) and one.length <= 60


def _balance(one: ColumnLook | None) -> str:
    if one is None or not one.shares:
        return "" if one is None else f"{one.different:,} classes"
    what = {"tags": "types", "spans": "types", "labels": "labels"}.get(one.kind, "classes")
    if one.kind == "number" and len(one.shares) > 2:
        what = "ordered ratings" if _is_ordered(one) else "numbered classes (their order is not used)"
    first = [f"{_short(value)} {share:.0%}" for value, share in list(one.shares.items())[:5]]
    more = ", ..." if len(one.shares) > 5 else ""
    return f"{len(one.shares)} {what}: {', '.join(first)}{more}"


def _short(value: str) -> str:
    return value if len(value) <= 24 else value[:23] + "…"


def guess_task(look: Look, target: Guess, *, pair: bool = False) -> Guess:
    """The task that the target's kind asks for; texts that belong together without a target are for embeddings."""
    if pair and not target.columns:
        return Guess(("sentence_embedding",), "a vector for each text, near to the texts that belong to it")
    one = look.column(target.column) if target.column is not None else None
    if len(target.columns) > 1 or (one is not None and one.kind == "labels"):
        return Guess(("multi_label_classification",), "any number of labels for each text")
    if one is not None and one.kind == "answers":
        return Guess(("question_answering",), "the words of the text that answer the question")
    if one is not None and one.kind in ("tags", "spans", "words"):
        return Guess(("token_classification",), "entities in the text")
    if one is not None and one.kind == "number" and not one.shares:
        return Guess(("regression",), f"a number for each {'pair of texts' if pair else 'text'}")
    if one is not None and _is_ordered(one):
        return Guess(("ordinal",), "few numbers, named like ratings: classes with an order")
    if pair:
        return Guess(("text_pair_classification",), "one class for each pair of texts")
    return Guess(("classification",), "one class for each text")


def _is_ordered(one: ColumnLook) -> bool:
    return one.kind == "number" and 3 <= len(one.shares) <= MOST_RANKS and _named(one, ORDERED)


def guess_groups(look: Look, taken: Collection[str] = ()) -> Guess:
    """Columns named like something that tells people or texts apart, of few values."""
    free = [one for one in look.columns if one.name not in taken]
    named = [one for one in free if _named(one, GROUPS)]
    fit = [one for one in named if one.shares and 2 <= one.different <= MOST_GROUP_VALUES]
    many = [
        f"{one.name} ({one.different:,} values: bin it first)"
        for one in named
        if one not in fit and one.different > 1
    ]
    other = [one.name for one in free if one not in named and one.shares and 2 <= one.different <= 20]
    why = ", ".join(f"{one.name}: {one.different} values" for one in fit) or "no column is named like a group"
    if many:
        why += f"; not {', '.join(many)}"
    if other:
        why += f"; perhaps {', '.join(other[:5])} too" if fit else f"; perhaps {', '.join(other[:5])}"
    return Guess(tuple(one.name for one in fit), why)


def guess_subject(look: Look, taken: Collection[str] = ()) -> Guess:
    """A column named like a person or a person's number, with several rows for some of them."""
    free = [one for one in look.columns if one.name not in taken and one.kind in ("text", "number")]
    named = [one for one in free if _named(one, SUBJECTS)]
    several = [one for one in named if 1 < one.different < one.filled]
    if several:
        best = max(several, key=lambda one: one.different)
        return Guess(
            (best.name,), f"{best.different:,} persons in {best.filled:,} rows; kept together, read as codes"
        )
    if named:
        return Guess((), f"{named[0].name}: every row another person, so nothing to keep together")
    alike = [one for one in free if _looks_like_number(one)]
    if alike:
        return Guess((), f"no column is named like a person; if {alike[0].name} is one, say so")
    return Guess((), "no column is named like a person")


def _looks_like_number(one: ColumnLook) -> bool:
    """Whether a column may be somebody's number: named an id, many values, several rows for some."""
    is_id = re.search(r"(?:^|[^a-z])id$|[a-z]Id$|ID$|编号$", one.name) is not None
    return is_id and FEW < one.different < 0.9 * one.filled


def guess_split(look: Look) -> Guess:
    """A column whose values are names of splits."""
    for one in look.columns:
        values = {SPLIT_NAMES.get(value.lower()) for value in one.shares}
        if one.kind == "text" and None not in values and {"train", "test"} <= values:
            listed = ", ".join(f"{value} {share:.0%}" for value, share in one.shares.items())
            return Guess((one.name,), f"its values are splits ({listed}); they stay as published")
    return Guess((), "")


def guess_time(look: Look) -> Guess:
    """A column of dates or times."""
    times = [one for one in look.columns if one.kind == "time" and one.filled == look.rows]
    if not times:
        return Guess((), "")
    best = max(times, key=lambda one: _named(one, TIMES))
    return Guess((best.name,), "dates or times")


def _named(one: ColumnLook, names: frozenset[str]) -> bool:
    return any(word in names for word in _words(one.name))


def _words(name: str) -> Iterable[str]:
    """A column's name and its parts, in lower case: `reviewText` and `review_text` hold `review` and `text`."""
    parts = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])|[^\W\da-zA-Z_]+", name)
    return {name.lower(), name.lower().replace("_", ""), *(part.lower() for part in parts)}
