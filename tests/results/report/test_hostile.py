"""Nothing that a run says becomes markup, script or a request."""

import base64
import hashlib
import json
import re

import pytest

from effsearch.results.certificate import write_certificate
from effsearch.results.report.page import Report

from ..conftest import MakeCertificate, MakeEntry
from .conftest import HOSTILE, MakeRun
from .markup import Markup, page_of


@pytest.fixture
def hostile(make_run: MakeRun, make_entry: MakeEntry, make_certificate: MakeCertificate) -> Report:
    """A run that says something hostile wherever it may say anything."""
    bad = HOSTILE
    entries = [
        make_entry(
            name=bad, network_hash=bad, val_accuracy=0.5, point={bad: bad}, seed=1, coefficients={bad: 1.5}
        ),
        make_entry(name=bad, network_hash="h2", failure=bad, point={bad: bad}, time=bad),
        make_entry(name=bad, network_hash="h3", kind="anchor", seed=3, fidelity={"num_images": 5, bad: 1.0}),
    ]
    row = {
        "name": bad,
        "network_hash": bad,
        "accuracy": bad,
        "multiply_adds": bad,
        "params": bad,
        "accuracies": [bad],
    }
    row |= {"seeds": [bad], "budget": {bad: bad}, "spec_path": bad, "expected_score": bad}
    result = {
        "best": row,
        "winners": [row],
        "anchors": [row],
        "finalists": [row],
        "warnings": [bad],
        "trials": bad,
    }
    result |= {
        "stopped_by": bad,
        "explanation": [bad],
        "untrained_anchors": [bad],
        "owed": bad,
        "promoted": bad,
    }
    family = {
        "base": bad,
        "rule": bad,
        "coefficients": {bad: bad},
        "notes": [bad],
        "family": [{"phi": 1, "multiply_adds": 7, "params": bad, "off": bad, "resolution": bad}],
    }
    start = {"time": bad, "command_line": bad, "working_directory": bad, "git_commit": bad, "cpu": bad}
    start |= {"versions": {bad: bad}, "platform": bad, "host": bad}
    quoted = '"' + bad.replace('"', '""') + '"'
    table = (
        "what,name,other,choice,value,low,high,best_probability\n"
        f"share,{quoted},,,.2,.1,.3,\nshare_with_pairs,{quoted},,,.2,.1,.3,\n"
        f"effect,{quoted},,{quoted},.2,.1,.3,.5\npair_share,{quoted},{quoted},,.2,.1,.3,\n"
    )
    run = make_run(
        "hostile <b>&amp;",
        entries,
        report=result,
        settings={"data": bad, "space": bad, "budget": bad, bad: bad},
        files={
            "family/family.json": family,
            "environment.json": {"schema_version": 1, "starts": [start]},
            "importance.csv": table,
            "rounds.jsonl": bad,
        },
    )
    certificate = make_certificate()
    networks = tuple(
        type(one)(**{name: getattr(one, name) for name in one.__slots__} | {"name": bad, "network_hash": bad})
        for one in certificate.networks
    )
    write_certificate(run, make_certificate(networks=networks))
    return page_of(run)


def test_hostile_text_becomes_no_markup(hostile: Report) -> None:
    markup = Markup(hostile.html)
    allowed = (
        "html head meta title link style body header nav main footer section article figure figcaption div span p a "
        "ul ol li h1 h2 h3 dl dt dd table caption thead tbody tr th td strong small code pre details summary button "
        "form label input select option noscript script svg text tspan rect line path"
    )
    assert {tag for tag, _ in markup.tags} <= set(allowed.split())
    for tag, attributes in markup.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "src", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith("#") or value == "data:,", (tag, value)
    assert len(markup.scripts) == 3  # data, library, script
    assert "window.attacked" not in markup.scripts[-1]
    text = " ".join(markup.text)
    assert text.count("{{ 7 * 191 }}") > 20  # shown as it is, and not worked out
    assert "1337" not in text


def test_hostile_text_stays_inside_its_json(hostile: Report) -> None:
    data_text = Markup(hostile.html).scripts[0]
    assert not re.search("[<>&\u2028\u2029]", data_text)
    data = json.loads(data_text)
    assert data["table"]["rows"][0][0] == HOSTILE
    assert data["table"]["rows"][1][11] == f"failed: {HOSTILE}"
    assert data["charts"]["front"]["networks"][0]["name"] == HOSTILE


def test_the_policy_allows_this_page_s_scripts_and_no_request(hostile: Report) -> None:
    policies = [
        attributes["content"] or ""
        for tag, attributes in Markup(hostile.html).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    (policy,) = policies
    directives = dict(one.strip().split(" ", 1) for one in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["img-src"] == "data: blob:"
    assert "connect-src" not in directives  # so default-src counts
    assert "unsafe" not in directives["script-src"]
    script = Markup(hostile.html).scripts[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in directives["script-src"]
    # The policy comes before all that it governs.
    assert hostile.html.index("Content-Security-Policy") < hostile.html.index("<title>")


def test_nothing_on_the_page_leads_out_of_it(hostile: Report) -> None:
    markup = Markup(hostile.html)
    style = hostile.html[hostile.html.index("<style>") : hostile.html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert {"iframe", "img", "video", "object", "embed", "base"}.isdisjoint(tag for tag, _ in markup.tags)
