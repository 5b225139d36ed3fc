"""The table, the JSON and the page show every row and every difference, at any width and whatever the text holds."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from critnlp import scoreboard
from critnlp.cleaning import clean
from critnlp.evaluation import Error, Scores, agreement, errors, score
from critnlp.schema import (
    AllOf,
    AnyOf,
    Attributes,
    Criterion,
    Entity,
    Fact,
    ParsedTrial,
    Pipeline,
    Range,
    Rule,
    Span,
    Trial,
    Unsupported,
)

TEXT = "Inclusion:\n* ANC \\>= 1.5 and\r\n  no prior gout\n* Renal or hepatic failure\n* Able to swallow"
OPEN = Unsupported(reason="consent")
HOSTILE = (
    "<script>alert(1)</script> </style></title></script> <img src=x onerror=alert(2)> \"><b> 'quoted' & &lt;b&gt; "
    "[bold]no markup[/bold] :smile: \x1b[31mred\x07 first\r\nsecond\u2028third \U0001f9ea 你好"
)


def at(quote: str, text: str = TEXT) -> Span:
    return text.index(quote), text.index(quote) + len(quote)


def entity(label: str, *fragments: Span, **attributes: Any) -> Entity:
    return Entity.model_validate(
        {
            "id": f"{label}{fragments}",
            "label": label,
            "start": fragments[0][0],
            "end": fragments[-1][1],
            "fragments": fragments,
            "layer": "rules",
            "attributes": Attributes(**attributes) if attributes else None,
        }
    )


def criterion(id: str, *fragments: Span, **fields: Any) -> Criterion:
    base = {"id": id, "kind": "inclusion", "start": fragments[0][0], "end": fragments[0][1], "fragments": fragments, "rule": OPEN}
    return Criterion.model_validate(base | fields)


def trial(*criteria: Criterion, name: str = "NCT00000001", text: str = TEXT, title: str | None = "A trial") -> ParsedTrial:
    return ParsedTrial(
        critnlp_version="0.1.0",
        pipeline=Pipeline(name="gold", version="1"),
        trial=Trial(nct_id=name, title=title, eligibility=text, sha256=hashlib.sha256(text.encode()).hexdigest()),
        criteria=criteria,
    )


def anc(low: str) -> Fact:
    start, end = at("ANC \\>= 1.5")
    return Fact(about="lab", name="ANC", range=Range(low=low, low_inclusive=True, unit="10*9/L"), start=start, end=end)


FIRST, SECOND, THIRD = at("ANC \\>= 1.5 and\r\n  no prior gout"), at("Renal or hepatic failure"), at("Able to swallow")
RENAL = entity("CONDITION", at("Renal"), at("failure"))
GOLD = trial(
    criterion("I1", FIRST, entities=(entity("LAB", at("ANC")), entity("CONDITION", at("gout"), negated=True)), rule=anc("1.5")),
    criterion("I2", SECOND, entities=(RENAL, entity("CONDITION", at("hepatic failure")))),
    criterion("I3", THIRD),
)
PREDICTED = trial(
    criterion("I1", FIRST, entities=(entity("LAB", at("ANC")), entity("CONDITION", at("prior gout"))), rule=anc("15")),
    criterion("E1", SECOND, kind="exclusion", entities=(entity("DRUG", at("hepatic failure")),)),
)


class Page(HTMLParser):
    """What a browser would build of the page. Tags that do not nest fail at once."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.marked: list[tuple[str, str]] = []
        self.rows: list[str] = []
        self.feed(markup)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("meta", "input"):
            return
        self.open.append((tag, dict(attrs)))
        if (tag, dict(attrs).get("class")) == ("p", "text"):
            self.texts.append("")
        elif tag == "li":
            self.rows.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for tag, attributes in self.open:
            if (tag, attributes.get("class")) == ("p", "text"):
                self.texts[-1] += data
            elif tag == "li":
                self.rows[-1] += data
            elif tag == "i":
                self.marked.append((attributes["data-d"] or "", data))

    def of(self, tag: str, attribute: str) -> list[str]:
        return [attributes[attribute] or "" for name, attributes in self.tags if name == tag and attribute in attributes]


def page(gold: Sequence[ParsedTrial], predicted: Sequence[ParsedTrial], found: Sequence[Error] | None = None) -> str:
    found = list(errors(gold, predicted)) if found is None else found
    return "".join(scoreboard.html(score(gold, predicted), found, gold, predicted))


