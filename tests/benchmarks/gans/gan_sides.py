"""One trainer of GANs for so many CPU seconds on one core, ours or a peer's: what it paints then, and how fast it was.

    PYTHONPATH=. python tests/benchmarks/gans/gan_sides.py SIDE --data DATA --seed N --seconds S --checkout D --out OUT

DATA holds uint8 pictures and labels, as `gan_peers.py` writes them. A peer's networks, losses and settings are imported
from a checkout of it; the loop around them is here, because theirs asks for CUDA. Networks have about as many weights
as ours. StudioGAN is its SNGAN for CIFAR-10 with the average of weights that its BigGAN has, a faster one; R3GAN is its
preset for CIFAR-10 at the values that its schedules begin with, on the reference operators that it has for CPUs.
"""

import argparse
import copy
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from unittest.mock import MagicMock

import torch
from packaging.version import parse
from torch.nn import functional as F

from ganrnn import cpu
from ganrnn.data import images
from ganrnn.data.conditions import Conditions
from ganrnn.tasks.image_gan import ImageGan
from pipelines.config.loader import load_recipe

NUM_CLASSES = 10
ROOT = Path(__file__).parents[3]
# What peers import and do not need for a training step on a CPU.
UNUSED = (
    *("torchvision", "torchvision.datasets", "torchvision.utils", "torchvision.transforms", "torchvision.models"),
    *("torchvision.transforms.functional", "seaborn", "matplotlib", "matplotlib.pyplot", "h5py"),
    *("kornia", "kornia.filters", "kornia.augmentation", "sklearn", "sklearn.manifold"),
)


@dataclass
class Side:
    """`step` trains once and returns how many real pictures the discriminator saw; `sample` paints labels [N]."""

    step: Callable[[], int]
    sample: Callable[[torch.Tensor], torch.Tensor]
    num_weights: tuple[int, int]  # of generator and discriminator


