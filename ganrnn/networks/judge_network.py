"""Words of a text held against regions of a picture: how well the two fit.

After the attentional similarity of Xu et al., "AttnGAN" (CVPR 2018), with one logit for a pair, so that true pairs can
be told from false ones and not only ranked.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.networks.images.convolution import conv
from ganrnn.networks.images.projection_discriminator import ImageEncoder
from ganrnn.networks.texts.bidirectional_encoder import BidirectionalEncoder
from ganrnn.networks.texts.recurrent import Cell

_MOST_REGIONS = 16
_SHARPNESS = 8.0  # of attention, which sees cosines

Seen = tuple[torch.Tensor, torch.Tensor]  # unit vectors of M pictures [M, D] and of their regions [M, R, D]
Read = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # of N texts [N, D], their words [N, T, D], shares of these


class JudgeNetwork(nn.Module):
    """A convolutional network over the picture, an RNN both ways over the words, word-region attention between them.

    A logit is an offset plus scaled cosines: of picture and sentence, and of each word and what it attends to, words
    being weighed by how much they say.
    """

    def __init__(
        self, height: int, width: int, num_tokens: int, cell: Cell, embedding_dim: int, dim: int, base_channels: int
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_dim, padding_idx=0)
        self.reader = BidirectionalEncoder(cell, embedding_dim, dim, 1, 2)
        self.pictures = ImageEncoder(height, width, dim, base_channels)
        with torch.no_grad():
            maps = self.pictures.maps(torch.zeros(1, 3, height, width))
        few = [level for level, held in enumerate(maps) if held[0, 0].numel() <= _MOST_REGIONS]
        self.level = few[0] if few else len(maps) - 1
        _, channels, *size = maps[self.level].shape
        self.to_regions = conv(channels, dim, 1)
        self.places = nn.Parameter(0.1 * torch.randn(dim, *size))
        self.to_picture = nn.Linear(dim, dim)
        self.to_sentence = nn.Linear(dim, dim)
        self.to_words = nn.Linear(dim, dim)
        self.weigh = nn.Linear(dim, 1, bias=False)
        self.scales = nn.Parameter(torch.tensor([8.0, 8.0]))
        self.offset = nn.Parameter(torch.tensor(-4.0))

    def see(self, images: torch.Tensor) -> Seen:
        """Pictures float32 [M, 3, H, W] in -1 to 1."""
        maps = self.pictures.maps(images)
        regions = self.to_regions(maps[self.level]) + self.places
        whole = self.to_picture(self.pictures.summary(maps[-1]))
        return F.normalize(whole, dim=1), F.normalize(regions.flatten(2).transpose(1, 2), dim=2)

    def read(self, tokens: torch.Tensor, lengths: torch.Tensor) -> Read:
        """Tokens int64 [N, T], padded at the end, and lengths int64 [N] of at least 1."""
        memory, end = self.reader(self.embedding(tokens), lengths)
        mask = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        shares = self.weigh(memory)[:, :, 0].masked_fill(~mask, -torch.inf).softmax(1)
        return F.normalize(self.to_sentence(end), dim=1), F.normalize(self.to_words(memory), dim=2), shares

    def forward(self, seen: Seen, read: Read) -> torch.Tensor:
        """Each picture against its own text: logits [N]."""
        (wholes, regions), (sentences, words, shares) = seen, read
        found = words @ regions.transpose(-1, -2)
        attended = (_SHARPNESS * found).softmax(-1)
        # The cosine of a word with the mean of regions that it attends to, without ever making that mean.
        length = ((attended @ (regions @ regions.transpose(-1, -2))) * attended).sum(-1).sqrt()
        fits = (attended * found).sum(-1) / length
        parts = torch.stack([(wholes * sentences).sum(-1), (fits * shares).sum(-1)], dim=-1)
        return parts @ self.scales + self.offset

    def all_pairs(self, seen: Seen, read: Read) -> torch.Tensor:
        """Every picture against every text: logits [M, N]."""
        wholes, regions = (held[:, None] for held in seen)
        sentences, words, shares = (held[None] for held in read)
        return self((wholes, regions), (sentences, words, shares))
