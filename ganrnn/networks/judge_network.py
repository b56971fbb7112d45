"""How well a text describes a picture, by attention between words and regions.

After the attentional similarity of Xu et al., "AttnGAN" (CVPR 2018), with one logit per pair, so that true pairs can
be separated from false ones and not only ranked.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.networks.images.convolution import conv
from ganrnn.networks.images.projection_discriminator import ImageEncoder
from ganrnn.networks.texts.bidirectional_encoder import BidirectionalEncoder
from ganrnn.networks.texts.recurrent import Cell

_MAX_REGIONS = 16
_SHARPNESS = 8.0  # factor of the cosines in the softmax of attention

ImageFeatures = tuple[torch.Tensor, torch.Tensor]  # unit vectors of M pictures [M, D] and of their regions [M, R, D]
# Unit vectors of N texts [N, D] and of their words [N, T, D], and the weights of the words [N, T].
TextFeatures = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class JudgeNetwork(nn.Module):
    """A convolutional network over the picture, a bidirectional RNN over the words, word-region attention between them.

    A logit is an offset plus two scaled terms: the cosine of picture and sentence, and the weighted mean of the cosines
    of each word and the regions that it attends to.
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
        small_levels = [level for level, level_maps in enumerate(maps) if level_maps[0, 0].numel() <= _MAX_REGIONS]
        self.level = small_levels[0] if small_levels else len(maps) - 1
        _, channels, *size = maps[self.level].shape
        self.to_regions = conv(channels, dim, 1)
        self.places = nn.Parameter(0.1 * torch.randn(dim, *size))
        self.to_picture = nn.Linear(dim, dim)
        self.to_sentence = nn.Linear(dim, dim)
        self.to_words = nn.Linear(dim, dim)
        self.weigh = nn.Linear(dim, 1, bias=False)
        self.scales = nn.Parameter(torch.tensor([8.0, 8.0]))
        self.offset = nn.Parameter(torch.tensor(-4.0))

    def encode_images(self, images: torch.Tensor) -> ImageFeatures:
        """Features of pictures float32 [M, 3, H, W] in -1 to 1."""
        maps = self.pictures.maps(images)
        regions = self.to_regions(maps[self.level]) + self.places
        picture = self.to_picture(self.pictures.summary(maps[-1]))
        return F.normalize(picture, dim=1), F.normalize(regions.flatten(2).transpose(1, 2), dim=2)

    def encode_texts(self, tokens: torch.Tensor, lengths: torch.Tensor) -> TextFeatures:
        """Features of texts: tokens int64 [N, T], padded at the end, and lengths int64 [N] of at least 1."""
        memory, end = self.reader(self.embedding(tokens), lengths)
        mask = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        shares = self.weigh(memory)[:, :, 0].masked_fill(~mask, -torch.inf).softmax(1)
        return F.normalize(self.to_sentence(end), dim=1), F.normalize(self.to_words(memory), dim=2), shares

    def forward(self, images: ImageFeatures, texts: TextFeatures) -> torch.Tensor:
        """Logits [N] of each picture and the text of the same row."""
        (picture_vectors, regions), (text_vectors, words, shares) = images, texts
        cosines = words @ regions.transpose(-1, -2)
        attended = (_SHARPNESS * cosines).softmax(-1)
        # The cosine of a word with the mean of the regions that it attends to, without computing that mean.
        length = ((attended @ (regions @ regions.transpose(-1, -2))) * attended).sum(-1).sqrt()
        word_cosines = (attended * cosines).sum(-1) / length
        parts = torch.stack([(picture_vectors * text_vectors).sum(-1), (word_cosines * shares).sum(-1)], dim=-1)
        return parts @ self.scales + self.offset

    def all_pairs(self, images: ImageFeatures, texts: TextFeatures) -> torch.Tensor:
        """Logits [M, N] of every picture and every text."""
        pictures, regions = (vectors[:, None] for vectors in images)
        sentences, words, shares = (vectors[None] for vectors in texts)
        return self((pictures, regions), (sentences, words, shares))