def shown(scores: Scores, width: int) -> str:
    out = io.StringIO()
    scoreboard.table(scores, Console(file=out, width=width, legacy_windows=False))
    return out.getvalue()


# --- page -------------------------------------------------------------------------------------------------------------


def test_every_difference_stands_once_at_its_criterion() -> None:
    built = Page(page([GOLD], [PREDICTED]))
    assert built.rows == [
        "value fact lab “ANC >= 1.5” ANC: ≥ 1.5 10*9/L → ≥ 15 10*9/L",
        "boundary entity condition “gout” → “prior gout”",
        "label criterion inclusion kind: inclusion → exclusion",
        "label entity condition “hepatic failure” CONDITION → DRUG",
        "missed entity condition “Renal failure”",
        "missed criterion inclusion",
    ]
    assert built.of("li", "data-t") == [row.split()[0] for row in built.rows]
    assert built.of("li", "data-l")[:2] == ["fact lab", "entity CONDITION"]


def test_both_sides_show_the_clean_text_with_the_differing_words() -> None:
    built = Page(page([GOLD], [PREDICTED]))
    first, second, third = (clean(TEXT, [span]).text for span in (FIRST, SECOND, THIRD))
    assert built.texts == [first, first, second, second, third]
    assert built.marked == [
        *(("0", "ANC"), ("0", " >= 1.5"), ("1", "gout")),
        *(("0", "ANC"), ("0", " >= 1.5"), ("1", "prior gout")),
        *(("2", "Renal"), ("1", "hepatic "), ("1", "failure"), ("2", "failure")),  # two mentions share the last word
        ("1", "hepatic failure"),
    ]
    assert "no criterion here" in page([GOLD], [PREDICTED])


def test_only_what_differs_is_shown() -> None:
    same = Page(page([GOLD], [GOLD]))
    assert (same.rows, same.texts) == ([], [])
    assert "do not differ" in page([GOLD], [GOLD])


def test_the_differences_given_are_the_ones_shown() -> None:
    some = [error for error in errors([GOLD], [PREDICTED]) if error.item == "fact"]
    assert len(Page(page([GOLD], [PREDICTED], some)).rows) == 1


def test_a_trial_without_prediction_is_missed_as_a_whole() -> None:
    markup = page([GOLD], [])
    assert Page(markup).rows.count("missed criterion inclusion") == 3
    assert "1 trial without a prediction, all of it counted as missed: NCT00000001" in markup
    other = PREDICTED.model_copy(update={"trial": trial(text="another").trial})
    assert Page(page([GOLD], [other])).rows == Page(markup).rows


def test_stand_off_records_show_their_offsets() -> None:
    bare = [one.model_copy(update={"trial": one.trial.model_copy(update={"eligibility": ""})}) for one in (GOLD, PREDICTED)]
    built = Page(page([bare[0]], [bare[1]]))
    start, end = at("gout")
    assert f"boundary entity condition [{start}, {end}) → [{at('prior gout')[0]}, {end})" in built.rows
    assert built.texts[0] == f"[{FIRST[0]}, {FIRST[1]})"
    assert "Neither record holds the text" in page([bare[0]], [bare[1]])
    assert Page(page([GOLD], [bare[1]])).rows == Page(page([GOLD], [PREDICTED])).rows


def test_the_filters_count_what_there_is() -> None:
    markup = page([GOLD], [PREDICTED])
    chips = re.findall(r'data-type="(\w+)" aria-pressed="false">\w+<span>(\d+)<', markup)
    assert chips == [("missed", "2"), ("boundary", "1"), ("label", "2"), ("value", "1")]
    assert '<option value="entity CONDITION">condition (3)</option>' in markup
    assert '<option value="fact ">every fact (1)</option>' in markup


def test_hostile_text_is_inert() -> None:
    whole = (0, len(HOSTILE))
    fact = Fact(about="lab", name=HOSTILE, start=0, end=9)
    hostile = criterion(HOSTILE, whole, entities=(entity("DRUG", (9, 30)),), rule=fact, parent_id=HOSTILE)
    gold = trial(hostile, name=HOSTILE, text=HOSTILE, title=HOSTILE)
    markup = page([gold], [trial(criterion("<b>", whole), name=HOSTILE, text=HOSTILE)])
    known = {(tag, name) for tag, attributes in Page(page([GOLD], [PREDICTED])).tags for name in attributes} | {
        ("mark", "data-cont")
    }
    built = Page(markup)
    assert {(tag, name) for tag, attributes in built.tags for name in attributes} <= known
    assert [tag for tag, _ in built.tags].count("script") == [tag for tag, _ in built.tags].count("style") == 1
    assert built.texts[0] == clean(HOSTILE).text


