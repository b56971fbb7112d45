"""The text encoder against torch's packed RNN, and padding that changes no bit."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ganrnn.networks.texts.text_encoder import Cell, TextEncoder

NUM_TOKENS, EMBEDDING, HIDDEN = 30, 12, 16
LENGTHS = torch.tensor([7, 1, 3, 5, 2, 7, 4, 6, 1])

every_encoder = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
every_cell = pytest.mark.parametrize("cell", ["gru", "lstm"])


def encoder_of(cell: Cell, bidirectional: bool) -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(NUM_TOKENS, EMBEDDING, HIDDEN, cell, bidirectional).eval()


def texts() -> torch.Tensor:
    tokens = torch.randint(2, NUM_TOKENS, (len(LENGTHS), 7), generator=torch.Generator().manual_seed(1))
    return tokens * (torch.arange(7) < LENGTHS[:, None])


@every_cell
@every_encoder
@torch.no_grad()
def test_equals_torchs_packed_rnn(cell: Cell, bidirectional: bool) -> None:
    """The reference is one bidirectional nn.GRU or nn.LSTM with the same weights on packed texts."""
    encoder = encoder_of(cell, bidirectional)
    packed_rnn = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](
        EMBEDDING, HIDDEN, batch_first=True, bidirectional=bidirectional
    )
    weights = dict(encoder.forward_rnn.state_dict())
    if encoder.backward_rnn is not None:
        weights |= {f"{name}_reverse": value for name, value in encoder.backward_rnn.state_dict().items()}
    packed_rnn.load_state_dict(weights)
    packed = pack_padded_sequence(encoder.embedding(texts()), LENGTHS, batch_first=True, enforce_sorted=False)
    outputs, _ = pad_packed_sequence(packed_rnn(packed)[0], batch_first=True)
    rows = []
    for row, length in zip(outputs, LENGTHS.tolist(), strict=True):
        forward, backward = row[:length, :HIDDEN], row[:length, HIDDEN:]
        rows.append([forward.mean(0), forward[-1]])
        if bidirectional:
            rows[-1] += [backward.mean(0), backward[0]]
    expected = torch.stack([torch.cat(parts) for parts in rows])
    words, mask = encoder.words(texts(), LENGTHS), torch.arange(7) < LENGTHS[:, None]
    assert words.shape == (len(LENGTHS), 7, encoder.word_dim)
    torch.testing.assert_close(words[mask], outputs[mask], rtol=1e-5, atol=1e-6)
    assert expected.shape == (len(LENGTHS), encoder.out_dim)
    torch.testing.assert_close(encoder(texts(), LENGTHS), expected, rtol=1e-5, atol=1e-6)


@every_cell
@every_encoder
@torch.no_grad()
def test_padding_changes_no_bit(cell: Cell, bidirectional: bool) -> None:
    encoder = encoder_of(cell, bidirectional)
    expected = encoder(texts(), LENGTHS)
    for width in (8, 12, 24):
        wider = torch.zeros(len(LENGTHS), width, dtype=torch.int64)
        wider[:, :7] = texts()
        assert torch.equal(encoder(wider, LENGTHS), expected), width
    garbage = torch.where(texts() == 0, NUM_TOKENS - 1, texts())
    assert torch.equal(encoder(garbage, LENGTHS), expected)


@every_cell
@every_encoder
@torch.no_grad()
def test_a_text_does_not_depend_on_its_neighbours(cell: Cell, bidirectional: bool) -> None:
    encoder = encoder_of(cell, bidirectional)
    together = encoder(texts(), LENGTHS)
    others, other_lengths = texts().flip(0), LENGTHS.flip(0)
    others[3], other_lengths[3] = texts()[3], LENGTHS[3]
    assert torch.equal(encoder(others, other_lengths)[3], together[3])
    # Elsewhere in a batch, or in one of another size, a matrix product may round its last bit differently.
    order = torch.tensor([3, 0, 8, 1, 7, 2, 6, 4, 5])
    torch.testing.assert_close(encoder(texts()[order], LENGTHS[order]), together[order], rtol=0, atol=1e-6)
    alone = torch.cat([encoder(texts()[i : i + 1], LENGTHS[i : i + 1]) for i in range(len(LENGTHS))])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-6)


@every_cell
@every_encoder
@torch.no_grad()
def test_the_order_of_words_counts(cell: Cell, bidirectional: bool) -> None:
    encoder = encoder_of(cell, bidirectional)
    there, back = torch.tensor([[4, 5, 6]]), torch.tensor([[6, 5, 4]])
    length = torch.tensor([3])
    assert (encoder(there, length) - encoder(back, length)).abs().max() > 1e-3


def test_padding_gets_no_gradient() -> None:
    encoder = encoder_of("gru", True)
    encoder(texts(), LENGTHS).square().sum().backward()
    gradient = encoder.embedding.weight.grad
    assert gradient is not None
    assert (gradient[0] == 0).all() and (gradient[texts()[0]] != 0).any(1).all()
