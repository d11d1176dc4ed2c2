"""Texts written on by a released causal language model, piece by piece as they are made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from charter.data.columns import ROW
from charter.data.pieces import documents_encoded
from charter.data.preparation import prepare_again
from charter.errors import CharterError, DataError, OptionError
from charter.models.device import pick_device
from charter.models.engines.graph import Graph
from charter.models.generation import Sampling, tokens_after
from charter.serving.answers import Answerer, text_rows

Ended = Literal["end of text", "stop word", "max_tokens"]
"""Why a text ends: the model ended it, a stop word was reached, or as many tokens were made as were asked for."""
OF_WHOLE_TEXTS = ("drop_short", "keep_languages")
"""Preparations that judge whole texts, which the beginning of one is not."""
COLDEST, HOTTEST = 0.01, 100.0


@dataclass(frozen=True)
class Settings:
    """How a text is written on.

    temperature: 0 takes the likeliest token each time; else from 0.01 to 100. top_p: in (0, 1], see
    `charter.models.generation.Sampling`. stop: words at which the text ends, not among what is given.
    seed: what is drawn depends on it and the prompt alone.

    Raises:
        OptionError: a value outside these.
    """

    max_tokens: int = 200
    temperature: float = 0.8
    top_p: float = 0.95
    stop: tuple[str, ...] = ()
    seed: int = 7

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise OptionError(f"max_tokens {self.max_tokens}: at least 1")
        if self.temperature != 0 and not COLDEST <= self.temperature <= HOTTEST:
            raise OptionError(
                f"temperature {self.temperature:g}: 0 (always the likeliest token), or from {COLDEST:g} to {HOTTEST:g}"
            )
        if not 0 < self.top_p <= 1:
            raise OptionError(f"top_p {self.top_p:g}: above 0 and at most 1 (all tokens)")
        if not 0 <= self.seed < 2**63:
            raise OptionError(f"seed {self.seed}: a whole number from 0 on, below 2^63")
        if isinstance(self.stop, str) or "" in self.stop:
            raise OptionError("stop: a list of words, none of them empty")


@dataclass(frozen=True)
class Prompt:
    """The beginning of a text: as it was given, and as the model reads it (repaired, masked where masking is on).

    ids: its tokens, after the one that begins a document. unread: how many of the first ones don't fit into the window.
    """

    given: str
    read: str
    ids: tuple[int, ...]
    unread: int


@dataclass(frozen=True)
class Part:
    """What comes next of a text. tokens: made so far. ended: why the text ends here; None: it goes on."""

    text: str
    tokens: int
    ended: Ended | None = None


@dataclass(frozen=True)
class Written:
    """A prompt and what was written on to it."""

    prompt: Prompt
    text: str
    tokens: int
    ended: Ended
    seed: int

    def as_json(self) -> dict[str, Any]:
        """`prompt` as it was given, `read` where the model read another, `text`, `tokens`, `ended`, `seed`, `unread_tokens`."""
        read = {} if self.prompt.read == self.prompt.given else {"read": self.prompt.read}
        unread = {"unread_tokens": self.prompt.unread} if self.prompt.unread else {}
        return {
            "prompt": self.prompt.given,
            **read,
            "text": self.text,
            "tokens": self.tokens,
            "ended": self.ended,
            "seed": self.seed,
            **unread,
        }


def read_prompt(answerer: Answerer, prompt: str) -> Prompt:
    """A prompt as the model reads it, prepared as its training texts were. An empty one begins a text.

    Raises:
        CharterError: the bundle writes no texts, or this form of it does not.
        DataError, TypeError: it is no valid text, or preparation leaves nothing of it.
    """
    check_writes(answerer)
    columns = answerer.columns
    rows = text_rows([prompt], columns)
    read = prompt
    if prompt:
        uses = tuple(use for use in answerer.uses if use.use not in OF_WHOLE_TEXTS)
        prepared = prepare_again(rows, columns, uses)
        if not prepared.frame.height:
            raise DataError(f"the prompt can't be read: {prepared.dropped['reason'][0]}")
        read = str(prepared.frame.sort(ROW)[columns.text][0])
    tokens = next(documents_encoded([read], answerer.tokenizer))
    ids = (int(answerer.tokenizer.eos_token_id), *tokens.tolist())
    return Prompt(prompt, read, ids, max(0, len(ids) - answerer.max_length))


def check_writes(answerer: Answerer) -> None:
    """Check that a bundle's model writes texts.

    Raises:
        CharterError: with what it does instead, or which form of it writes.
    """
    task = answerer.task
    if not task.writes:
        hint = ", which fills in hidden words (--text with its mask token)" if task.fills else ""
        raise CharterError(
            f"this bundle is of task {task.name}{hint or ', which answers texts (--text, --file)'}; only one of task "
            "causal_language_modelling writes a text on"
        )
    if isinstance(answerer.model, Graph):
        forms = tuple(answerer.bundle.forms)
        there = "--engine safetensors" if "safetensors" in forms else "a bundle released as safetensors too"
        raise CharterError(
            f"this form of the model is a graph without a cache of what it has read, which judges texts and does not write; take {there} "
            f"(this bundle holds {', '.join(forms)})"
        )


def write_on(answerer: Answerer, prompt: Prompt, settings: Settings) -> Iterator[Part]:
    """What the model writes on to a prompt, as it is made: characters are whole, and nothing of a stop word is given.

    When the text is longer than the model's window (the bundle's `max_length`, at which it learned and was judged), the window
    slides: see `charter.models.generation.tokens_after`.
    """
    model, tokenizer = answerer.model, answerer.tokenizer
    model.to(pick_device())
    sampling = Sampling(settings.temperature, settings.top_p, no_text(model, tokenizer))
    tokens = tokens_after(
        model, prompt.ids, window=answerer.max_length, sampling=sampling, seed=settings.seed
    )
    return spoken(tokens, tokenizer, prompt.ids, settings)


def whole(prompt: Prompt, parts: Iterator[Part], seed: int) -> Written:
    """All parts of a text together."""
    text, last = "", Part("", 0)
    for last in parts:
        text += last.text
    if last.ended is None:
        raise ValueError("the parts do not reach the text's end")
    return Written(prompt, text, last.tokens, last.ended, seed)


def no_text(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Tokens that are no text: special ones but the end of text, and numbers that the tokenizer has no token for."""
    special = set(tokenizer.all_special_ids) - {tokenizer.eos_token_id}
    return (*sorted(special), *range(len(tokenizer), int(model.config.vocab_size)))