def test_the_page_needs_nothing_else_and_admits_its_own_script_alone() -> None:
    markup = page([GOLD], [PREDICTED])
    assert not re.search(r"url\(|@import|https?://|\son[a-z]+=|\sstyle=", markup)
    policy = next(content for content in Page(markup).of("meta", "content") if "default-src" in content)
    for tag in ("script", "style"):
        bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", markup, re.DOTALL)
        assert len(bodies) == 1
        assert base64.b64encode(hashlib.sha256(bodies[0].encode()).digest()).decode() in policy


SPANS = st.tuples(st.integers(0, 30), st.integers(1, 30)).map(lambda pair: (pair[0], pair[0] + pair[1]))
RULES: list[Rule] = [OPEN, anc("1"), AllOf(rules=(anc("1"), anc("2"))), AnyOf(rules=(anc("1"), anc("2")))]
CRITERIA = st.lists(
    st.tuples(st.lists(SPANS, min_size=1, max_size=2), st.lists(SPANS, max_size=3), st.sampled_from(RULES)), max_size=4
).map(
    lambda found: [
        criterion(f"I{n}", *extent, entities=[entity("LAB", span) for span in spans], rule=rule)
        for n, (extent, spans, rule) in enumerate(found)
    ]
)


@settings(deadline=None)
@given(st.text(st.sampled_from("ab <>&\"'\r\n\\>=😀"), max_size=40), CRITERIA, CRITERIA)
def test_any_two_records_give_a_page_with_all_their_differences(
    text: str, gold: list[Criterion], predicted: list[Criterion]
) -> None:
    sides = [trial(*gold, text=text)], [trial(*predicted, text=text)]
    assert len(Page(page(*sides)).rows) == len(list(errors(*sides)))


# --- terminal and JSON ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_shows_every_row_within_its_width(width: int) -> None:
    scores = score([GOLD], [PREDICTED]).with_agreement(agreement([GOLD], [PREDICTED]))
    lines = [line.rstrip() for line in shown(scores, width).splitlines()]
    assert all(cell_len(line) <= width for line in lines)
    for row in scores.rows:
        found = [line for line in lines if line.startswith(f"{row.name} ")]
        assert any(f"{row.value:.3f}" in line and f"{row.agreement:.3f}" in line for line in found)
    assert any(re.fullmatch(r"exact +1\.000 +0\.667 +0\.800 +3 +0\.800", line) for line in lines)


def test_the_table_says_which_trials_could_not_be_compared() -> None:
    names = [GOLD.model_copy(update={"trial": GOLD.trial.model_copy(update={"nct_id": f"NCT{n}"})}) for n in range(4)]
    other = names[1].model_copy(update={"trial": names[1].trial.model_copy(update={"sha256": "f" * 64})})
    out = shown(score(names[:3], [names[0], other, names[3]]), 80)
    assert "! 1 trial without a prediction, all of it counted as missed: NCT2\n" in out
    assert "! 1 trial whose prediction is of another text, all of it counted as missed: NCT1\n" in out
    assert "! 1 trial predicted without gold, not counted: NCT3\n" in out
    assert "There is nothing to compare: no trial is on both sides, or none has an item." in shown(score([], []), 80)


def test_the_json_holds_the_rows() -> None:
    read = json.loads(scoreboard.to_json(score([GOLD], [PREDICTED])))
    rows = {(row["family"], row["name"]): row for row in read["rows"]}
    assert rows["criteria", "exact"] == {
        "family": "criteria",
        "name": "exact",
        "measure": "f1",
        "value": 0.8,
        "precision": 1.0,
        "recall": pytest.approx(2 / 3),
        "tp": 2,
        "fp": 0,
        "fn": 1,
        "support": 3,
        "interval": None,
    }
    assert rows["criteria", "kind"]["measure"] == "accuracy"
    assert (read["trials"], read["missing"]) == (1, [])
