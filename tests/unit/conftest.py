"""One thread: the tensors of these tests are too small to share out, and a busy machine makes sharing very slow."""

import torch

torch.set_num_threads(1)
