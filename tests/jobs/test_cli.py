"""The command line: help, exit codes, one sentence for a refusal, and an image for a prompt."""

import importlib
import importlib.metadata
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganrnn.errors import BadInput, TryAgain
from jobs import cli, generate
from jobs.verbs import VERBS
from pipelines import storage
from pipelines.config.loader import load_recipe
from tests.pipelines import tiny
from tests.pipelines.tiny import Run

Captured = pytest.CaptureFixture[str]
FOLDER = Path(__file__).parents[2] / "jobs/recipes"
RECIPES = sorted(FOLDER.rglob("*.yaml"))
PROMPT = "a large blue triangle at the left on a black background"


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    """The console script with these arguments; its exit code."""
    monkeypatch.setattr(sys, "argv", ["ganrnn", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_python_m_ends_with_code_2_and_one_sentence(tmp_path: Path) -> None:
    done = tiny.run(Run(tmp_path).command("generate", "generate.sampling.shard_row=7"))
    assert done.returncode == 2 and done.stdout == ""
    place = "--set generate.sampling.shard_row=7: generate.sampling.shard_row"
    assert done.stderr == f"ganrnn: {place} is no known key; did you mean shard_rows?\n"
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml"}


@pytest.mark.parametrize("verb", ["ingest", "train", "generate", "evaluate", "promote", "nightly", "closed_loop"])
def test_every_verb_refuses_an_unknown_key(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert main(monkeypatch, verb, str(Run(tmp_path).path()), "--set", "generat.seed=1") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.endswith("generat is no known key; did you mean generate?\n") and err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml"}


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        ("train", "dataset/manifest.json does not exist; run ingest first"),
        ("generate", "dataset/prompts.parquet does not exist; give generate.prompts_uri, or run ingest first"),
        ("evaluate", "dataset/manifest.json does not exist; run ingest first"),
        ("promote", "report.json does not exist; check the path, or run the verb that writes it"),
        ("closed_loop", "dream.recipe is missing; give the path of a recipe whose task gives texts"),
    ],
)
def test_a_verb_whose_input_is_missing(
    verb: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert main(monkeypatch, verb, str(Run(tmp_path).path())) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml"}


def test_a_missing_recipe(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert main(monkeypatch, "train", "nowhere.yaml") == 2
    assert capsys.readouterr().err.startswith("ganrnn: nowhere.yaml does not exist; give the path of a recipe")


def test_help_names_every_verb_and_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert main(monkeypatch, "--help") == 0
    out, err = capsys.readouterr()
    assert err == "" and out.startswith("usage: ganrnn")
    assert all(f"\n    {verb}" in out for verb in VERBS)
    assert [line.split()[0] for line in out.split("exit codes:")[1].strip().splitlines()] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_says_what_it_reads_and_writes(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert main(monkeypatch, verb, "--help") == 0
    out, err = capsys.readouterr()
    assert err == "" and out.startswith(f"usage: ganrnn {verb}")
    assert all(what in out for what in (VERBS[verb].reads, VERBS[verb].writes))
    assert f"for example:\n  {VERBS[verb].examples[0]}\n" in out
    assert max(map(len, out.splitlines())) <= 120


def test_examples_are_commands_that_parse() -> None:
    """Every example of the help; the variable that one exports is no command of ours."""
    examples = [example for verb in VERBS.values() for example in verb.examples if not example.startswith("export ")]
    for example in examples:
        program, *arguments = shlex.split(example)
        assert program == "ganrnn" and cli.parse(arguments).verb == arguments[0]
    assert len(examples) >= len(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_module_that_acts(verb: str) -> None:
    module = importlib.import_module(f"jobs.{VERBS[verb].module}")
    assert callable(module.act) and (module.__doc__ or "").count(f"ganrnn {verb}")


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert main(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"ganrnn {importlib.metadata.version('ganrnn')}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], f"ganrnn: missing argument VERB, one of {', '.join(VERBS)}; see `ganrnn --help`"),
        (["pain"], "ganrnn: 'pain' is no verb; did you mean paint? see `ganrnn --help`"),
        (["xyz"], "ganrnn: 'xyz' is no verb; see `ganrnn --help`"),
        (["--verbose"], "ganrnn: unknown argument '--verbose'; did you mean --version? see `ganrnn --help`"),
        (["train"], "ganrnn train: missing argument RECIPE; see `ganrnn train --help`"),
        (["train", "demo", "--sett"], "ganrnn train: unknown argument '--sett'; did you mean --set? see `ganrnn train"),
        (["train", "demo", "more"], "ganrnn train: unknown argument 'more'; see `ganrnn train --help`"),
        (["train", "demo", "--se", "seed=1"], "ganrnn train: unknown argument '--se'; did you mean --set? see"),
        (["train", "demo", "--set"], "ganrnn train: argument --set: expected one argument; see `ganrnn train --help`"),
        (["train", "demo", "--set", "seed"], "ganrnn: --set seed: give key=value, for example train.num_workers=1"),
        (["train", "demo", "--set", "seed=[1"], "ganrnn: --set seed=[1: the value is not YAML"),
        (["paint", "red", "--frames", "9"], "ganrnn: --frames is 9, of an animation; say where it ends, by --to or"),
        (["paint", "red", "--columns", "x"], "ganrnn paint: argument --columns: invalid int value: 'x'; see"),
        (["paint", "red", "--seed", "x"], "ganrnn paint: argument --seed: invalid int value: 'x'; see"),
        (["rate", "a", "b", "--invite", "2", "--report"], "ganrnn rate: argument --report: not allowed with argument"),
        (
            ["train", "scene_edit"],
            "ganrnn: scene_edit does not exist; give the path of a recipe or the name of a packag",
        ),
        (
            ["generate", "dema.yaml", "--verify"],
            "ganrnn: dema.yaml does not exist; give the path of a recipe or the nam",
        ),
    ],
)
def test_arguments_are_refused_in_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(monkeypatch, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(sentence) and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


HEAVY = ("torch", "ray", "mlflow", "pyarrow", "pandas", "pydantic", "numpy")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--help", 0),
        ("--version", 0),
        ("train --help", 0),
        ("recipes", 0),
        ("keys", 0),
        ("keys x", 2),
        ("pain", 2),
        ("train", 2),
        ("train none.yaml", 2),
        ("train demo --set seed", 2),
        ("rate a b none.yaml", 2),
    ],
)
def test_help_lists_and_refusals_import_nothing_heavy(line: str, code: int) -> None:
    script = (
        "import sys, atexit; from jobs.cli import main\n"
        f"atexit.register(lambda: print([name for name in {HEAVY} if name in sys.modules]))\n"
        f"main({line.split()})"
    )
    done = tiny.run([sys.executable, "-c", script])
    assert (done.stdout.splitlines()[-1], done.returncode) == ("[]", code)


def test_recipes_are_listed_with_their_headers(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert main(monkeypatch, "recipes") == 0
    listed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(listed) == sorted(path.stem for path in RECIPES)
    for path in RECIPES:
        assert path.read_text("utf-8").startswith(f"# {listed[path.stem]}\n")
        assert listed[path.stem].rstrip(")").endswith(".") and len(listed[path.stem]) <= 105


@pytest.mark.parametrize("verb", ["keys", "recipes"])
def test_a_list_may_be_left_before_its_end(verb: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs", verb], cwd=FOLDER.parents[1], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout and process.stderr
    process.stdout.close()  # before anything is printed
    assert (process.stderr.read(), process.wait()) == (b"", 0)


def test_a_packaged_recipe_is_known_by_name_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    by_name, by_path = (load_recipe(recipe) for recipe in ("scene_edits", str(FOLDER / "images/scene_edits.yaml")))
    assert by_name.as_dict() == by_path.as_dict() and by_name.run_uri == f"{tmp_path}/runs/scene_edits"
    Path("scene_edits").write_text("name: mine\nrun_uri: here\ntask: {name: text_to_image}\n")
    assert (load_recipe("scene_edits").name, load_recipe("./scene_edits").name) == ("scene_edits", "mine")
    assert load_recipe("closed_loop").dream.recipe == str(FOLDER / "texts/dreamt_captions.yaml")
    assert load_recipe("closed_loop", ["dream.recipe=mine.yaml"]).dream.recipe == f"{tmp_path}/mine.yaml"


def test_exit_codes(capsys: Captured) -> None:
    def code_of(outcome: int | Exception | None) -> int | str | None:
        def act() -> int | None:
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        with pytest.raises(SystemExit) as ended:
            cli.finish(act)
        return ended.value.code

    outcomes = (None, 0, 3, BadInput("fix this"), TryAgain("wait"))
    assert [code_of(outcome) for outcome in outcomes] == [0, 0, 3, 2, 1]
    assert capsys.readouterr().err == "ganrnn: fix this\nganrnn: wait\n"
    with pytest.raises(SystemExit) as ended:
        cli.finish(lambda: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert ended.value.code == 1
    assert capsys.readouterr().err == "ganrnn: interrupted; run the same command again to go on where it was\n"
    # A fault of ours is no invalid input: its traceback is kept, and Python ends with 1.
    with pytest.raises(RuntimeError, match="a bug"):
        code_of(RuntimeError("a bug"))


def test_a_verb_says_what_it_wrote(trained: Run, tmp_path: Path, capsys: Captured) -> None:
    generate.act(trained.recipe(f"generate.samples_uri={tmp_path}/samples"))
    assert capsys.readouterr().out == f"{tmp_path}/samples: samples 40, prompts 40, rejects 0, unknown_tokens 0\n"


def paint(monkeypatch: pytest.MonkeyPatch, trained: Run, prompt: str, *more: str) -> int | str | None:
    store = trained.recipe().tracking.tracking_uri
    return main(
        monkeypatch, "paint", prompt, "--model", f"{trained.folder}/checkpoints", "--tracking-uri", store, *more
    )


def test_paint_writes_and_names_a_png(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paint(monkeypatch, trained, PROMPT) == 0
    name = capsys.readouterr().out.splitlines()[-1]
    assert name == "a-large-blue-triangle-at-the-left-on-a-black-background.png"
    with Image.open(tmp_path / name) as image:
        assert image.size == (16 * 8, 16 * 8)
        first = np.asarray(image)
    assert paint(monkeypatch, trained, PROMPT, "--seed", "1", "--out", "other.png") == 0
    assert paint(monkeypatch, trained, PROMPT, "--out", str(tmp_path / "again.png")) == 0
    assert not np.array_equal(np.asarray(Image.open("other.png")), first)
    assert np.array_equal(np.asarray(Image.open("again.png")), first)


def test_paint_counts_words_it_does_not_know(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paint(monkeypatch, trained, "ein rotes Quadrat, 左边") == 0
    unknown, name = capsys.readouterr().out.splitlines()
    assert unknown == "3 words of the prompt are unknown to this model"
    assert name == "ein-rotes-Quadrat-左边.png" and (tmp_path / name).exists()


@pytest.mark.parametrize(("name", "image_format"), [("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.webp", "WEBP")])
def test_paint_writes_what_the_ending_says(
    trained: Run, name: str, image_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paint(monkeypatch, trained, PROMPT, "--out", name) == 0
    with Image.open(name) as image:
        assert (image.format, image.size) == (image_format, (16 * 8, 16 * 8))


def test_paint_refuses_other_endings_and_a_source_that_is_not_read(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paint(monkeypatch, trained, PROMPT, "--out", "y.gif") == 2
    assert capsys.readouterr().err.startswith("ganrnn: --out is y.gif; allowed are file names that end in .png, .jpg")
    assert paint(monkeypatch, trained, PROMPT, "--source", "before.png") == 2
    assert "reads no picture; leave out --source before.png" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("prompt", ["", " \t"])
def test_paint_refuses_an_empty_prompt(
    trained: Run, prompt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paint(monkeypatch, trained, prompt) == 2
    assert capsys.readouterr().err == "ganrnn: the prompt is empty; say what to paint\n"
    assert not list(tmp_path.iterdir())


def test_paint_without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(monkeypatch, "paint", PROMPT) == 2
    assert capsys.readouterr().err.startswith(f"ganrnn: {tmp_path}/runs/demo/checkpoints holds no model; allowed are")


def test_paint_names_punctuation_alone(trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert paint(monkeypatch, trained, "?!") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def report(**changes: Any) -> dict[str, Any]:
    """What compare reads of report.json."""
    content = {
        "metrics": {"r_precision_100": 0.8, "fid2k_indomain": 0.3, "fid2k_indomain_std": 0.1, "pixels_kept": 0.4},
        "intervals": {"r_precision_100": [0.782, 0.817], "pixels_kept": [0.39, 0.41]},
        "counts": {"samples": 2_000},
        "seed": {"evaluation": 0},
        "model_digest": "m" * 64,
        "dataset_digest": "d" * 64,
        "protocol_digest": "p" * 64,
        "samples_manifest_digest": "s" * 64,
        "extractors": {"indomain": {"digest": "e" * 64, "resizer": "none"}},
        "digests": {"prompts_digest": "q" * 64},
    }
    return content | changes


def test_two_runs_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    storage.commit_json(f"{tmp_path}/a/report.json", report())
    better = {"r_precision_100": 0.86, "fid2k_indomain": 0.2, "fid2k_indomain_std": 0.1, "pixels_kept": 0.5}
    intervals = {"r_precision_100": [0.844, 0.874], "pixels_kept": [0.49, 0.51]}
    storage.commit_json(f"{tmp_path}/b/report.json", report(metrics=better, intervals=intervals))
    assert main(monkeypatch, "compare", f"{tmp_path}/a", f"{tmp_path}/b") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split() == ["metric", "A", "B", "A", "-", "B", "(95", "%)", "better"]
    assert lines[4].split() == ["fid2k_indomain", "0.300", "0.200", "0.10"]  # nobody can say
    assert lines[5].split() == ["r_precision_100", "0.800", "0.860", "-0.060", "(-0.083", "..", "-0.037)", "B"]
    assert lines[6].split()[-1] == "-0.086)"  # neither more nor fewer pixels kept is better in itself
    assert main(monkeypatch, "compare", f"{tmp_path}/a", f"{tmp_path}/a") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("r_precision")]
    assert line.split()[3:] == ["0", "(-0.025", "..", "0.025)", "even"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset_digest": "x"}, "they differ in the data set, dddd"),
        (
            {"counts": {"samples": 500}},
            "the numbers of samples, {'samples': 2000} in the first and {'samples': 500} in",
        ),
        (
            {"extractors": {"indomain": {"digest": "e" * 64, "resizer": "none"}, "inception": {"digest": "f" * 64}}},
            "the digest of the extractor inception, none in the first and ffff",
        ),
        (
            {"extractors": {"indomain": {"digest": "c" * 64, "resizer": "none"}}},
            "the digest of the extractor indomain, eeee",
        ),
        (
            {"extractors": {"indomain": {"digest": "e" * 64, "resizer": "bicubic"}}},
            "the resizer of the extractor indomain, none in the first and bicubic in the second; evaluate both alike",
        ),
        (
            {"digests": {"prompts_digest": "q" * 64, "choice": "{}"}},
            "a judge's choice of samples, none in the first",
        ),
        ({"seed": {"evaluation": 1}}, "the seeds, {'evaluation': 0} in"),
        ({"protocol_digest": "r"}, "the protocol, pppp"),
    ],
)
def test_runs_of_unlike_origin_are_not_compared(
    changes: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    storage.commit_json(f"{tmp_path}/a/report.json", report())
    storage.commit_json(f"{tmp_path}/b/report.json", report(**changes))
    assert main(monkeypatch, "compare", f"{tmp_path}/a", f"{tmp_path}/b") == 2
    out, err = capsys.readouterr()
    assert message in err and out == ""
    assert main(monkeypatch, "compare", f"{tmp_path}/a", f"{tmp_path}/none") == 2
    assert "none/report.json does not exist; check the path, or run the verb that writes it" in capsys.readouterr().err
