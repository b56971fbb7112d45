"""The report page: nothing from a prompt runs, nothing is fetched, no metric is left out."""

import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
from PIL import Image

from ganrnn.data import scenes
from ganrnn.data.images import encode_png
from pipelines.formats.evaluation_report import EvaluationReport, Groups
from pipelines.report.group_bars import group_bars
from pipelines.report.page import Champion, ReportPicture, contact_sheet, render
from pipelines.report.scores import format_number, score_table, scores

CONTENT: dict[str, Any] = {
    "model_digest": "ab12" * 16,
    "dataset_digest": "d1" * 32,
    "protocol_digest": "p1" * 32,
    "samples_manifest_digest": None,
    "name": "shapes",
    "metrics": {
        "sharpness": 1.25,
        "colour_accuracy": 0.983,
        "other_shape_accuracy": 1.0,
        "fid2k_indomain": 8.4213,
        "kid2k_indomain": 0.002134,
        "kid2k_indomain_std": 0.00041,
        "is2k_indomain": 41.32,
        "is2k_indomain_std": 0.8,
        "r_precision_100": 0.7135,
    },
    "intervals": {"colour_accuracy": [0.976, 0.988], "r_precision_100": [0.693, 0.733]},
    "floors": {
        "fid951_indomain": 0.8712,
        "kid2k_indomain": -0.000012,
        "r_precision_100": 0.981,
        "colour_accuracy": 0.999,
    },
    "counts": {"reference": 2000, "real": 951, "samples": 2000},
    "digests": {"model_digest": "ab12" * 16, "samples_manifest_digest": None},
    "extractors": {"indomain": {"name": "indomain", "digest": "cd34" * 16}},
    "seed": {"evaluation": 5, "generation": 7},
    "config": {"name": "shapes", "note": "</pre><script>alert(2)</script>"},
    "code_revision": "3f2a9c1",
}
REPORT = EvaluationReport.from_json(CONTENT)