def spoken(
    tokens: Iterator[int], tokenizer: Any, before: Sequence[int], settings: Settings
) -> Iterator[Part]:
    """Tokens as text, until one ends it. before: the tokens that they follow.

    Of a character that takes several tokens nothing is given before all are there; one that stays unfinished is left out.
    """
    from tokenizers.decoders import DecodeStream

    backend = tokenizer.backend_tokenizer
    stream = DecodeStream(ids=list(before), skip_special_tokens=True)
    unsaid: list[int] = []
    held, count = "", 0
    ended: Ended = "max_tokens"
    for token in tokens:
        if token == tokenizer.eos_token_id:
            ended = "end of text"
            break
        count += 1
        chunk = stream.step(backend, token)
        unsaid = [*unsaid, token] if chunk is None else []
        held += chunk or ""
        cut = _stopped(held, settings.stop)
        if cut is not None:
            yield Part(held[:cut], count, "stop word")
            return
        if count == settings.max_tokens:
            break
        safe = len(held) - _begun(held, settings.stop)
        if safe:
            yield Part(held[:safe], count)
            held = held[safe:]
    left = held + str(backend.decode(unsaid, skip_special_tokens=True)).rstrip("\ufffd")
    cut = _stopped(left, settings.stop)
    yield Part(left[:cut], count, ended if cut is None else "stop word")


def _stopped(text: str, stop: Sequence[str]) -> int | None:
    """Where the stop word begins that is whole first, reading character by character; the longest of several."""
    ends = [(text.find(word) + len(word), text.find(word)) for word in stop if word in text]
    return min(ends)[1] if ends else None


def _begun(text: str, stop: Sequence[str]) -> int:
    """How many characters at the end of a text may be the beginning of a stop word."""
    longest = min(max(map(len, stop), default=1) - 1, len(text))
    for size in range(longest, 0, -1):
        if any(word.startswith(text[-size:]) for word in stop):
            return size
    return 0
