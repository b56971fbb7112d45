"""Decoding for all tasks that generate texts: greedy, sampled or by beam search, each row by its own rules.

    texts = generate(model, state, requests)

A row's text is a function of that row alone: neither the other rows nor the size of the batch change a choice. Logits
come from exact sums (`ganrnn/exact.py`), ties go to the token with the smaller index, and the uniform number that
picks a sampled token is drawn for (seed, sample id, position). Finished rows leave the batch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from ganrnn import exact
from ganrnn.decoding.banned import completing_tokens
from ganrnn.decoding.constraints import Constraint
from ganrnn.decoding.rules import Decoding
from ganrnn.decoding.sampling import sampled_tokens
from ganrnn.text.vocabulary import BEGIN, END, PAD, UNKNOWN, TextVocabulary

_NEVER_GENERATED = (PAD, UNKNOWN, BEGIN)


class AutoregressiveModel(Protocol):
    """A model that predicts the next token of N rows. Decoding only selects rows of its states."""

    vocabulary: TextVocabulary

    def step(self, tokens: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """The last tokens int64 [N] to logits float64 [N, V], from exact sums, and the next state."""
        ...

    def select_rows(self, state: Any, rows: torch.Tensor) -> Any:
        """The state of the rows int64 [M]; a row may occur more than once."""
        ...

    def log_coverage(self, state: Any) -> list[float]:
        """For each row, 0 or less: the log of how much of its source was attended to, summed over the source."""
        ...


@dataclass
class DecodingRequest:
    """One text to generate.

    decoding:    the row's rules
    prefix:      tokens that the text begins with
    uniform:     float64 [max_tokens + 1], 0 to 1; the number at a position picks the token sampled there
    constraint:  which tokens are allowed, in the prefix too; None allows all
    """

    decoding: Decoding
    prefix: Sequence[int]
    uniform: np.ndarray
    constraint: Constraint | None = None


@dataclass(frozen=True)
class GeneratedText:
    """A text, and why it ends.

    log_probability:  of what follows the prefix, under the model; includes END if the model ended the text
    constraint_cost:  minus the log of the probability that the constraint left at each step, summed over the steps
    finish:           "end" (the model's END), "length", "stop" or "problem"
    problem:          why the text could not be completed; empty unless `finish` is "problem"
    """

    text: str
    tokens: tuple[int, ...]
    log_probability: float
    constraint_cost: float
    finish: str
    problem: str = ""

    @classmethod
    def failed(cls, problem: str) -> "GeneratedText":
        """An empty text for a row that cannot be decoded."""
        return cls("", (), 0.0, 0.0, "problem", problem)


@dataclass(frozen=True)
class _Beam:
    """An unfinished text: one of a beam search, or the only one of its request."""

    request_index: int
    request: DecodingRequest
    tokens: tuple[int, ...] = ()
    log_probability: float = 0.0
    constraint_cost: float = 0.0
    constraint_state: Any = None

    @property
    def num_generated(self) -> int:
        """Tokens after the prefix; negative inside the prefix."""
        return len(self.tokens) - len(self.request.prefix)

    @property
    def forced_token(self) -> int | None:
        """The next token of the prefix, None after it."""
        return self.request.prefix[len(self.tokens)] if self.num_generated < 0 else None

    @property
    def is_sampled(self) -> bool:
        """Whether a random number picks the next token."""
        rules = self.request.decoding
        return rules.temperature > 0 and rules.num_beams == 1 and self.forced_token is None

    @property
    def is_searched(self) -> bool:
        """Whether the next token comes from a beam search."""
        return self.request.decoding.num_beams > 1 and self.forced_token is None

    def constraint_mask(self) -> np.ndarray | None:
        """The tokens that the constraint allows next, bool [V]; None without a constraint."""
        constraint = self.request.constraint
        if constraint is None:
            return None
        return constraint.allowed(self.constraint_state, self.request.decoding.max_tokens - self.num_generated)


@dataclass(frozen=True)
class _Row:
    """One row of a step: a beam, and the scalars that the step computed for it."""

    index: int
    beam: _Beam
    log_sum: float  # log of the sum of e^logit
    constraint_cost: float
    log_coverage: float  # 0 where no request has a coverage penalty
    problem: str  # why no token is allowed; empty where one is


@dataclass(frozen=True)
class _Continuation:
    """A row and a token that may follow it."""

    row: _Row
    token: int
    log_probability: float


@dataclass(frozen=True)
class _Candidate:
    """A finished text of a request and its score in the search."""

    score: float
    text: GeneratedText


def generate(model: AutoregressiveModel, state: Any, requests: Sequence[DecodingRequest]) -> list[GeneratedText]:
    """The texts of N requests; `state` is the model's before the first token, with N rows."""
    starts = [request.constraint.start() if request.constraint else None for request in requests]
    beams = [
        _Beam(i, request, constraint_state=start)
        for i, (request, start) in enumerate(zip(requests, starts, strict=True))
    ]
    candidates: list[list[_Candidate]] = [[] for _ in requests]
    last_tokens = torch.full((len(requests),), BEGIN)
    while beams:
        logits, state = model.step(last_tokens, state)
        logits = exact.snapped_logits(logits)
        allowed, rows = _step(model, state, logits, beams)
        for row in rows:
            if row.problem:
                text = _text(model.vocabulary, row.beam, "problem", row.problem)
                candidates[row.beam.request_index].append(_Candidate(-math.inf, text))
        extended: list[tuple[int, _Beam]] = []
        for continuation in _continuations(allowed, logits, rows):
            row, token = continuation.row, continuation.token
            if row.problem:
                continue
            beam = _extended(continuation)
            if finish := _finish(model.vocabulary, beam, token):
                candidate = _Candidate(_score(beam, row.log_coverage), _text(model.vocabulary, beam, finish))
                candidates[beam.request_index].append(candidate)
            else:
                extended.append((row.index, beam))
        extended = _pruned(extended, candidates)
        beams = [beam for _, beam in extended]
        last_tokens = torch.tensor([beam.tokens[-1] for beam in beams], device=logits.device)
        parents = [index for index, _ in extended]
        if parents != list(range(len(logits))):
            state = model.select_rows(state, torch.tensor(parents, dtype=torch.int64, device=logits.device))
    return [_ranked(texts, request.decoding.best) for texts, request in zip(candidates, requests, strict=True)]


def _step(
    model: AutoregressiveModel, state: Any, logits: torch.Tensor, beams: Sequence[_Beam]
) -> tuple[torch.Tensor, list[_Row]]:
    """Logits [N, V] with -inf where a token is not allowed, and the rows of the step."""
    allowed, costs, problems = _allowed(model.vocabulary, logits, beams)
    log_sums = exact.log_sum(logits).tolist()
    is_covering = any(beam.request.decoding.coverage_penalty for beam in beams)
    coverages = model.log_coverage(state) if is_covering else [0.0] * len(beams)
    scalars = zip(beams, log_sums, costs, coverages, problems, strict=True)
    return allowed, [_Row(index, *row) for index, row in enumerate(scalars)]


def _allowed(
    vocabulary: TextVocabulary, logits: torch.Tensor, beams: Sequence[_Beam]
) -> tuple[torch.Tensor, list[float], list[str]]:
    """Logits with -inf where a token is not allowed, each row's constraint cost, and why a row allows no token."""
    allowed = logits.clone()
    allowed[:, list(_NEVER_GENERATED)] = -torch.inf
    is_short = [beam.num_generated < beam.request.decoding.min_tokens for beam in beams]
    allowed[is_short, END] = -torch.inf
    problems, masks = [""] * len(beams), {}
    for row, beam in enumerate(beams):
        mask = beam.constraint_mask()
        if (forced := beam.forced_token) is not None:
            if mask is not None and not mask[forced]:
                prefix, text = vocabulary.decode(beam.request.prefix), vocabulary.decode(beam.tokens)
                problems[row] = f"the text may not begin with {prefix!r}: the constraint is broken after {text!r}"
            continue
        if beam.request.decoding.changes_logits:
            _apply_rules(allowed[row], beam, vocabulary)
        if mask is not None:
            masks[row] = mask
    costs = _constrain(allowed, masks)
    for row in allowed.isneginf().all(1).nonzero()[:, 0].tolist():
        beam = beams[row]
        if beam.forced_token is None:
            problems[row] = f"nothing may follow {vocabulary.decode(beam.tokens)[-40:]!r}: the constraint, "
            problems[row] += f"max_tokens ({beam.request.decoding.max_tokens}) and banned tokens leave no way on"
    return allowed, costs, problems


def _constrain(logits: torch.Tensor, masks: Mapping[int, np.ndarray]) -> list[float]:
    """Set logits [N, V] to -inf where a row's mask forbids the token, in place.

    Returns minus the log of the probability that each mask leaves; 0 for rows without a mask or without any token left.
    """
    costs = torch.zeros(len(logits), dtype=torch.float64, device=logits.device)
    if masks:
        rows = torch.tensor(list(masks), device=logits.device)
        allowed = torch.from_numpy(np.stack(list(masks.values()))).to(logits.device)
        row_logits = logits[rows]
        allowed_logits = torch.where(allowed, row_logits, -torch.inf)
        logits[rows] = allowed_logits
        is_open = ~allowed_logits.isneginf().all(1)
        costs[rows[is_open]] = (exact.log_sum(row_logits[is_open]) - exact.log_sum(allowed_logits[is_open])).clamp_min(
            0.0
        )
    return costs.tolist()


def _apply_rules(logits: torch.Tensor, beam: _Beam, vocabulary: TextVocabulary) -> None:
    """Apply the rules that change a row's logits [V] (penalties, biases, bans, n-grams), in place."""
    rules, tokens = beam.request.decoding, beam.tokens
    if rules.repetition_penalty != 1.0 and tokens:
        repeated = torch.tensor(sorted(set(tokens)), device=logits.device)
        values = logits[repeated]
        rescaled = torch.where(values > 0, values / rules.repetition_penalty, values * rules.repetition_penalty)
        logits[repeated] = exact.snapped_logits(rescaled)
    for text, value in rules.bias.items():
        logits[vocabulary.id_of(text)] += exact.snapped(torch.tensor(value), exact.LOGIT_BITS, exact.LARGEST_LOGIT)
    for text in rules.banned:
        logits[completing_tokens(vocabulary, text, tokens)] = -torch.inf
    size = rules.no_repeat_ngram
    if size and len(tokens) >= size - 1:
        tail = tokens[len(tokens) - size + 1 :]
        for start in range(len(tokens) - size + 1):
            if tokens[start : start + size - 1] == tail:
                logits[tokens[start + size - 1]] = -torch.inf


def _continuations(allowed: torch.Tensor, logits: torch.Tensor, rows: Sequence[_Row]) -> list[_Continuation]:
    """One continuation for each row outside a search; for the rows of a search, the likeliest of all together."""
    keys = exact.ranks(allowed)
    tokens = keys.argmax(1)
    sampled = [row for row in rows if row.beam.is_sampled]
    if sampled:
        indices = torch.tensor([row.index for row in sampled], device=allowed.device)
        rules = [row.beam.request.decoding for row in sampled]
        uniform = [float(row.beam.request.uniform[row.beam.num_generated]) for row in sampled]
        tokens[indices] = sampled_tokens(allowed[indices], keys[indices], rules, uniform)
    token_logits = logits.gather(1, tokens[:, None])[:, 0].tolist()
    continuations = []
    searched: dict[int, list[_Row]] = {}
    for row, token, logit in zip(rows, tokens.tolist(), token_logits, strict=True):
        if (forced := row.beam.forced_token) is not None:
            continuations.append(_Continuation(row, forced, 0.0))
        elif row.beam.is_searched:
            searched.setdefault(row.beam.request_index, []).append(row)
        else:
            continuations.append(_Continuation(row, token, logit - row.log_sum))
    for rows_of_request in searched.values():
        continuations += _likeliest(allowed, logits, rows_of_request)
    return continuations


def _likeliest(allowed: torch.Tensor, logits: torch.Tensor, rows: Sequence[_Row]) -> list[_Continuation]:
    """The likeliest continuations of the rows of one request, twice as many as it has beams, the likeliest first."""
    num = 2 * rows[0].beam.request.decoding.num_beams
    prefix_scores = torch.tensor([row.beam.log_probability - row.log_sum for row in rows], dtype=torch.float64)
    scores = allowed[[row.index for row in rows]] + prefix_scores.to(allowed.device)[:, None]
    keys, tokens = exact.ranks(scores).topk(min(num, scores.shape[1]))
    ranked = [
        (-(key // exact.MAX_TOKENS), number, token)
        for number, (row_keys, row_tokens) in enumerate(zip(keys.tolist(), tokens.tolist(), strict=True))
        for key, token in zip(row_keys, row_tokens, strict=True)
        if key > -math.inf
    ]
    return [
        _Continuation(rows[n], token, float(logits[rows[n].index, token]) - rows[n].log_sum)
        for _, n, token in sorted(ranked)[:num]
    ]


def _extended(continuation: _Continuation) -> _Beam:
    """The beam of a row with one more token."""
    row, token = continuation.row, continuation.token
    beam, constraint = row.beam, row.beam.request.constraint
    return _Beam(
        beam.request_index,
        beam.request,
        beam.tokens if token == END else (*beam.tokens, token),
        beam.log_probability + continuation.log_probability,
        beam.constraint_cost + row.constraint_cost,
        constraint.advance(beam.constraint_state, token) if constraint and token != END else beam.constraint_state,
    )


def _finish(vocabulary: TextVocabulary, beam: _Beam, token: int) -> str:
    """Why a text ends after its last `token`; empty if it goes on."""
    if token == END:
        return "end"
    rules, generated = beam.request.decoding, beam.tokens[len(beam.request.prefix) :]
    if rules.stop and generated:
        start = len(generated) - max(map(len, rules.stop)) - 1
        tail = vocabulary.decode(generated[max(rules.min_tokens, start, 0) :])
        if any(stop in tail for stop in rules.stop):
            return "stop"
    return "length" if len(generated) >= rules.max_tokens and not beam.request.constraint else ""


def _text(vocabulary: TextVocabulary, beam: _Beam, finish: str, problem: str = "") -> GeneratedText:
    text = vocabulary.decode(beam.tokens)
    if finish == "stop":
        start = len(vocabulary.decode(beam.tokens[: len(beam.request.prefix) + beam.request.decoding.min_tokens]))
        positions = [text.find(stop, start) for stop in beam.request.decoding.stop]
        text = text[: min(position for position in positions if position >= 0)]
    return GeneratedText(text, beam.tokens, beam.log_probability, beam.constraint_cost, finish, problem)


def _score(beam: _Beam, log_coverage: float) -> float:
    """The score that ranks finished texts (Wu et al. 2016, equation 14)."""
    rules = beam.request.decoding
    return _normalised(beam.log_probability, beam.num_generated, rules) + rules.coverage_penalty * log_coverage


def _normalised(log_probability: float, length: int, rules: Decoding) -> float:
    return log_probability / ((5 + length) / 6) ** rules.length_penalty


def _pruned(
    extended: Sequence[tuple[int, _Beam]], candidates: Sequence[Sequence[_Candidate]]
) -> list[tuple[int, _Beam]]:
    """As many (row, beam) of each request as it has beams; none if no beam can beat its finished texts any more."""
    by_request: dict[int, list[tuple[int, _Beam]]] = {}
    for row, beam in extended:
        beams = by_request.setdefault(beam.request_index, [])
        if len(beams) < beam.request.decoding.num_beams:
            beams.append((row, beam))
    for index, beams in by_request.items():
        rules = beams[0][1].request.decoding
        different = _different(candidates[index])
        if len(different) < rules.num_beams:
            continue
        worst = different[rules.num_beams - 1].score
        if worst >= max(_normalised(beam.log_probability, rules.max_tokens, rules) for _, beam in beams):
            beams.clear()
    return [pair for index in sorted(by_request) for pair in by_request[index]]


def _ranked(candidates: Sequence[_Candidate], rank: int) -> GeneratedText:
    """The text of a rank, 0 the best, among the different ones of a request; a problem if there are fewer.

    Texts with a problem count only if there are no others.
    """
    complete = [candidate for candidate in candidates if not candidate.text.problem]
    if not complete:
        order = sorted(candidates, key=lambda candidate: (-candidate.score, candidate.text.tokens))
        return order[min(rank, len(order) - 1)].text
    different = _different(complete)
    if rank < len(different):
        return different[rank].text
    return GeneratedText.failed(f"best is {rank}, from 0 on; the search ends with {len(different)} different texts")


def _different(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """The best candidate of each text, the best first: a text may be written by several runs of tokens."""
    best: dict[str, _Candidate] = {}
    for candidate in sorted(candidates, key=lambda candidate: (-candidate.score, candidate.text.tokens)):
        best.setdefault(candidate.text.text, candidate)
    return list(best.values())
