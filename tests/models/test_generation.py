"""Written tokens are transformers' own, greedy and drawn, and what stands beyond the window is read anew."""

from itertools import islice

import pytest
import torch

from charter.models.generation import Sampling, tokens_after

IDS = [0, 5, 9, 3, 11]


def decoder(kind="gpt2"):
    from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(1)
    common = {"vocab_size": 60, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    if kind == "gpt2":
        config = GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=32, initializer_range=0.3, **common)
        return GPT2LMHeadModel(config).eval()
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = GPTNeoXConfig(max_position_embeddings=32, initializer_range=0.3, **small, **common)
    return GPTNeoXForCausalLM(config).eval()


def written(model, ids, sampling, *, count, window=32, seed=0):
    return list(islice(tokens_after(model, ids, window=window, sampling=sampling, seed=seed), count))


def transformers_own(model, ids, count, **how):
    asked = torch.tensor([ids])
    told = model.generate(
        asked, attention_mask=torch.ones_like(asked), max_new_tokens=count, eos_token_id=None, **how
    )
    return told[0, len(ids) :].tolist()


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox"])
def test_the_likeliest_tokens_are_those_of_generate(kind):
    model = decoder(kind)
    expected = transformers_own(model, IDS, 20, do_sample=False, suppress_tokens=[7, 8])
    assert written(model, IDS, Sampling(temperature=0, banned=(7, 8)), count=20) == expected
    assert len(set(expected)) > 3  # a random model that says one token over and over would show nothing


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.8), (2.0, 0.5), (1.0, 0.3)])
def test_drawn_tokens_are_those_of_generate_with_the_same_seed(temperature, top_p):
    model, how = decoder(), {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
    for seed in range(3):
        torch.manual_seed(seed)
        expected = transformers_own(model, IDS, 20, **how)
        assert written(model, IDS, Sampling(temperature, top_p), count=20, seed=seed) == expected


def test_what_is_drawn_depends_on_the_seed_alone():
    model = decoder()
    torch.manual_seed(5)
    first = written(model, IDS, Sampling(), count=20, seed=3)
    torch.manual_seed(6)
    assert written(model, IDS, Sampling(), count=20, seed=3) == first
    assert written(model, IDS, Sampling(), count=20, seed=4) != first


def read_whole(model, ids, count, window):
    """Greedy tokens, each from a pass of its own over what stands in the window: the last half once it is full."""
    text, start = list(ids), max(0, len(ids) - window)
    for _ in range(count):
        if len(text) - start > window:
            start = len(text) - window // 2
        with torch.no_grad():
            text.append(int(model(input_ids=torch.tensor([text[start:]])).logits[0, -1].argmax()))
    return text[len(ids) :]


@pytest.mark.parametrize("prompt", [4, 16, 40])
def test_when_the_window_is_full_its_last_half_begins_the_next(prompt):
    model = decoder()
    ids = torch.randint(1, 60, (prompt,), generator=torch.Generator().manual_seed(2)).tolist()
    told = written(model, ids, Sampling(temperature=0), count=60, window=16)
    assert told == read_whole(model, ids, 60, 16)


def test_an_architecture_that_keeps_nothing_reads_all_anew_each_time():
    class Forgetful(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = decoder()

        def forward(self, input_ids, attention_mask, use_cache):  # noqa: ARG002
            return type("Told", (), {"logits": self.inner(input_ids).logits})

    told = written(Forgetful(), IDS, Sampling(temperature=0), count=12)
    assert told == written(decoder(), IDS, Sampling(temperature=0), count=12)
