"""Decoding for all tasks that write: greedy, sampled or by beam search, each row by its own rules.

    written = generate(model, state, lines)

A row's text is a function of the row alone. Logits come from exact sums (`ganrnn/exact.py`), ties go to the
token that stands first, and a sampled token is where a number drawn for (seed, sample id, place) falls; so neither
neighbours nor the size of the batch change a choice. Rows that are finished leave the batch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from ganrnn import exact
from ganrnn.decoding.constraints import Constraint
from ganrnn.decoding.rules import Decoding
from ganrnn.text.vocabulary import BEGIN, END, PAD, UNKNOWN, TextVocabulary

_NEVER = (PAD, UNKNOWN, BEGIN)
_FEW = 512  # of the likeliest tokens, looked through before all are


class AutoregressiveModel(Protocol):
    """A model that tells what may come next. States are its own affair; their rows can be taken."""

    vocabulary: TextVocabulary

    def step(self, tokens: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """The last tokens int64 [N] to logits float64 [N, V], of exact sums, and the state after."""
        ...

    def select_rows(self, state: Any, rows: torch.Tensor) -> Any:
        """The state of some rows int64 [M], which may stand there more than once."""
        ...

    def log_coverage(self, state: Any) -> list[float]:
        """Of each row, the penalty for what of its source was not attended to: 0 and below."""
        ...


@dataclass
class DecodingRequest:
    """A text to be written: `prefix`, then up to max_tokens more, drawn by `uniform` float64 [max_tokens + 1].

    A constraint holds for both.
    """

    decoding: Decoding
    prefix: Sequence[int]
    uniform: np.ndarray
    constraint: Constraint | None = None


@dataclass(frozen=True)
class GeneratedText:
    """A text, and why there is no more of it: `end` as the model wished, `length`, `stop`, or a `problem`.

    `log_probability` is the model's for what follows the prefix, END included where it came by itself;
    `constraint_cost` says how much of it the constraint forbade: minus the sum of the logarithms of what it left.
    """

    text: str
    tokens: tuple[int, ...]
    log_probability: float
    constraint_cost: float
    finish: str
    problem: str = ""

    @classmethod
    def failed(cls, problem: str) -> "GeneratedText":
        """Nothing, and why."""
        return cls("", (), 0.0, 0.0, "problem", problem)


@dataclass(frozen=True)
class _Draft:
    """A text in the making."""

    line: int
    tokens: tuple[int, ...] = ()
    log_probability: float = 0.0
    constraint_cost: float = 0.0
    state: Any = None  # of the constraint


def generate(model: AutoregressiveModel, state: Any, lines: Sequence[DecodingRequest]) -> list[GeneratedText]:
    """The texts of N lines, whose state in the model before the first token has N rows."""
    drafts = [_Draft(i, state=line.constraint.start() if line.constraint else None) for i, line in enumerate(lines)]
    finished: list[list[tuple[float, GeneratedText]]] = [[] for _ in lines]
    last = [BEGIN] * len(lines)
    device = None
    while drafts:
        logits, state = model.step(torch.tensor(last, device=device), state)
        device = logits.device
        logits = exact.snapped_logits(logits)
        log_sums = exact.log_sum(logits).tolist()
        allowed, costs, problems = _allowed(model.vocabulary, logits, lines, drafts)
        unread = model.log_coverage(state) if any(lines[d.line].decoding.coverage_penalty for d in drafts) else []
        chosen = _choices(allowed, logits, log_sums, lines, drafts)
        following: list[tuple[int, _Draft]] = []
        for number, draft in enumerate(drafts):
            if problems[number]:
                finished[draft.line].append(
                    (-math.inf, _end(model, draft, lines[draft.line], "problem", problems[number]))
                )
        for number, token, log_probability in chosen:
            draft, line = drafts[number], lines[drafts[number].line]
            if problems[number]:
                continue
            longer = _longer(draft, line, token, log_probability, costs[number])
            finish = _finish(model.vocabulary, longer, line, token)
            if finish:
                score = _score(longer, line, unread[number] if unread else 0.0)
                finished[draft.line].append((score, _end(model, longer, line, finish)))
            else:
                following.append((number, longer))
        following = _kept(following, lines, finished)
        drafts = [draft for _, draft in following]
        last = [draft.tokens[-1] for draft in drafts]
        numbers = [number for number, _ in following]
        if numbers != list(range(len(logits))):
            state = model.select_rows(state, torch.tensor(numbers, dtype=torch.int64, device=device))
    return [_ranked(held, line.decoding.best) for held, line in zip(finished, lines, strict=True)]


def _allowed(
    vocabulary: TextVocabulary, logits: torch.Tensor, lines: Sequence[DecodingRequest], drafts: Sequence[_Draft]
) -> tuple[torch.Tensor, list[float], list[str]]:
    """Logits with -inf where no token may stand, the cost of each row's constraint, and why nothing may stand there."""
    made = logits.clone()
    made[:, list(_NEVER)] = -torch.inf
    held = [(draft, lines[draft.line]) for draft in drafts]
    is_short = [len(d.tokens) - len(line.prefix) < line.decoding.min_tokens for d, line in held]
    made[is_short, END] = -torch.inf
    problems, masks = [""] * len(drafts), {}
    for row, (draft, line) in enumerate(held):
        mask = None
        if line.constraint:
            num_left = len(line.prefix) + line.decoding.max_tokens - len(draft.tokens)
            mask = line.constraint.allowed(draft.state, num_left)
        if (forced := _forced(line, draft)) is not None:
            if mask is not None and not mask[forced]:
                problems[row] = f"the text may not begin with {vocabulary.decode(line.prefix)!r}: the constraint is "
                problems[row] += f"broken after {vocabulary.decode(draft.tokens)!r}"
            continue
        if line.decoding.changes_logits:
            _change(made[row], line.decoding, draft, vocabulary)
        if mask is not None:
            masks[row] = mask
    costs = _constrain(made, masks)
    for row in made.isneginf().all(1).nonzero()[:, 0].tolist():
        draft, line = held[row]
        if _forced(line, draft) is None:
            problems[row] = f"nothing may follow {vocabulary.decode(draft.tokens)[-40:]!r}: the constraint, "
            problems[row] += f"max_tokens ({line.decoding.max_tokens}) and banned tokens leave no way on"
    return made, costs, problems