@dataclass
class Data:
    """Real pictures float32 [N, 3, 32, 32], their labels int64 [N], and batches of both without end."""

    pictures: torch.Tensor
    labels: torch.Tensor
    generator: torch.Generator

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Some rows, each as likely as any other."""
        rows = torch.randint(len(self.labels), (size,), generator=self.generator)
        return self.pictures[rows], self.labels[rows]


def ours(data: Data, seed: int, checkout: str) -> Side:
    """The recipe cifar10_classes at a constant learning rate, since how many steps fit in is not known."""
    settings = ["task.generator.schedule=constant", "task.discriminator.schedule=constant"]
    config = load_recipe(str(ROOT / "jobs/recipes/images/cifar10_classes.yaml"), settings).task
    conditions = Conditions.of_labels(range(NUM_CLASSES))
    task = ImageGan(config, conditions, seed)

    def step() -> int:
        pictures, labels = data.batch(32)
        values = conditions.encode(labels.tolist(), [None] * len(labels))
        task.step({"images": images.to_uint8(pictures), "values": values, "keys": labels})
        return len(labels)

    def sample(labels: torch.Tensor) -> torch.Tensor:
        rows = {"prompt_id": [str(i) for i in range(len(labels))], "label": labels.tolist()}
        return task.sample(rows, [(seed, i) for i in rows["prompt_id"]])

    return Side(step, sample, (_weights(task.generator), _weights(task.discriminator)))


def studiogan(data: Data, seed: int, checkout: str) -> Side:
    """Spectral normalisation, hinge loss, projection, five discriminator steps to one of the generator."""
    _stub_unused()
    sys.path.insert(0, f"{checkout}/src")
    import config as studio  # type: ignore[import-not-found]
    from models import resnet  # type: ignore[import-not-found]
    from utils import ema as averages  # type: ignore[import-not-found]

    held = studio.Configurations(f"{checkout}/src/configs/CIFAR10/SNGAN.yaml")
    held.RUN.mixed_precision = False
    modules = held.define_modules()
    held.define_losses()
    m, o = held.MODEL, held.OPTIMIZATION

    def generator() -> torch.nn.Module:
        attention, shape = (m.apply_attn, m.attn_g_loc), (m.g_init, m.g_depth)
        made = resnet.Generator(
            m.z_dim, m.g_shared_dim, 32, 20, *attention, m.g_cond_mtd, NUM_CLASSES, *shape, False, modules, m
        )
        return made  # type: ignore[no-any-return]

    G, average = generator(), generator()
    attention = (m.apply_d_sn, m.apply_attn, m.attn_d_loc)
    heads = (m.d_cond_mtd, m.aux_cls_type, m.d_embed_dim, m.normalize_d_embed, NUM_CLASSES)
    D = resnet.Discriminator(32, 42, *attention, *heads, m.d_init, m.d_depth, False, modules, m)
    ema = averages.Ema(G, average, decay=0.999, start_iter=0)
    adam = [torch.optim.Adam(net.parameters(), rate, (o.beta1, o.beta2)) for net, rate in ((G, o.g_lr), (D, o.d_lr))]
    counted = [0]

    def painted(labels: torch.Tensor) -> torch.Tensor:
        return G(torch.randn(len(labels), m.z_dim), labels)  # type: ignore[no-any-return]

    def step() -> int:
        for _ in range(o.d_updates_per_step):
            pictures, labels = data.batch(o.batch_size)
            asked = torch.randint(NUM_CLASSES, (o.batch_size,))
            with torch.no_grad():
                fake = painted(asked)
            on_real, on_fake = D(pictures, labels)["adv_output"], D(fake, asked)["adv_output"]
            _update(adam[1], held.LOSS.d_loss(on_real, on_fake, False))
        asked = torch.randint(NUM_CLASSES, (o.batch_size,))
        _update(adam[0], held.LOSS.g_loss(D(painted(asked), asked)["adv_output"], False))
        counted[0] += 1
        ema.update(counted[0])
        return int(o.d_updates_per_step * o.batch_size)

    def sample(labels: torch.Tensor) -> torch.Tensor:
        average.eval()
        return images.to_uint8(average(torch.randn(len(labels), m.z_dim), labels, eval=True))

    return Side(step, sample, (_weights(G), _weights(D)))


def r3gan(data: Data, seed: int, checkout: str) -> Side:
    """Relativistic pairs and both zero-centred penalties at every step; groups of convolutions."""
    _stub_unused()
    sys.path.insert(0, checkout)
    from R3GAN import FusedOperators, Resamplers  # type: ignore[import-not-found]

    Resamplers.InterpolativeUpsampler = Resamplers.InterpolativeUpsamplerReference
    Resamplers.InterpolativeDownsampler = Resamplers.InterpolativeDownsamplerReference
    FusedOperators.BiasedActivation = FusedOperators.BiasedActivationReference
    from R3GAN.Networks import Discriminator, Generator  # type: ignore[import-not-found]
    from R3GAN.Trainer import AdversarialTraining  # type: ignore[import-not-found]

    z_dim, widths, groups, blocks = 64, [96] * 4, [12] * 4, [2] * 4
    G = Generator(z_dim, widths, groups, blocks, 2, NUM_CLASSES, z_dim)
    D = Discriminator(widths, groups, blocks, 2, NUM_CLASSES, widths[0])
    average = copy.deepcopy(G).requires_grad_(False)
    game = AdversarialTraining(G, D)
    adam = [torch.optim.Adam(network.parameters(), 2e-4, (0.0, 0.9)) for network in (G, D)]
    counted = [0]

    def turn(player: int, accumulate: Callable[..., object], *more: float) -> None:
        G.requires_grad_(player == 0)
        D.requires_grad_(player == 1)
        pictures, labels = data.batch(32)
        adam[player].zero_grad(set_to_none=True)
        accumulate(torch.randn(len(labels), z_dim), pictures, F.one_hot(labels, NUM_CLASSES).float(), *more)
        adam[player].step()

    def step() -> int:
        turn(1, game.AccumulateDiscriminatorGradients, 0.05)
        turn(0, game.AccumulateGeneratorGradients)
        counted[0] += 32
        with torch.no_grad():
            decay = 0.5 ** (32 / max(counted[0] / 4, 1e-8))
            torch._foreach_lerp_([*average.parameters()], [*G.parameters()], 1 - decay)
        return 32

    def sample(labels: torch.Tensor) -> torch.Tensor:
        z = torch.randn(len(labels), z_dim)
        return images.to_uint8(average(z, F.one_hot(labels, NUM_CLASSES).float()))

    return Side(step, sample, (_weights(G), _weights(D)))


SIDES = {"ours": ours, "studiogan": studiogan, "r3gan": r3gan}


def _update(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _weights(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _stub_unused() -> None:
    for name in UNUSED:
        stub = MagicMock()
        stub.__spec__ = ModuleSpec(name, None)
        sys.modules.setdefault(name, stub)
    resources = types.ModuleType("pkg_resources")
    resources.parse_version = parse  # type: ignore[attr-defined]
    sys.modules.setdefault("pkg_resources", resources)


def main() -> None:
    """Train by the clock of this process, which stands still while others have the core; then sample."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=SIDES)
    for name, kind in (("data", str), ("seed", int), ("seconds", float), ("checkout", str), ("out", str)):
        parser.add_argument(f"--{name}", type=kind, default=None)
    given = parser.parse_args()
    cpu.prepare(1)
    torch.manual_seed(given.seed)
    held = torch.load(given.data, weights_only=True)
    data = Data(images.to_float(held["images"]), held["labels"], torch.Generator().manual_seed(given.seed))
    side = SIDES[given.side](data, given.seed, given.checkout)
    started, num_images, num_steps = time.process_time(), 0, 0
    while time.process_time() - started < given.seconds:
        num_images += side.step()
        num_steps += 1
    seconds = time.process_time() - started
    with torch.no_grad():
        samples = torch.cat([side.sample(labels) for labels in held["asked"].split(64)])
    about = {"images_per_second": num_images / seconds, "steps": num_steps, "weights": list(side.num_weights)}
    torch.save({"samples": samples, **about}, given.out)


if __name__ == "__main__":
    main()
