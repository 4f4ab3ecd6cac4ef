import matplotlib
import numpy as np
import pytest
from matplotlib import colors, pyplot

from tests.readable import check_text
from tfsq import drawing


def lightness(color):
    """CIE L*."""
    channels = np.array(colors.to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return max(0.0, 116.0 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16.0)


def test_neighbours_differ_in_lightness():
    values = [lightness(color) for color in drawing.COLORS]
    assert min(np.abs(np.diff(values))) > 10.0
    # And all can be seen on white.
    assert max(values) < 80.0


def test_settings_of_the_user_stay_as_they_are(tmp_path):
    before, opened = dict(matplotlib.rcParams), pyplot.get_fignums()
    figure, _ = drawing.new_figure(title="title")
    figure.savefig(tmp_path / "figure.png")
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == opened


def test_figures_are_as_wide_as_columns():
    assert drawing.new_figure()[0].get_size_inches()[0] == 3.5
    figure, axes = drawing.new_figure(3, 2, width=2)
    assert figure.get_size_inches()[0] == 7.16
    assert axes.shape == (2, 3)
    with pytest.raises(ValueError, match=r"`width` must be one of \[1, 2\]. Received: 3"):
        drawing.new_figure(width=3)


def test_line_styles_differ():
    styles = drawing.line_styles("abcdefg")
    for key in ("color", "linestyle", "marker"):
        assert len({style[key] for style in styles.values()}) == drawing.MAX_LINES
    looks = {tuple(style.values()) for style in drawing.line_styles(range(21)).values()}
    assert len(looks) == 21


def test_things_are_spread_no_more_than_they_must():
    assert drawing.spread([0.2, 0.8], [0.1, 0.1]) == pytest.approx([0.2, 0.8])
    assert drawing.spread([0.5, 0.5, 0.5], [0.1, 0.1, 0.1]) == pytest.approx([0.4, 0.5, 0.6])
    assert drawing.spread([0.9, 0.1], [0.2, 0.4]) == pytest.approx([0.9, 0.2])
    assert drawing.spread([1.0, 1.0], [0.2, 0.2]) == pytest.approx([0.7, 0.9])
    # More than there is room for.
    assert drawing.spread([0.0, 0.0], [0.8, 0.8]) == pytest.approx([0.1, 0.9])
    assert drawing.spread([], []) == []


def test_labels_are_where_lines_leave_the_axes():
    figure, ((axes,),) = drawing.new_figure()
    for name, x, y in (
        ("crosses the top", [0.0, 1.0], [0.0, 2.0]),
        ("ends inside", [0.0, 0.4], [0.2, 0.2]),
        ("a point", [0.3], [0.8]),
        ("elsewhere", [2.0, 3.0], [2.0, 3.0]),
        ("after a hole", [0.0, np.nan, 0.5, 0.6], [0.1, 0.1, 0.3, 0.3]),
    ):
        axes.plot(x, y, label=name)
    axes.axhline(0.7, label="level")
    axes.plot([0, 1], [0, 1])
    axes.set(xlim=(0, 1), ylim=(0, 1))
    found = {label.get_text(): label.xy for label in drawing.label_ends(axes)}
    assert found.pop("elsewhere\n(not in view)") == (1.0, 0.5)
    expected = {
        "crosses the top": (0.5, 1.0),
        "ends inside": (0.4, 0.2),
        "a point": (0.3, 0.8),
        "after a hole": (0.6, 0.3),
        "level": (1.0, 0.7),
    }
    assert found.keys() == expected.keys()
    for name, end in expected.items():
        assert found[name] == pytest.approx(end, abs=1e-5)
    check_text(figure)


def test_numbers_of_logarithmic_axes_are_written_out():
    figure, ((axes,),) = drawing.new_figure()
    axes.plot([1e-3, 4194304], [1, 2])
    drawing.log_axis(axes.xaxis, [1e-3, 1, 4194304])
    figure.draw_without_rendering()
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["0.001", "1", "4.19M"]