def _constrain(logits: torch.Tensor, masks: Mapping[int, np.ndarray]) -> list[float]:
    """Leave in rows of logits [N, V] what their masks allow, in place.

    The costs are minus the logarithms of the shares of probability that these leave; 0 where they leave nothing.
    """
    costs = torch.zeros(len(logits), dtype=torch.float64, device=logits.device)
    if masks:
        rows = torch.tensor(list(masks), device=logits.device)
        allowed = torch.from_numpy(np.stack(list(masks.values()))).to(logits.device)
        before = logits[rows]
        after = torch.where(allowed, before, -torch.inf)
        logits[rows] = after
        some = ~after.isneginf().all(1)
        costs[rows[some]] = (exact.log_sum(before[some]) - exact.log_sum(after[some])).clamp_min(0.0)
    return costs.tolist()


def _forced(line: DecodingRequest, draft: _Draft) -> int | None:
    """The next token of the prefix, while it lasts."""
    return line.prefix[len(draft.tokens)] if len(draft.tokens) < len(line.prefix) else None


def _change(logits: torch.Tensor, rules: Decoding, draft: _Draft, vocabulary: TextVocabulary) -> None:
    """The rules that change logits [V] of a row by what it is, in place."""
    if rules.repetition_penalty != 1.0 and draft.tokens:
        seen = torch.tensor(sorted(set(draft.tokens)), device=logits.device)
        held = logits[seen]
        rescaled = torch.where(held > 0, held / rules.repetition_penalty, held * rules.repetition_penalty)
        logits[seen] = exact.snapped_logits(rescaled)
    for text, value in rules.bias.items():
        logits[vocabulary.id_of(text)] += exact.snapped(torch.tensor(value), exact.LOGIT_BITS, exact.LARGEST_LOGIT)
    for text in rules.banned:
        logits[vocabulary.id_of(text)] = -torch.inf
    size = rules.no_repeat_ngram
    if size and len(draft.tokens) >= size - 1:
        tail = draft.tokens[len(draft.tokens) - size + 1 :]
        for start in range(len(draft.tokens) - size + 1):
            if draft.tokens[start : start + size - 1] == tail:
                logits[draft.tokens[start + size - 1]] = -torch.inf


