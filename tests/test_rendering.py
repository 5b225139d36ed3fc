"""Both views show all of a trial, at any width and whatever its text holds."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from critnlp import criteria, rendering
from critnlp.cleaning import clean
from critnlp.schema import (
    AllOf,
    AnyOf,
    AtLeast,
    Attributes,
    Code,
    Criterion,
    CriterionRef,
    Entity,
    Fact,
    If,
    Label,
    Not,
    Note,
    ParsedTrial,
    Pipeline,
    Quantity,
    Relation,
    Rule,
    Segment,
    Span,
    Trial,
    Unsupported,
    Warning,
)

UNPARSED = Unsupported(reason="unparsed")
HOSTILE = (
    "<script>alert(1)</script> </style></title></script> <img src=x onerror=alert(2)> \"><b> 'quoted' & &lt;b&gt; "
    "&#60; --> <!-- ]]> [bold]no markup[/bold] :smile: {{x}} \u202egnirts\u202c \x1b[31mred\x07\x0c \x85 "
    "first\r\nsecond\rthird\n\u2028fourth \U0001f9ea 你好"
)


def entity(name: str, label: Label, *fragments: Span, attributes: Attributes | None = None) -> Entity:
    return Entity(
        id=name,
        label=label,
        start=min(start for start, _ in fragments),
        end=max(end for _, end in fragments),
        fragments=fragments,
        layer="rules",
        attributes=attributes,
        codes=(Code(system="http://loinc.org", code="26499-4", display='<i>"Neutrophils"</i>'),),
    )


def criterion(name: str, *fragments: Span, **fields: object) -> Criterion:
    kinds = {"I": "inclusion", "E": "exclusion", "U": "unspecified"}
    base = {
        "id": name,
        "kind": kinds[name[0]],
        "parent_id": name.rpartition(".")[0] or None,
        "start": fragments[0][0],
        "end": fragments[0][1],
        "fragments": fragments,
        "rule": UNPARSED,
    }
    return Criterion.model_validate(base | fields)


def parsed(
    eligibility: str,
    found: Sequence[Criterion] = (),
    segments: Sequence[Segment] = (),
    warnings: Sequence[Warning] = (),
    title: str = "A trial",
) -> ParsedTrial:
    return ParsedTrial(
        critnlp_version="0.1.0",
        pipeline=Pipeline(name="en_critnlp", version="0.1.0", layers=("rules",)),
        trial=Trial(
            nct_id="NCT00000001",
            title=title,
            eligibility=eligibility,
            sha256=hashlib.sha256(eligibility.encode("utf-8", "replace")).hexdigest(),
            sex="all",
            minimum_age=Quantity(value="18", unit="a"),
        ),
        criteria=tuple(found),
        segments=tuple(segments),
        warnings=tuple(warnings),
    )


def bundled() -> ParsedTrial:
    """The example trial as the splitter cuts it, with a tree, an inline list and a note."""
    path = Path(__file__).parent.parent / "examples" / "NCT00000001.json"
    study = json.loads(path.read_text("utf-8"))["protocolSection"]
    text = study["eligibilityModule"]["eligibilityCriteria"]
    split = criteria.split(text)
    return parsed(text, split.criteria, split.segments, split.warnings, study["identificationModule"]["briefTitle"])


TEXT = "Inclusion:\n* One of (a) gout, (b) lupus,\r\n within  28 days\nNote: call us\n* ANC \\>= 1.5 and\nno HIV"


def small() -> ParsedTrial:
    """A parent with words behind its items, a heading, a note, a warning, related and nested entities."""

    def at(quote: str) -> Span:
        return TEXT.index(quote), TEXT.index(quote) + len(quote)

    hiv = entity("I2.e3", "CONDITION", at("HIV"), attributes=Attributes(negated=True, status="history"))
    found = (
        criterion("I1", at("One of"), at("within  28 days"), category="disease", cohorts=("Cohort A",)),
        criterion("I1.1", at("gout"), entities=(entity("I1.1.e1", "CONDITION", at("gout")),)),
        criterion("I1.2", at("lupus")),
        criterion(
            "I2",
            at("ANC \\>= 1.5 and\nno HIV"),
            entities=(
                entity("I2.e1", "LAB", at("ANC \\>= 1.5")),
                entity("I2.e2", "THRESHOLD", at("\\>= 1.5")),
                hiv,
            ),
            relations=(Relation(type="has_value", head="I2.e1", tail="I2.e2"),),
            category="lab",
            computable="partial",
            describe="absolute neutrophil count at least 1.5",
            modifies="I1",
        ),
    )
    segments = (
        Segment(type="heading", start=0, end=10),
        Segment(type="note", start=at("Note")[0], end=at("call us")[1]),
    )
    return parsed(TEXT, found, segments, [Warning(code="duplicate", criterion="I2", message="says <it> twice")])


# --- page -------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would build of a page, as far as the tests ask. Tags that do not nest fail at once."""

    VOID = frozenset({"meta", "input", "br", "img"})

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(markup)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "a":
            assert "a" not in [name for name, _ in self.open], "a link in a link is torn apart by every browser"
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs)))
            if "text" in self.classes(-1) or "verbatim" in self.classes(-1):
                self.text.setdefault(self.classes(-1)[0], []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for name in ("text", "verbatim"):
            if any(name in self.classes(depth) for depth in range(len(self.open))):
                self.text[name][-1] += data

    def classes(self, depth: int) -> list[str]:
        return (self.open[depth][1].get("class") or "").split()

    def of(self, tag: str, attribute: str) -> list[str]:
        """The values of an attribute over all tags of the name, in order."""
        return [attributes[attribute] or "" for name, attributes in self.tags if name == tag and attribute in attributes]


def page(*trials: ParsedTrial) -> Page:
    return Page("".join(rendering.html(trials)))


def test_every_criterion_stands_once_and_in_order() -> None:
    trial = bundled()
    built = page(trial, trial)
    ids = [found.id for found in trial.criteria]
    assert built.of("li", "data-c") == ids * 2
    assert built.of("li", "id") == [f"t{number}-{name}" for number in (1, 2) for name in ids]
    assert len(ids) > 30


def test_every_link_has_a_target_and_no_id_stands_twice() -> None:
    built = page(small(), bundled())
    ids = [attributes["id"] for _, attributes in built.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in built.of("a", "href")} <= set(ids)


@pytest.mark.parametrize("trial", [small(), bundled(), parsed(HOSTILE), parsed("\n\n leading line ends"), parsed("")])
def test_the_source_text_is_shown_character_for_character(trial: ParsedTrial) -> None:
    assert page(trial).text["verbatim"] == [trial.trial.eligibility]


def test_the_tree_shows_the_clean_text() -> None:
    trial = bundled()
    assert page(trial).text["text"] == [clean(trial.trial.eligibility, one.fragments).text for one in trial.criteria]


def test_sub_items_stand_inside_their_parent() -> None:
    markup = "".join(rendering.html([small()]))
    parent = markup.index('id="t1-I1"')
    assert "<ul><li" in markup[parent : markup.index('id="t1-I1.1"')]
    assert "</ul></li>" in markup[parent : markup.index('id="t1-I2"')]


def test_an_entity_says_what_is_known_of_it() -> None:
    markup = "".join(rendering.html([small()]))
    notes = dict(zip(Page(markup).of("mark", "data-e"), Page(markup).of("mark", "data-i"), strict=True))
    assert notes["I2.e3"].split("\n") == [
        "condition",
        "negated · history",
        'LOINC 26499-4 <i>"Neutrophils"</i>',
        "rules layer · confidence 1.00",
    ]
    assert "value: >= 1.5" in notes["I2.e1"]
    assert "value of ANC >= 1.5" in notes["I2.e2"]
    assert re.search(r'<mark [^>]*data-l="LAB"[^>]*>ANC <mark [^>]*data-l="THRESHOLD"[^>]*>&gt;= 1.5</mark></mark>', markup)


def test_hostile_text_is_inert() -> None:
    text = HOSTILE
    whole = (0, len(text))
    found = criterion(
        "I1",
        whole,
        cohorts=(text,),
        describe=text,
        modifies=text,
        entities=(entity('"><script>', "DRUG", whole), entity("e' onclick=x", "LAB", (9, 30))),
    )
    trial = parsed(text, [found], [], [Warning(code="duplicate", criterion=text, message=text)], title=text)
    hostile, harmless = page(trial), page(small())
    known = {(tag, name) for tag, attributes in harmless.tags for name in attributes} | {("html", "lang")}
    assert {(tag, name) for tag, attributes in hostile.tags for name in attributes} <= known
    assert [tag for tag, _ in hostile.tags].count("script") == 1
    assert [tag for tag, _ in hostile.tags].count("style") == 1


def test_what_html_cannot_carry_is_replaced() -> None:
    built = page(parsed("a\x00b\ud800c"))
    assert built.text["verbatim"] == ["a\ufffdb\ufffdc"]


def test_the_page_needs_nothing_else_and_admits_its_own_script_alone() -> None:
    markup = "".join(rendering.html([small()]))
    assert not re.search(r"url\(|@import|https?://(?!loinc)|\son[a-z]+=|\sstyle=", markup)
    assert not Page(markup).of("script", "src")
    policy = next(content for content in Page(markup).of("meta", "content") if "default-src" in content)
    for tag in ("script", "style"):
        body = re.findall(rf"<{tag}>(.*?)</{tag}>", markup, re.DOTALL)
        assert len(body) == 1
        assert base64.b64encode(hashlib.sha256(body[0].encode()).digest()).decode() in policy


def test_a_table_of_contents_leads_to_several_trials() -> None:
    assert "<nav" not in "".join(rendering.html([small()]))
    assert page(small(), bundled()).of("a", "href")[:2] == ["#t1", "#t2"]
    assert page().tags


SPANS = st.tuples(st.integers(0, 30), st.integers(1, 30)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(
    st.text(st.sampled_from("ab <>&\"'\r\n\\>=😀"), min_size=1, max_size=40),
    st.lists(st.lists(SPANS, min_size=1, max_size=3), max_size=8),
    st.lists(SPANS, max_size=5),
)
def test_overlapping_spans_neither_break_the_markup_nor_lose_a_character(
    text: str, mentions: list[list[Span]], cuts: list[Span]
) -> None:
    """Page checks the nesting. Criteria and segments may overlap too, as no broken record may break the page."""
    whole = (0, len(text))
    entities = tuple(entity(f"I1.e{n}", "LAB", *fragments) for n, fragments in enumerate(mentions))
    others = [criterion(f"E{n}", span) for n, span in enumerate(cuts)]
    segments = [Segment(type="heading", start=start, end=end) for start, end in cuts]
    built = page(parsed(text, [criterion("I1", whole, entities=entities), *others], segments))
    assert clean(text).text in built.text["text"]
    assert built.text["verbatim"] == [text]


RULES: list[Rule] = [
    AllOf(rules=(UNPARSED,)),
    AnyOf(rules=(CriterionRef(id="I9"),)),
    AtLeast(n=1, rules=(Note(reason="lead_in"),)),
    Not(rule=Fact(about="lab", name="x")),
    If(condition=UNPARSED, then=UNPARSED),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.op))
@pytest.mark.parametrize("computable", ["full", "partial", "none", "unparsed"])
def test_any_rule_can_be_shown(rule: Rule, computable: str) -> None:
    trial = parsed("gout", [criterion("I1", (0, 4), rule=rule, computable=computable)])
    assert page(trial).text["text"] == ["gout"]
    assert "gout" in shown(trial, 80)


def test_a_broken_tree_still_shows_every_criterion() -> None:
    found = [
        criterion("I1", (0, 1), parent_id="I2"),
        criterion("I2", (1, 2), parent_id="I1"),
        criterion("I3", (2, 3), parent_id="I99"),
        criterion("I4", (3, 4), parent_id="I4"),
    ]
    assert page(parsed("abcd", found)).of("li", "data-c") == ["I1", "I2", "I3", "I4"]
    assert [line.split()[0] for line in shown(parsed("abcd", found), 80).splitlines()[-4:]] == ["I1", "I2", "I3", "I4"]


# --- terminal ---------------------------------------------------------------------------------------------------------


def shown(trial: ParsedTrial, width: int, *, colour: bool = False) -> str:
    out = io.StringIO()
    system = "256" if colour else None
    console = Console(file=out, width=width, force_terminal=colour, color_system=system, legacy_windows=False)  # type: ignore[arg-type]
    rendering.terminal(trial, console)
    return out.getvalue()


def packed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_terminal_shows_everything_within_its_width(width: int) -> None:
    trial = bundled()
    out = shown(trial, width)
    assert all(cell_len(line) <= width and line == line.rstrip() for line in out.splitlines())
    assert re.findall(r"^ *([IEU][\d.]+) ", out, re.MULTILINE) == [found.id for found in trial.criteria]
    for found in trial.criteria:
        assert packed(clean(trial.trial.eligibility, found.fragments).text) in packed(out)
    for segment in trial.segments:
        if segment.type in ("heading", "note"):
            assert packed(trial.trial.eligibility[segment.start : segment.end]).strip("#*_") in packed(out)


def test_plain_terminal_output() -> None:
    assert shown(small(), 60).splitlines() == [
        "NCT00000001  A trial",
        "all sexes · 18 years and older",
        "CONDITION:2  LAB:1  THRESHOLD:1",
        "",
        "+ Inclusion  (2 criteria, 2 sub-items)",
        "Inclusion:",
        "I1    One of ⋯ within 28 days [disease] [Cohort A]",
        "  I1.1  gout",
        "  I1.2  lupus",
        "Note: call us",
        "I2    ANC >= 1.5 and no HIV [lab] [modifies I1] [partly",
        "      computable]",
        "      → absolute neutrophil count at least 1.5",
        "",
        "! Warnings (1)",
        "I2    duplicate: says <it> twice",
    ]


def test_the_innermost_entity_gives_the_colour() -> None:
    line = next(line for line in shown(small(), 80, colour=True).splitlines() if "ANC" in line)
    lab, threshold = rendering._LOOKS["LAB"][1], rendering._LOOKS["THRESHOLD"][1]
    codes = [f"38;5;{style[6:-1]}m" for style in (lab, threshold)]
    assert re.search(rf"{re.escape(codes[0])}ANC .*{re.escape(codes[1])}>= 1\.5", line)


def test_only_what_is_not_the_criterion_is_dim() -> None:
    lines = shown(small(), 80, colour=True).splitlines()
    assert "\x1b[2mI1    \x1b[0mOne of\x1b[2m ⋯ \x1b[0mwithin 28 days \x1b[2m[disease]\x1b[0m \x1b[2m[Cohort A]\x1b[0m" in lines


@pytest.mark.parametrize("width", [5, 12, 40, 80])
def test_hostile_text_cannot_steer_the_terminal(width: int) -> None:
    trial = parsed(HOSTILE, [criterion("I1", (0, len(HOSTILE)), cohorts=(HOSTILE,))], title=HOSTILE)
    out = shown(trial, width)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", out)
    assert "[bold]nomarkup[/bold]:smile:" in packed(out)


@pytest.mark.parametrize("width", [20, 33, 40])
def test_wide_characters_are_counted_as_wide(width: int) -> None:
    text = "年龄大于十八岁的患者 " * 6
    out = shown(parsed(text, [criterion("I1", (0, len(text.rstrip())))]), width)
    assert all(cell_len(line) <= width for line in out.splitlines())
    assert packed(text) in packed(out)
