"""Writing as an environment: what an episode is, the checker of Gymnasium, and agents that learn in it."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from ganrnn.networks.texts.language_network import LanguageNetwork
from ganrnn.objectives import policy
from ganrnn.tasks.sequence_gan import SequenceGan, SequenceGanConfig
from ganrnn.text.vocabulary import END, PAD, TextVocabulary

VOCABULARY = TextVocabulary.build("character", ["abc"])
A, B, C = VOCABULARY.encode("abc")
MOST = 6


def ascending(tokens: Sequence[int]) -> float:
    """1 for each letter after the one before it, and for an end after c; else nothing."""
    before, last = (VOCABULARY.id_of("c"), *tokens)[-2:]
    return float(last == (END if len(tokens) == 4 else {A: B, B: C, C: A}[before])) if before in (A, B, C) else 0.0


@pytest.fixture
def environment() -> Any:
    pytest.importorskip("gymnasium", reason="gymnasium is not installed")
    from ganrnn.text.environment import TextEnvironment

    return TextEnvironment(VOCABULARY, ascending, MOST, "ansi")


def test_an_episode_is_a_text(environment: Any) -> None:
    observation, info = environment.reset(seed=3)
    assert observation.tolist() == [PAD] * MOST and info == {} and environment.render() == ""
    rewards = []
    for token in (A, B, A):
        observation, reward, terminated, truncated, _ = environment.step(np.int64(token - END))
        rewards.append(reward)
        assert not terminated and not truncated
    assert observation.tolist() == [A, B, A, PAD, PAD, PAD] and rewards == [1.0, 1.0, 0.0]
    assert environment.render() == "aba"
    before = observation
    observation, _, terminated, truncated, _ = environment.step(0)
    assert terminated and not truncated and observation.tolist() == [A, B, A, END, PAD, PAD]
    assert before.tolist() == [A, B, A, PAD, PAD, PAD], "what an agent holds does not change"
    assert environment.reset()[0].tolist() == [PAD] * MOST


def test_a_text_that_does_not_end_is_cut_off(environment: Any) -> None:
    environment.reset()
    ends = [environment.step(1)[2:4] for _ in range(MOST)]
    assert ends == [(False, False)] * (MOST - 1) + [(False, True)]
    environment.reset()
    ends = [environment.step(action)[2:4] for action in [1] * (MOST - 1) + [0]]
    assert ends[-1] == (True, False), "an end in the last place is one"


@pytest.mark.parametrize("render_mode", [None, "ansi"])
def test_the_checker_of_gymnasium_has_nothing_to_say(environment: Any, render_mode: str | None) -> None:
    import gymnasium
    from gymnasium.utils.env_checker import check_env

    wrapped = gymnasium.make(
        "ganrnn.text.environment:ganrnn/Text-v0", vocabulary=VOCABULARY, reward=ascending, render_mode=render_mode
    )
    assert wrapped.observation_space.shape == (64,) and wrapped.action_space.n == len(VOCABULARY) - END == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(wrapped.unwrapped)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"max_tokens": 0}, "environment: max_tokens is 0; allowed are values from 1 up"),
        ({"render_mode": "human"}, "environment: render_mode is 'human'; allowed are None and 'ansi'"),
    ],
)
def test_a_mistake_is_named(environment: Any, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        type(environment)(VOCABULARY, ascending, **settings)


def test_without_gymnasium_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "ganrnn.text.environment", raising=False)
    with pytest.raises(BadInput, match=r'gymnasium is not installed, pip install "ganrnn\[reinforcement\]" adds it'):
        __import__("ganrnn.text.environment")


def test_the_discriminator_of_a_checkpoint_gives_the_rewards(environment: Any) -> None:
    config = SequenceGanConfig(num_tokens=8, embedding_dim=4, hidden_dim=4, num_pretraining_steps=0, num_steps=1)
    trained = SequenceGan(config, VOCABULARY, seed=1)
    files = checkpoint.pack(trained, {}, {})
    task = checkpoint.load_sampler(files)
    checkpoint.restore(task, files)
    judged = type(environment)(task.vocabulary, task.reward, MOST)
    judged.reset()
    rewards = [judged.step(action)[1] for action in (1, 2, 3, 0)]
    logits = trained.discriminator.eval()(torch.tensor([[A, B, C, END]]))
    assert rewards == pytest.approx((2 * logits.sigmoid() - 1)[0].tolist(), abs=1e-6)
    assert len(set(rewards)) == 4


def test_our_own_generator_learns_in_it(environment: Any) -> None:
    """REINFORCE on a recurrent network, episode by episode: from a mean return of about 1 to nearly all of 4."""
    torch.manual_seed(0)
    network = LanguageNetwork(len(VOCABULARY), "gru", 8, 16, 1, tied=False)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2)
    totals = []
    for _ in range(45):
        loss, log_probs = torch.zeros(()), []
        for _ in range(8):
            environment.reset()
            state, last, is_over = network.stack.begin(1), 2, False
            logs, rewards = [], []
            while not is_over:
                features, state = network(torch.tensor([[last]]), state)
                choices = network.choice_logits(features)[0, 0].log_softmax(0)
                action = int(torch.multinomial(choices.detach().exp(), 1))
                _, reward, terminated, truncated, _ = environment.step(action)
                logs.append(choices[action])
                rewards.append(reward)
                last, is_over = END + action, terminated or truncated
            returns = policy.returns(torch.tensor([rewards]), 1.0)
            mask = torch.ones_like(returns, dtype=torch.bool)
            loss = loss + policy.policy_gradient_loss(torch.stack(logs)[None], returns - 1.5, mask)
            log_probs.append(sum(rewards))
        optimizer.zero_grad()
        (loss / 8).backward()
        optimizer.step()
        totals.append(sum(log_probs) / 8)
    assert sum(totals[:5]) / 5 < 2.0 and sum(totals[-5:]) / 5 > 3.0, totals


def test_a_standard_agent_learns_in_it(environment: Any) -> None:
    reason = "stable-baselines3 is not installed: pip install --no-deps stable-baselines3"
    algorithms = pytest.importorskip("stable_baselines3", reason=reason)
    from stable_baselines3.common.evaluation import evaluate_policy

    torch.manual_seed(0)
    agent = algorithms.PPO("MlpPolicy", environment, n_steps=256, batch_size=64, learning_rate=3e-3, seed=0)
    agent.set_random_seed(0)
    before, _ = evaluate_policy(agent, agent.get_env(), 50, deterministic=False)
    agent.learn(3_072)
    after, _ = evaluate_policy(agent, agent.get_env(), 50, deterministic=False)
    assert before < 2.0 and after > 3.0, (before, after)