def _choices(
    allowed: torch.Tensor,
    logits: torch.Tensor,
    log_sums: Sequence[float],
    lines: Sequence[DecodingRequest],
    drafts: Sequence[_Draft],
) -> list[tuple[int, int, float]]:
    """(row, token, its log-probability) of all that go on: one for a row, for the beams of a line the likeliest."""
    keys = exact.ranks(allowed)
    tokens = keys.argmax(1)
    sampled = [row for row, draft in enumerate(drafts) if _is_sampled(lines[draft.line], draft)]
    if sampled:
        rows = torch.tensor(sampled, device=allowed.device)
        held = [lines[drafts[row].line] for row in sampled]
        u = [line.uniform[len(drafts[row].tokens) - len(line.prefix)] for line, row in zip(held, sampled, strict=True)]
        tokens[rows] = _sampled(allowed[rows], keys[rows], [line.decoding for line in held], u)
    own = logits.gather(1, tokens[:, None])[:, 0].tolist()
    chosen = []
    for row, (token, value, log_sum) in enumerate(zip(tokens.tolist(), own, log_sums, strict=True)):
        line, draft = lines[drafts[row].line], drafts[row]
        if (forced := _forced(line, draft)) is not None:
            chosen.append((row, forced, 0.0))
        elif not _is_searched(line, draft):
            chosen.append((row, token, value - log_sum))
    beams: dict[int, list[int]] = {}
    for row, draft in enumerate(drafts):
        if _is_searched(lines[draft.line], draft):
            beams.setdefault(draft.line, []).append(row)
    for number, of_line in beams.items():
        chosen += _widened(allowed, logits, log_sums, drafts, of_line, 2 * lines[number].decoding.num_beams)
    return chosen


def _is_sampled(line: DecodingRequest, draft: _Draft) -> bool:
    rules = line.decoding
    return rules.temperature > 0 and rules.num_beams == 1 and _forced(line, draft) is None


def _is_searched(line: DecodingRequest, draft: _Draft) -> bool:
    return line.decoding.num_beams > 1 and _forced(line, draft) is None


def _sampled(logits: torch.Tensor, keys: torch.Tensor, rules: Sequence[Decoding], u: Sequence[float]) -> torch.Tensor:
    """One token for each row of logits [N, V] and its keys; u [N] decides."""
    num = logits.shape[1]
    settings = [[r.temperature, r.min_p, r.top_k or num, r.top_p, at] for r, at in zip(rules, u, strict=True)]
    columns = torch.tensor(settings, dtype=torch.float64, device=logits.device).T[:, :, None]
    temperature, min_p, top_k, top_p, at = columns
    weights = exact.shares((logits - logits.amax(1, keepdim=True)) / temperature)
    weights = torch.where(weights < min_p, 0.0, weights)
    tokens = exact.drawn(weights, at[:, 0])
    rows = ((top_k < num) | (top_p < 1.0))[:, 0].nonzero()[:, 0]
    if len(rows):
        tokens[rows] = _of_likeliest(weights[rows], keys[rows], *columns[2:, rows])
    return tokens


def _of_likeliest(
    weights: torch.Tensor, keys: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor, at: torch.Tensor
) -> torch.Tensor:
    """One token for each row of weights [N, V], of those that top_k and top_p [N, 1] leave; `at` [N, 1] decides."""
    num = weights.shape[1]
    for width in dict.fromkeys((min(_FEW, num), num)):
        _, order = keys.topk(width)
        held = weights.gather(1, order)
        held = torch.where(torch.arange(width, device=weights.device) < top_k, held, 0.0)
        total = torch.where(top_k <= width, held.sum(1, keepdim=True), weights.sum(1, keepdim=True))
        sums = held.cumsum(1)
        # The sum that top_p is a share of must be known, and nothing of that share lie further down.
        if bool(((sums[:, -1:] >= top_p * total) & ((top_k <= width) | (top_k >= num))).all()):
            break
    held = torch.where(sums - held < top_p * total, held, 0.0)
    return order.gather(1, exact.drawn(held, at[:, 0])[:, None])[:, 0]


