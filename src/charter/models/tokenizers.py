"""Tokenizers learned from texts, by the library `tokenizers`, and a base's own extended by a domain's words."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from charter.errors import DataError, ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

Size = Annotated[
    int, Field(ge=64, le=1_000_000, description="how many tokens it has at most, special ones included")
]
BYTES = 256
ByteSize = Annotated[
    int,
    Field(
        ge=BYTES + 4,
        le=1_000_000,
        description="how many tokens it has at most: the 256 bytes, special ones and pieces",
    ),
]
Megabytes = Annotated[
    int,
    Field(
        ge=1,
        le=100_000,
        description="learn from a random sample of about so many megabytes where the texts are more: what is counted is held in memory",
    ),
]
Texts = Callable[[], Iterable[str]]
"""Texts, told anew at each call."""
UNKNOWN, PADDING, BEGIN, END, MASK = "[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"
DOCUMENT = "<|endoftext|>"
"""What stands between documents for a decoder."""


@dataclass(frozen=True)
class Tokenization:
    """How a tokenizer is learned from texts: a new one, or a base's own that is extended.

    learn: (texts, whether it is a decoder's) -> a tokenizer of transformers'. extend: (texts, the base, its tokenizer) changes
    both, and tells the tokens that were added. One of the two is None. megabytes: about so much text is to be learned from at most.
    """

    learn: Callable[[Texts, bool], Any] | None = None
    extend: Callable[[Iterable[str], "PreTrainedModel", Any], Sequence[str]] | None = None
    megabytes: int | None = None


def wordpiece(
    *,
    size: Size = 8000,
    lowercase: Annotated[bool, Field(description="read texts in lower case, without accents")] = False,
    megabytes: Megabytes = 50,
) -> Tokenization:
    """WordPiece, as BERT has it (Schuster and Nakajima 2012): words from the left in the longest pieces known.

    Each Chinese character is a word of its own. Where there are more different characters than tokens, the rarest are unknown.
    """

    def learn(texts: Texts, decoder: bool) -> Any:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

        made = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
        made.normalizer = normalizers.BertNormalizer(
            clean_text=True, handle_chinese_chars=True, strip_accents=lowercase, lowercase=lowercase
        )
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.decoder = decoders.WordPiece()
        specials = _specials(decoder)
        return _finished(_learn_words(made, texts, size, specials), decoder)

    return Tokenization(learn=learn, megabytes=megabytes)


def bpe(*, size: ByteSize = 8000, megabytes: Megabytes = 50) -> Tokenization:
    """Byte pairs, as GPT-2 and RoBERTa have them (Sennrich et al. 2016; Radford et al. 2019): no text is unknown."""

    def learn(texts: Texts, decoder: bool) -> Any:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=_specials(decoder, unknown=False),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        return _learned(made, trainer, texts, decoder)

    return Tokenization(learn=learn, megabytes=megabytes)


def unigram(*, size: Size = 8000, megabytes: Megabytes = 50) -> Tokenization:
    """Unigram pieces, as SentencePiece has them (Kudo 2018), of text in compatibility form (NFKC)."""

    def learn(texts: Texts, decoder: bool) -> Any:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

        made = Tokenizer(models.Unigram())
        made.normalizer = normalizers.Sequence([normalizers.NFKC()])
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=size, special_tokens=_specials(decoder), unk_token=UNKNOWN, show_progress=False
        )
        return _learned(made, trainer, texts, decoder)

    return Tokenization(learn=learn, megabytes=megabytes)


def characters(*, size: Size = 8000, megabytes: Megabytes = 50) -> Tokenization:
    """Each character a token, the rarest ones unknown."""

    def learn(texts: Texts, decoder: bool) -> Any:
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

        made = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
        made.decoder = decoders.Fuse()
        trainer = trainers.WordLevelTrainer(
            vocab_size=size, special_tokens=_specials(decoder), show_progress=False
        )
        return _learned(made, trainer, texts, decoder)

    return Tokenization(learn=learn, megabytes=megabytes)


def extended(
    *,
    size: Annotated[int, Field(ge=1, le=100_000, description="how many words are added at most")] = 1000,
    least: Annotated[int, Field(ge=1, description="how often a word must stand in the texts")] = 10,
) -> Tokenization:
    """The base's own tokenizer with words of the texts, the commonest of those it has to take apart."""

    def extend(texts: Iterable[str], model: "PreTrainedModel", tokenizer: Any) -> Sequence[str]:
        kind = type(tokenizer.backend_tokenizer.model).__name__
        if kind != "WordPiece":
            raise ModelError(
                f"model.tokenizer extended: the base's tokenizer is of type {kind}, whose pieces hold the space before a word, so words "
                "added to it would break it; it is for WordPiece (BERT's kind). Remove the key"
            )
        words = new_words(texts, tokenizer, size=size, least=least)
        add_words(model, tokenizer, words)
        return words

    return Tokenization(extend=extend)


def _specials(decoder: bool, *, unknown: bool = True) -> list[str]:
    own = [DOCUMENT] if decoder else [PADDING, BEGIN, END, MASK]
    return [*own, UNKNOWN] if unknown else own


def _learned(made: "Tokenizer", trainer: Any, texts: Texts, decoder: bool) -> Any:
    _train(made, trainer, texts)
    return _finished(made, decoder)


def _train(made: "Tokenizer", trainer: Any, texts: Texts) -> None:
    try:
        made.train_from_iterator(_told(texts()), trainer)
    except OSError:
        raise  # the texts can't be read
    except Exception as error:  # the library's own kind; a vocabulary too small for the alphabet, for one
        raise DataError(f"model.tokenizer: {str(error)[:200]}; raise its size") from None


def _learn_words(made: "Tokenizer", texts: Texts, size: int, specials: list[str]) -> "Tokenizer":
    """Learn WordPiece's vocabulary, of at most `size`, the same each time.

    The library numbers what continues a word (`##s`) in the order of a hash table, and breaks ties by those numbers. Here a first
    pass finds them, and the second is given them in their order.
    """
    from tokenizers import Tokenizer, models, trainers

    def trained(most: int, begins: list[str], alphabet: list[str] | None) -> dict[str, int]:
        limit: dict[str, Any] = (
            {} if alphabet is None else {"initial_alphabet": alphabet, "limit_alphabet": len(alphabet)}
        )
        trainer = trainers.WordPieceTrainer(
            vocab_size=most, special_tokens=begins, show_progress=False, **limit
        )
        _train(made, trainer, texts)
        return made.get_vocab()

    found = trained(0, specials, None).keys() - set(specials)
    inside = {one for one in found if len(one) > 1}
    alphabet = None
    if len(specials) + len(found) > size:
        counts: Counter[str] = Counter()
        for text in texts():
            counts.update(made.normalizer.normalize_str(text))
        alphabet = _commonest(counts, found, size - len(specials))
        inside = {one for one in inside if one[-1] in alphabet}
    known = trained(size, [*specials, *sorted(inside)], alphabet)
    learned = Tokenizer(
        models.WordPiece(known, unk_token=UNKNOWN)
    )  # to `made` all that was given is a special token
    learned.normalizer, learned.pre_tokenizer, learned.decoder = (
        made.normalizer,
        made.pre_tokenizer,
        made.decoder,
    )
    learned.add_special_tokens(specials)
    return learned


def _commonest(counts: Counter[str], found: AbstractSet[str], room: int) -> list[str]:
    """The commonest characters that there is room for, each with what it is inside of a word."""
    kept = []
    for one in sorted((one for one in found if len(one) == 1), key=lambda one: (-counts[one], one)):
        room -= 1 + (f"##{one}" in found)
        if room < 0:
            break
        kept.append(one)
    return kept


def _finished(made: "Tokenizer", decoder: bool) -> Any:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    if made.get_vocab_size() <= len(_specials(decoder)):
        raise DataError("the texts hold nothing that a tokenizer could be learned from")
    known = made.get_vocab()
    names = {"unk_token": UNKNOWN} if UNKNOWN in known else {}
    if decoder:
        names |= {"bos_token": DOCUMENT, "eos_token": DOCUMENT, "pad_token": DOCUMENT}
    else:
        made.post_processor = processors.TemplateProcessing(
            single=f"{BEGIN} $A {END}",
            pair=f"{BEGIN} $A {END} $B:1 {END}:1",
            special_tokens=[(BEGIN, known[BEGIN]), (END, known[END])],
        )
        names |= {"pad_token": PADDING, "cls_token": BEGIN, "sep_token": END, "mask_token": MASK}
    return PreTrainedTokenizerFast(tokenizer_object=made, **names)


def _told(texts: Iterable[str], at_once: int = 1000) -> Iterator[list[str]]:
    part: list[str] = []
    for text in texts:
        part.append(text)
        if len(part) == at_once:
            yield part
            part = []
    if part:
        yield part


_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, Kana, Han: scripts without spaces, whose clauses are no words."""
WORD = re.compile(rf"[^\W\d_{_UNSPACED}]{{2,}}")


def new_words(texts: Iterable[str], tokenizer: Any, *, size: int, least: int) -> list[str]:
    """The words of texts that a tokenizer takes apart, those first that cost most pieces in all.

    Words are runs of letters; of text without spaces there are none that way, since every character is a word there.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(WORD.findall(_normalised(tokenizer, text)))
    frequent = [word for word, count in counts.items() if count >= least]
    if not frequent:
        return []
    pieces = [len(one) for one in tokenizer(frequent, add_special_tokens=False)["input_ids"]]
    costs = {
        word: counts[word] * (number - 1) for word, number in zip(frequent, pieces, strict=True) if number > 1
    }
    return sorted(costs, key=lambda word: (-costs[word], word))[:size]


def _normalised(tokenizer: Any, text: str) -> str:
    normalizer = tokenizer.backend_tokenizer.normalizer
    return str(normalizer.normalize_str(text)) if normalizer is not None else text


def add_words(model: "PreTrainedModel", tokenizer: Any, words: Sequence[str]) -> None:
    """Add words to a tokenizer and rows to its model, each the mean of the rows of the word's pieces."""
    import torch
    from tokenizers import AddedToken

    if not words:
        return
    before = tokenizer(list(words), add_special_tokens=False)["input_ids"]
    own = len(tokenizer)
    tokenizer.add_tokens([AddedToken(word, single_word=True, normalized=True) for word in words])
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    rows = model.get_input_embeddings().weight
    with torch.no_grad():
        for place, pieces in enumerate(before):
            rows[own + place] = rows[torch.tensor(pieces)].mean(dim=0)
