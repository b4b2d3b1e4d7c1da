"""Masking: no secret gets through, and ordinary log lines stay as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_loop.domain.secrets import masked, masked_words, secrets_in

HEX40 = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"wandb: key is {HEX40}.", "wandb: key is ***."),
        (f"WANDB_API_KEY={HEX40} python train.py", "WANDB_API_KEY=*** python train.py"),
        ("export AWS_SECRET_ACCESS_KEY='abc/def+1'", "export AWS_SECRET_ACCESS_KEY='***'"),
        ("KEY=x", "KEY=***"),
        ('{"api_key": "plain-word", "steps": 5}', '{"api_key": "***", "steps": 5}'),
        ("{'WANDB_API_KEY': 'short'}", "{'WANDB_API_KEY': '***'}"),
        ("--wandb.api-key=secretvalue --steps 3", "--wandb.api-key=*** --steps 3"),
        ("train.py --hub.token=word --num_tokens=5", "train.py --hub.token=*** --num_tokens=5"),
        ("token hf_abcdefghijklmnopqrst here", "token *** here"),
        ("sk-proj-0123456789abcdefghij", "***"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "***"),
        ("wandb_v1_0123456789abcdefghij_0123456789", "***"),
        ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: Bearer ***"),
        ("pip install --index-url https://user:pa55@host/simple", "pip install --index-url https://***@host/simple"),
        ("MYTOKEN=abc; OTHER=1", "MYTOKEN=***; OTHER=1"),
    ],
)
def test_a_secret_is_masked_and_nothing_else(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'observation.state'",
        "step:200 smpl:2K loss:0.123 grdn:3.21 lr:1.0e-05",
        "sha256 " + "a" * 64,
        "num_tokens=512 key=value sort_key=size monkey=1",
        "https://wandb.ai/team/project/runs/abc123",
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
        "RuntimeError: expected key: a, token: b",
    ],
)
def test_an_ordinary_line_stays(text: str) -> None:
    assert masked(text) == text


def test_known_values_go_whole_the_longest_first_and_short_ones_stay() -> None:
    assert masked("abcdefghij abcdef go", known=["abcdef", "abcdefghij", "go"]) == "*** *** go"


@given(st.text(), st.lists(st.text()))
def test_masking_twice_is_masking_once(text: str, known: list[str]) -> None:
    known = [value for value in known if "*" not in value]
    assert masked(masked(text, known), known) == masked(text, known)


@given(st.text(alphabet="0123456789abcdef", min_size=40, max_size=40), st.text(), st.text())
def test_a_key_of_forty_hex_digits_never_gets_through(key: str, before: str, after: str) -> None:
    assert key not in masked(f"{before} {key} {after}")


@pytest.mark.parametrize(
    "line", ["A" * 200_000, "a_" * 100_000, "://" * 70_000, "Bearer " * 30_000, "a-" * 100_000, "eyJ-" * 50_000]
)
def test_a_long_line_is_walked_once(line: str) -> None:
    assert masked(line) == line  # takes minutes if a shape costs the square of the length


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("--hub.token=short", "--steps=3"), ("--hub.token=***", "--steps=3")),
        (("--hub-token", "short", "--steps"), ("--hub-token", "***", "--steps")),
        (("--wandb.api_key", "--steps=3"), ("--wandb.api_key", "--steps=3")),
        (("hub.password=p", "sort_key=size", "num_tokens=5"), ("hub.password=***", "sort_key=size", "num_tokens=5")),
        (("python", "train.py", "token", "word"), ("python", "train.py", "token", "word")),
        (("--id=value-known",), ("--id=***",)),
    ],
)
def test_a_flag_that_is_named_so_loses_its_value(words: tuple[str, ...], shown: tuple[str, ...]) -> None:
    assert masked_words(words, ["value-known"]) == shown
    assert masked_words(shown, ["value-known"]) == shown


def test_the_values_of_such_flags_are_known_from_then_on() -> None:
    assert secrets_in(["a.py", "--hub.token=one", "--api-key", "two", "--lr=3", "token", "four"]) == ("one", "two")


def test_a_quoted_new_line_does_not_hide_a_token() -> None:
    assert masked(r"print('x\nhf_abcdefghijklmnopqrst')") == r"print('x\n***')"