def _widened(
    allowed: torch.Tensor,
    logits: torch.Tensor,
    log_sums: Sequence[float],
    drafts: Sequence[_Draft],
    rows: Sequence[int],
    num: int,
) -> list[tuple[int, int, float]]:
    """The `num` likeliest continuations of the drafts of one line, the likeliest first."""
    before = torch.tensor([drafts[row].log_probability - log_sums[row] for row in rows], dtype=torch.float64)
    scores = allowed[list(rows)] + before.to(allowed.device)[:, None]
    keys, tokens = exact.ranks(scores).topk(min(num, scores.shape[1]))
    flat = [
        (value, number, token)
        for number, (values, found) in enumerate(zip(keys.tolist(), tokens.tolist(), strict=True))
        for value, token in zip(values, found, strict=True)
        if value > -math.inf
    ]
    best = sorted(flat, key=lambda held: (-(held[0] // exact.MOST_TOKENS), held[1], held[2]))[:num]
    return [(rows[n], token, float(logits[rows[n], token]) - log_sums[rows[n]]) for _, n, token in best]


def _longer(draft: _Draft, line: DecodingRequest, token: int, log_probability: float, cost: float) -> _Draft:
    state = draft.state
    if line.constraint and token != END:
        state = line.constraint.advance(state, token)
    tokens = draft.tokens if token == END else (*draft.tokens, token)
    total = draft.log_probability + log_probability
    return _Draft(draft.line, tokens, total, draft.constraint_cost + cost, state)


def _finish(vocabulary: TextVocabulary, draft: _Draft, line: DecodingRequest, token: int) -> str:
    """Why a text ends here; empty where it goes on."""
    if token == END:
        return "end"
    rules, written = line.decoding, draft.tokens[len(line.prefix) :]
    if rules.stop and written:
        tail = vocabulary.decode(written[-max(map(len, rules.stop)) - 1 :])
        if any(stop in tail for stop in rules.stop):
            return "stop"
    return "length" if len(written) >= rules.max_tokens and not line.constraint else ""


def _end(
    model: AutoregressiveModel, draft: _Draft, line: DecodingRequest, finish: str, problem: str = ""
) -> GeneratedText:
    text = model.vocabulary.decode(draft.tokens)
    if finish == "stop":
        start = len(model.vocabulary.decode(line.prefix))
        text = text[: min(place for stop in line.decoding.stop if (place := text.find(stop, start)) >= 0)]
    return GeneratedText(text, draft.tokens, draft.log_probability, draft.constraint_cost, finish, problem)


def _score(draft: _Draft, line: DecodingRequest, unread: float) -> float:
    length = len(draft.tokens) - len(line.prefix)
    return _normalised(draft.log_probability, length, line.decoding) + line.decoding.coverage_penalty * unread


def _normalised(log_probability: float, length: int, rules: Decoding) -> float:
    return log_probability / ((5 + length) / 6) ** rules.length_penalty


def _kept(
    following: Sequence[tuple[int, _Draft]],
    lines: Sequence[DecodingRequest],
    finished: Sequence[list[tuple[float, GeneratedText]]],
) -> list[tuple[int, _Draft]]:
    """Of each line as many as it has beams, none where what is finished cannot be beaten any more."""
    kept: dict[int, list[tuple[int, _Draft]]] = {}
    for number, draft in following:
        held = kept.setdefault(draft.line, [])
        if len(held) < lines[draft.line].decoding.num_beams:
            held.append((number, draft))
    for line, held in kept.items():
        rules = lines[line].decoding
        if len(finished[line]) < rules.num_beams:
            continue
        least = sorted((score for score, _ in finished[line]), reverse=True)[rules.num_beams - 1]
        if least >= max(_normalised(draft.log_probability, rules.max_tokens, rules) for _, draft in held):
            held.clear()
    return [pair for line in sorted(kept) for pair in kept[line]]


def _ranked(finished: Sequence[tuple[float, GeneratedText]], place: int) -> GeneratedText:
    """The text of a place among those of a line, the best first; the last where there are fewer.

    What could not be ended is one only if all could not.
    """
    whole = [held for held in finished if not held[1].problem] or finished
    order = sorted(whole, key=lambda held: (-held[0], held[1].tokens))
    return order[min(place, len(order) - 1)][1]
