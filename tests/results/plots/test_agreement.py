import dataclasses

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from effsearch.results.plots.agreement import draw_agreement

from ..conftest import MakeCertificate


def places_of(axes: Axes, label: str) -> np.ndarray:
    (found,) = [one for one in axes.collections if one.get_label() == label]
    return np.asarray(found.get_offsets())


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_each_network_stands_at_its_two_accuracies_in_per_cent(make_certificate: MakeCertificate) -> None:
    axes = draw_agreement(make_certificate()).axes[0]
    assert places_of(axes, "the proxy's choice").tolist() == [pytest.approx([52, 60])]
    assert places_of(axes, "best with longer training").tolist() == [pytest.approx([50, 64])]
    assert places_of(axes, "networks of the run").tolist() == [pytest.approx([41, 47])]


def test_a_line_leads_from_the_choice_up_to_the_height_of_the_best(make_certificate: MakeCertificate) -> None:
    (line,) = [
        line
        for line in draw_agreement(make_certificate()).axes[0].get_lines()
        if line.get_label() == "regret"
    ]
    assert np.column_stack(line.get_data()).tolist() == [
        pytest.approx(corner) for corner in ([52, 60], [52, 64], [50, 64])
    ]


def test_title_names_and_note_say_what_the_picture_shows(make_certificate: MakeCertificate) -> None:
    found = texts(draw_agreement(make_certificate()))
    assert "Proxy against 4 x longer training: tau .31 (.02 to .55)" in found
    assert {"trial 7", "trial 2"} <= set(found)
    assert "efficientnet-b0" not in found
    assert (
        "3 networks; certificate: poor. Regret of its first choice 4.0 points, of its top three 7.0 on average."
        in found
    )


def test_a_choice_that_is_the_best_is_marked_once(make_certificate: MakeCertificate) -> None:
    right = make_certificate()
    right = dataclasses.replace(
        right, networks=(dataclasses.replace(right.choice, longer_accuracy=0.7), *right.networks[1:])
    )
    axes = draw_agreement(right).axes[0]
    assert places_of(axes, "the proxy's choice, and the best").tolist() == [pytest.approx([52, 70])]
    assert len(places_of(axes, "networks of the run")) == 2
    assert [line.get_label() for line in axes.get_lines()] == []


def test_all_points_lie_inside_the_limits_even_where_all_are_alike(make_certificate: MakeCertificate) -> None:
    usual = make_certificate()
    alike = dataclasses.replace(
        usual,
        networks=tuple(
            dataclasses.replace(one, proxy_score=0.1, longer_accuracy=0.1) for one in usual.networks
        ),
    )
    for certificate in (usual, alike):
        axes = draw_agreement(certificate).axes[0]
        for one in certificate.networks:
            assert axes.get_xlim()[0] < 100 * one.proxy_score < axes.get_xlim()[1]
            assert axes.get_ylim()[0] < 100 * one.longer_accuracy < axes.get_ylim()[1]


def test_drawing_leaves_global_settings_alone(make_certificate: MakeCertificate) -> None:
    before = dict(matplotlib.rcParams)
    draw_agreement(make_certificate())
    assert dict(matplotlib.rcParams) == before
