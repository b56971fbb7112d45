"""The commands of the documents: all are checked, and those that say so run, on tiny models of the packaged recipes."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

import pipelines.config.loader
from ganrnn.errors import BadInput
from jobs import cli
from jobs.verbs import VERBS
from pipelines.closed_loop import lineage
from pipelines.config.loader import load_recipe, parse_recipe
from pipelines.config.packaged import recipe_path
from pipelines.config.recipe import Recipe
from tests.structure import documents
from tests.structure.documents import ROOT, Block

TIERS = {
    "bash": {"run-quick", "run-slow", "check"},
    "python": {"run-slow", ""},
    "yaml": {"recipe"},
    "text": {""},
}
# Programs that are not of the project; of their arguments, files of the project have to exist.
OTHER_PROGRAMS = {".", ".ci/run", "docker", "export", "kubectl", "mlflow", "python3.11", "ray", "sha256sum"}
OTHER_PROGRAMS |= {"/tmp/lock/bin/pip"}
OF_THE_PROJECT = re.compile(r"(?:ganrnn|pipelines|jobs|infra|tests)/[\w./-]+\w/?|requirements\.lock|pyproject\.toml")
REFUSAL = re.compile(r"^# (ganrnn: .+)$", re.MULTILINE)  # what a command of the block says on stderr
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
SMALL = (
    *("task.num_steps=8", "train.num_workers=1", "train.global_batch_size=8", "train.log_every_steps=4"),
    *("train.checkpoint_every_steps=4", "train.sample_every_steps=1000", "train.guard.num_samples=16"),
    *("generate.sampling.num_workers=1", "generate.sampling.micro_batch_size=8", "generate.max_reject_share=0.99"),
    *("evaluate.num_workers=1", "evaluate.num_candidates=4", "evaluate.num_splits=1", "evaluate.num_self_bleu=8"),
    *("evaluate.indomain={num_steps: 4, batch_size: 8, base_channels: 4, feature_dim: 8}", "promote.at_least={}"),
    *("ingest.scenes.num_train=64", "ingest.scenes.num_val=32", "ingest.scenes.num_test=40"),
)
SMALL_TASKS = {
    "scores": ("task.base_channels=4", "task.embedding_dim=8", "task.dim=8"),
    "images": ("task.base_channels=4", "task.feature_dim=16"),
    "texts": ("task.embedding_dim=8", "task.hidden_dim=12"),
}


@pytest.fixture
def small_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands read packaged recipes with little of everything; what a command sets comes after it."""

    def small(path: str, overrides: Sequence[str] = ()) -> Recipe:
        return load_recipe(path, [*_small(Path(recipe_path(path))), *overrides])

    monkeypatch.setattr(pipelines.config.loader, "load_recipe", small)
    monkeypatch.setattr(lineage, "load_recipe", small)


@pytest.fixture
def folder(tmp_path: Path, small_recipes: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder after `make demo` but for its promotion, with a picture to change."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").symlink_to(ROOT / "jobs")
    Image.new("RGB", (32, 32), "white").save("before.png")
    for verb in ("ingest", "train", "generate", "evaluate"):
        assert _exit_code([verb, "demo"]) == 0
    return tmp_path


@pytest.mark.parametrize("block", documents.blocks(), ids=str)
def test_a_block_says_how_it_is_tested(block: Block) -> None:
    assert block.tier in TIERS.get(block.language, set())


@pytest.mark.parametrize("block", documents.blocks("recipe"), ids=str)
def test_a_recipe_is_valid(block: Block) -> None:
    parse_recipe(yaml.safe_load(block.text), str(block))


@pytest.mark.parametrize("block", [block for block in documents.blocks() if block.language == "bash"], ids=str)
def test_commands_name_what_exists(block: Block) -> None:
    for words in block.commands():
        if REFUSAL.search(block.text):
            with pytest.raises(BadInput):
                _check(words)
        else:
            _check(words)