class Page(HTMLParser):
    """Tags with their attributes, and the text outside them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def picture(number: int, prompt: str, correct: dict[str, bool] | None = None, score: float = 0.5) -> ReportPicture:
    image = scenes.draw(scenes.single_combinations()[number], 16, 24)
    return ReportPicture(f"p{number}/0", prompt, encode_png(image), score, correct)


def page_of(*shown: ReportPicture, real: tuple[ReportPicture, ...] = ()) -> str:
    return render(REPORT, shown, real, shown[:1], shown[-1:])


def test_a_prompt_is_text_and_nothing_else() -> None:
    prompt = """<script>alert(1)</script><img src="x" onerror='alert(1)'> & "红色圆形" """
    html = page_of(picture(0, prompt, {"<b>shape": False}))
    page = Page(html)
    assert prompt in page.text and "</pre><script>alert(2)</script>" in page.text
    tags = {tag for tag, _ in page.tags}
    assert "script" not in tags
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "<b>shape" in page.text.replace("\xa0", " ")


def test_the_page_fetches_nothing() -> None:
    html = page_of(picture(0, "one"), picture(1, "two"), real=(picture(2, "one"),))
    assert not re.search(r"https?://|url\(|@import|<link|<script|<iframe", html)
    sources = [a["src"] for _, a in Page(html).tags if "src" in a]
    assert len(sources) == 5 and all(source and source.startswith("data:image/png;base64,") for source in sources)
    assert not any(name in ("href", "srcset", "action") for _, a in Page(html).tags for name in a)
    assert "default-src 'none'" in html and "image-rendering: pixelated" in html
    assert "prefers-color-scheme: dark" in html and "width=device-width" in html


def test_every_metric_is_on_the_page_and_on_the_terminal() -> None:
    page, table = page_of(picture(0, "one")), score_table(REPORT)
    for name in REPORT.metrics:
        assert f"<code>{name}</code>" in page or name.endswith("_std") or name == "sharpness"
        assert name in Page(page).text
        assert name in table or name.endswith("_std")
    assert "<b>sharpness</b>" in page and "<b>1.25</b>" in page


def test_the_table_lines_up_and_gives_spread_and_floor() -> None:
    header, rule, *lines = score_table(REPORT).splitlines()
    assert header.split() == ["metric", "value", "95", "%", "or", "±", "std", "real"]
    assert set(rule) == {"-", " "}
    values = {line.split()[0]: line.split()[1:] for line in lines}
    assert values["fid2k_indomain"] == ["8.42", "0.871", "(fid951_indomain)"]
    assert values["kid2k_indomain"] == ["0.0021", "±", "0.00041", "-0.000012"]
    assert values["r_precision_100"] == ["0.714", "0.693–0.733", "0.981"]
    assert values["sharpness"] == ["1.25"]
    end = header.index("value") + len("value")
    assert all(line[end - 1].isdigit() and line[end : end + 1] in ("", " ") for line in lines)


def test_the_descriptions_follow_the_names() -> None:
    found = {line.name: line.description for line in scores(REPORT)}
    assert list(found)[:4] == ["fid2k_indomain", "kid2k_indomain", "is2k_indomain", "r_precision_100"]
    assert list(found)[-1] == "sharpness"
    assert "lower" in found["fid2k_indomain"].better and "lower" in found["kid2k_indomain"].better
    assert "higher" in found["is2k_indomain"].better
    assert "out of 100" in found["r_precision_100"].meaning
    assert found["other_shape_accuracy"].title == "other shape"
    assert (found["sharpness"].meaning, found["sharpness"].better) == ("", "")


def test_an_accuracy_is_a_bar_of_its_length() -> None:
    html = page_of(picture(0, "one"))
    assert "width:98.30%" in html and "left:99.90%" in html
    assert html.count('class="track"') == 2


def test_a_picture_stands_beside_the_real_one_of_its_prompt() -> None:
    shown = (picture(0, "one", {"colour": True, "shape": False}), picture(1, "two"), picture(2, "one", score=math.nan))
    real = (picture(3, "one"), picture(4, "one"), picture(5, "three"))
    html = page_of(*shown, real=real)
    sheet = html[html.index("Prompts and images") : html.index("Real images of other prompts")]
    assert re.findall(r"(?:generated|real): (p\d)", sheet) == ["p0", "p3", "p1", "p2", "p4"]
    others = html[html.index("Real images of other prompts") : html.index("Best matches")]
    assert re.findall(r"title=\"\w+: (p\d)", others) == ["p5"]
    assert "✓&nbsp;colour" in sheet and "✗&nbsp;shape" in sheet
    assert sheet.count("match 0.50") == 2 and "nan" not in sheet


def test_groups_are_bars_beside_those_of_real_pictures() -> None:
    samples = {
        "circle": {"num_pictures": 30, "metrics": {"fid30_indomain": 8.0, "shape_accuracy": 0.5}},
        "<star>": {"num_pictures": 1, "metrics": {"shape_accuracy": 1.0}},
    }
    real = {"circle": {"num_pictures": 20, "metrics": {"fid20_indomain": 2.0, "shape_accuracy": 0.98}}}
    groups = Groups.from_json({"by": "shape", "samples": samples, "real": real})
    (distance, code, bars), (accuracy, _, shares) = group_bars(groups)
    assert (distance, code, accuracy) == ("Fréchet distance", "fid_indomain", "shape")
    assert [(bar.value, bar.real, bar.share, bar.real_share) for bar in bars] == [(8, 2, 1, 0.25), (None, None, 0, 0)]
    assert [(bar.value, bar.share, bar.real_share) for bar in shares] == [(0.5, 0.5, 0.98), (1, 1, 0)]
    html = render(replace(REPORT, groups=groups), (), (), (), ())
    assert "By shape" in html and "width:50.00%" in html and "left:98.00%" in html and "&lt;star&gt;" in html


def test_the_champion_the_training_and_the_nearest_are_on_the_page() -> None:
    champion = Champion("7", {"r_precision_100": 0.8125, "fid2k_indomain": 4.5})
    near = [(picture(1, "two"), picture(2, "three"), 0.25)]
    html = render(REPORT, (picture(0, "one"),), (), (), (), near, b"png", champion)
    assert "Champion, version 7" in html and "<td>0.812</td>" in html and "<td>4.50</td>" in html
    assert "data:image/png;base64,cG5n" in html and "<h2>Training</h2>" in html
    part = html[html.index("<h2>Nearest training images") : html.index("<h2>Provenance")]
    assert re.findall(r"(?:generated|training): (p\d)", part) == ["p1", "p2"] and "0.250" in part
    plain = page_of(picture(0, "one"))
    assert not any(words in plain for words in ("Champion", "<h2>Training", "Nearest training"))


def test_a_mark_is_told_on_the_page_and_on_the_terminal() -> None:
    marked = replace(REPORT, marks={"fid2k_indomain": "too <few> pictures"})
    html = render(marked, (picture(0, "one"),), (), (), ())
    assert html.count("too &lt;few&gt; pictures") == 2 and "<few>" not in html
    assert score_table(marked).splitlines()[-1] == "* fid2k_indomain: too <few> pictures"


def test_equal_input_gives_equal_bytes() -> None:
    assert page_of(picture(0, "one")) == page_of(picture(0, "one"))
    pngs = [picture(i, "").png for i in range(3)]
    assert contact_sheet(pngs, 2, 2) == contact_sheet(pngs, 2, 2)


def test_the_contact_sheet_draws_each_pixel_as_a_square() -> None:
    pngs = [picture(i, "").png for i in range(5)]
    with Image.open(io.BytesIO(contact_sheet(pngs, num_columns=3, zoom=2))) as sheet:
        assert sheet.size == (3 * 24 * 2, 2 * 16 * 2)
        pixels = np.asarray(sheet)
    with Image.open(io.BytesIO(pngs[4])) as last:
        assert np.array_equal(pixels[32:64:2, 48:96:2], np.asarray(last))
    assert np.array_equal(pixels[::2], pixels[1::2])
    assert (pixels[32:, 96:] == 255).all()


def test_numbers_keep_the_digits_that_count() -> None:
    values = [2000, 8.4213, 123.45, 0.98349, 1.0, 0.002134, -0.000012, 3e-7, 0.0, math.nan]
    shown = ["2,000", "8.42", "123.5", "0.983", "1.000", "0.0021", "-0.000012", "3.0e-07", "0", "nan"]
    assert [format_number(value) for value in values] == shown


def test_a_score_that_does_not_separate_says_so_beside_it_and_why_below() -> None:
    reasons = {"r_precision_100": ["few images", "mud <wins>"], "colour_accuracy": ["mud <wins>"]}
    report = replace(REPORT, does_not_separate=reasons)
    page = Page(render(report, [picture(0, "one")], [], [], []))
    words = " ".join(page.text.split())
    assert words.count("does not separate") == 2, "one beside each"
    because = "Does not separate good samples from bad ones, because"
    assert f"{because} few images: r_precision_100." in words
    assert f"{because} mud <wins>: r_precision_100, colour_accuracy." in words
    assert score_table(report).splitlines()[-2:] == [
        "does not separate, few images: r_precision_100",
        "does not separate, mud <wins>: r_precision_100, colour_accuracy",
    ]
    assert "separate" not in page_of(picture(0, "one")) and "separate" not in score_table(REPORT)
