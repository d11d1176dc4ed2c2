"""Writing texts on, against transformers' `generate` on the same model: tokens per second, greedy and drawn, in one thread.

Both are given the same prompt and write as many tokens with their cache of keys and values, in turns in one process; the tokens are
checked to be the same. Ours also makes text of every token and looks for a stop word, as `charter predict --prompt` does; theirs gives
token ids, which is less. Models are GPT-2s of random weights: speed does not depend on what they have learned.

SIZE.greedy_vs_generate, SIZE.drawn_vs_generate: the median over rounds of their CPU-seconds over ours.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from harness import Figures, main

SIZES = {"small": (128, 4, 4), "medium": (384, 6, 6), "gpt2": (768, 12, 12)}
PROMPT = "Once upon a time there was a king, and the king had a daughter"
DRAWN = {"temperature": 0.8, "top_p": 0.95}


def _tokenizer() -> Any:
    from charter.models.tokenizers import bpe

    words = [f"the {chr(97 + a)}{chr(97 + b)} king and a time" for a in range(26) for b in range(26)]
    return bpe(size=800).learn(lambda: [PROMPT, *words], True)


def _model(tokenizer: Any, size: tuple[int, int, int], window: int) -> Any:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from charter.models.prepacking import prepack

    width, layers, heads = size
    ids = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), tokenizer.eos_token_id)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=width, n_layer=layers, n_head=heads, n_positions=window, **ids
    )
    model = GPT2LMHeadModel(config).eval()
    prepack(model)  # as a bundle's model is opened; theirs is the same model, so it has the same
    return model


def _ours(model: Any, tokenizer: Any, ids: Sequence[int], count: int, drawn: bool) -> list[int]:
    from charter.models.generation import Sampling, tokens_after
    from charter.serving.generation import Settings, spoken

    how = DRAWN if drawn else {"temperature": 0.0, "top_p": 1.0}
    kept: list[int] = []

    def watched() -> Any:
        banned = (tokenizer.eos_token_id,)
        sampling = Sampling(how["temperature"], how["top_p"], banned)
        for token in tokens_after(model, ids, window=1024, sampling=sampling, seed=1):
            kept.append(token)
            yield token

    for _ in spoken(watched(), tokenizer, ids, Settings(max_tokens=count, stop=("no such word",))):
        pass
    return kept


def _theirs(model: Any, tokenizer: Any, ids: Sequence[int], count: int, drawn: bool) -> list[int]:
    import torch

    torch.manual_seed(1)
    asked = torch.tensor([list(ids)])
    how = {"do_sample": True, "top_k": 0, **DRAWN} if drawn else {"do_sample": False}
    told = model.generate(
        asked,
        attention_mask=torch.ones_like(asked),
        max_new_tokens=count,
        suppress_tokens=[tokenizer.eos_token_id],
        **how,
    )
    return told[0, len(ids) :].tolist()  # type: ignore[no-any-return]


def _seconds(call: Callable[[], list[int]]) -> tuple[float, list[int]]:
    start = time.process_time()
    told = call()
    return time.process_time() - start, told


def measure(quick: bool) -> Figures:
    import torch

    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    tokenizer = _tokenizer()
    ids = [tokenizer.eos_token_id, *tokenizer(PROMPT)["input_ids"]]
    count, rounds = (48, 3) if quick else (200, 7)
    for name in list(SIZES)[: 2 if quick else 3]:
        model = _model(tokenizer, SIZES[name], 1024)
        for kind, drawn in (("greedy", False), ("drawn", True)):
            times = []
            for number in range(rounds + 1):
                ours, told = _seconds(lambda d=drawn, m=model: _ours(m, tokenizer, ids, count, d))
                theirs, expected = _seconds(lambda d=drawn, m=model: _theirs(m, tokenizer, ids, count, d))
                if told != expected:
                    raise SystemExit(f"{name}, {kind}: the two write different tokens")
                if number:  # the first round warms up
                    times.append((ours, theirs))
            figures[f"{name}.{kind}_vs_generate"] = statistics.median(theirs / ours for ours, theirs in times)
            figures[f"{name}.{kind}_tokens_per_second"] = count / statistics.median(ours for ours, _ in times)
    return figures


if __name__ == "__main__":
    main(measure, __doc__ or "")
