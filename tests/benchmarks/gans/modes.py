"""How many of 25 modes each objective covers: a grid of narrow Gaussians in the plane, two small networks.

The mixture and its measure are those of Srivastava et al., "VEEGAN" (NeurIPS 2017): a sample is good within three
standard deviations of a mode, and a mode is covered that has a good sample. Here it needs a tenth of its share of them.
"""

from dataclasses import dataclass

import torch
from torch import nn

from ganrnn.objectives.adversarial import OBJECTIVES, ObjectiveName
from ganrnn.objectives.penalties import PenaltyName, slope_penalty
from ganrnn.training.optimizer import Player, PlayerConfig
from tests.benchmarks.record import Figure, digits

SPREAD = 0.05
MODES = torch.cartesian_prod(torch.arange(-4.0, 5.0, 2.0), torch.arange(-4.0, 5.0, 2.0)) / 2.83  # unit variance
DEFAULT = ("relativistic", "r1_r2")
SETTINGS: list[tuple[ObjectiveName, PenaltyName]] = [
    ("minimax", "none"),
    ("non_saturating", "none"),
    ("non_saturating", "r1"),
    ("non_saturating", "dragan"),
    ("least_squares", "none"),
    ("hinge", "none"),
    ("wasserstein", "clip"),
    ("wasserstein", "gradient"),
    ("wasserstein", "one_sided_gradient"),
    ("relativistic", "none"),
    ("relativistic", "r1_r2"),
]
# Two values instead of thousands of pixels: the weight that Gulrajani et al. use in the plane, and a wider clip.
WEIGHTS: dict[PenaltyName, float] = {
    "r1": 0.3,
    "r1_r2": 0.3,
    "gradient": 0.1,
    "one_sided_gradient": 0.1,
    "dragan": 0.1,
    "clip": 0.1,
}
BATCH, Z_DIM, WIDTH, NUM_SAMPLES = 256, 2, 128, 5_000


@dataclass(frozen=True)
class Covered:
    """Of one training."""

    num_modes: int
    good_share: float


def network(in_dim: int, out_dim: int) -> nn.Module:
    """Three hidden layers."""
    layers: list[nn.Module] = []
    for before, after in ((in_dim, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH)):
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(WIDTH, out_dim))


def real_rows(num: int) -> torch.Tensor:
    """float32 [num, 2]."""
    return MODES[torch.randint(len(MODES), (num,))] + SPREAD / 2.83 * torch.randn(num, 2)


def train(objective: ObjectiveName, penalty: PenaltyName, seed: int, num_steps: int) -> Covered:
    """One training."""
    torch.manual_seed(seed)
    G, D = network(Z_DIM, 2), network(2, 1)
    config = PlayerConfig(learning_rate=1e-3, beta1=0.0, beta2=0.99)
    players = Player(config, G.parameters()), Player(config, D.parameters())
    weight = WEIGHTS.get(penalty, 0.0)
    for step in range(num_steps):
        real, z = real_rows(BATCH), torch.randn(BATCH, Z_DIM)
        fake = G(z)
        seen = fake.detach().requires_grad_()
        real.requires_grad_()
        players[1].begin(step, num_steps, 1.0)
        on_real, on_fake = D(real).squeeze(1), D(seen).squeeze(1)
        loss = OBJECTIVES[objective].discriminator(on_real, on_fake)
        if penalty not in ("none", "clip"):
            loss = loss + slope_penalty(penalty, weight, lambda x: D(x).squeeze(1), (real, on_real), (seen, on_fake))[0]
        loss.backward()
        players[1].update()
        if penalty == "clip":
            with torch.no_grad():
                for parameter in D.parameters():
                    parameter.clamp_(-weight, weight)
        players[0].begin(step, num_steps, 1.0)
        OBJECTIVES[objective].generator(D(real.detach()).squeeze(1), D(fake).squeeze(1)).backward()
        players[0].update()
    with torch.no_grad():
        return covered(G(torch.randn(NUM_SAMPLES, Z_DIM)))


def covered(samples: torch.Tensor) -> Covered:
    """float32 [N, 2] against the modes."""
    distance, nearest = torch.cdist(samples, MODES).min(1)
    good = distance <= 3 * SPREAD / 2.83
    counts = torch.bincount(nearest[good], minlength=len(MODES))
    return Covered(int((counts >= len(samples) / len(MODES) / 10).sum()), float(good.float().mean()))


def measure(num_steps: int = 8_000, num_seeds: int = 3) -> list[Figure]:
    """All settings; the figure is the worst seed of the default."""
    torch.set_num_threads(1)
    table = {}
    for objective, penalty in SETTINGS:
        runs = [train(objective, penalty, seed, num_steps) for seed in range(num_seeds)]
        table[f"{objective} {penalty}"] = {
            "modes": [run.num_modes for run in runs],
            "good_share": [digits(run.good_share) for run in runs],
        }
        print(f"  {objective:<15} {penalty:<19} {table[f'{objective} {penalty}']}", flush=True)
    worst = min(table[" ".join(DEFAULT)]["modes"])
    details = {"num_steps": num_steps, "batch": BATCH, "objectives": table}
    return [
        Figure("modes_covered_default", float(worst), details),
        Figure("modes_total", float(len(MODES)), {}),
    ]