@pytest.mark.parametrize("name", documents.PAGES)
def test_commands_and_paths_within_sentences_exist(name: str) -> None:
    text = documents.PAGES[name].read_text(encoding="utf-8")
    for code in re.findall(r"`([^`\n]+)`", documents.BLOCK.sub("", documents.without_code(text))):
        words = code.split()
        if words[0] == "make":
            _check([word for word in words if word != "PYTHON=python3.12"])
        elif words[0] == "ganrnn" and len(words) > 1 and words[1].islower() and words[1].isalpha():
            assert words[1] in VERBS, code
        elif OF_THE_PROJECT.fullmatch(code) and not re.search(r"NAME|VERB|GROUP|Text-v0", code):
            assert (ROOT / code).exists() or (ROOT / name).parent.joinpath(code).exists(), code


@pytest.mark.parametrize(
    "words",
    [
        *("ganrnn paintt x", "ganrnn train demo --set train.num_wrokers=1", "ganrnn train no_such_recipe"),
        *("make dmeo", "wget x", "python -m jobs nightly demo --sett a=b", "docker build --file infra/Dockerfil ."),
        *("python tests/benchmarks/no_such_file.py", "ray job submit -- python -m jobs generat demo"),
    ],
)
def test_a_command_of_what_does_not_exist_is_found(words: str) -> None:
    with pytest.raises((AssertionError, SystemExit, ValueError)):
        _check(shlex.split(words))


def test_quick_blocks_run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = documents.blocks("run-quick")
    assert len({block.page for block in blocks}) >= 5
    for block in blocks:
        _run(block, monkeypatch, capsys)


@pytest.mark.slow("trains six systems and runs the closed loop")
def test_slow_blocks_run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = documents.blocks("run-slow")
    assert {"ganrnn/tasks/README.md", "pipelines/closed_loop/README.md"} <= {block.page for block in blocks}
    for block in blocks:
        if block.language == "python":
            exec(compile(block.text, str(block), "exec"), {})
        else:
            _run(block, monkeypatch, capsys)


def _run(block: Block, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a block's commands; a comment line `# ganrnn: ...` is what stderr says and means exit code 2."""
    message = REFUSAL.search(block.text)
    for words in block.commands():
        if words[0] == "export":
            monkeypatch.setenv(words[1].partition("=")[0], "secret" * 10)
        elif words[0] != ".":
            assert words[0] == "ganrnn", f"{block}: {words[0]} does not run here"
            capsys.readouterr()
            code = _exit_code(words[1:])
            said = capsys.readouterr().err
            assert code == (2 if message else 0) or (code, words[1]) == (3, "nightly"), f"{block}: {words}: {said}"
            assert message is None or said == f"{message[1]}\n"


def _exit_code(arguments: list[str]) -> Any:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return ended.value.code or 0


def _check(words: list[str]) -> None:
    """AssertionError, BadInput or SystemExit for a command that cannot be right."""
    if words[0] == "make":
        for target in (word for word in words[1:] if "=" not in word):
            assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"no target {target}"
        return
    if words[:3] == ["python", "-m", "jobs"]:
        words = ["ganrnn", *words[3:]]
    if words[0] == "ganrnn":
        _check_ganrnn(words[1:])
    elif words[0] == "python":
        assert (ROOT / words[1]).exists(), words[1]
    else:
        assert words[0] in OTHER_PROGRAMS, f"{words[0]} is not known here"
        for path in OF_THE_PROJECT.findall(" ".join(words)):
            assert (ROOT / path).exists(), path
        if words[0] == "ray" and "--" in words:
            _check(words[words.index("--") + 1 :])


def _check_ganrnn(arguments: list[str]) -> None:
    if {"--help", "--version"} & set(arguments):
        assert not arguments[0].isalpha() or arguments[0] in VERBS
        return
    options = cli.parse(arguments)
    if recipe := getattr(options, "recipe", None):
        load_recipe(recipe_path(recipe), options.overrides)


def _small(path: Path) -> list[str]:
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    task, kind = raw["task"], raw.get("ingest", {}).get("kind", "images")
    modality = "scores" if task["name"] == "match_judge" else "images" if kind == "images" else "texts"
    settings = [*SMALL, *SMALL_TASKS[modality]]
    settings += [f"task.{name}=4" for name in ("num_autoencoder_steps", "num_pretraining_steps") if name in task]
    metric = raw.get("promote", {}).get("champion_metric", "r_precision_100")
    if metric.startswith("r_precision"):
        settings.append("promote.champion_metric=r_precision_4")
    if "choice" in raw.get("generate", {}):
        settings.append("generate.choice.least_score=0")
    return settings
