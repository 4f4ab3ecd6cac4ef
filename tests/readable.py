"""What a reader of a paper can read."""

import itertools

from matplotlib.text import Annotation, Text

from tfsq import drawing


def check_text(figure):
    """No text is below 8 points or cut, and no label at a line's end overlaps another."""
    figure.draw_without_rendering()
    texts = [t for t in figure.findobj(Text) if t.get_text() and t.get_visible()]
    assert texts
    # Exponents would be smaller.
    assert not [t.get_text() for t in texts if "$" in t.get_text()]
    assert min(t.get_fontsize() for t in texts) >= drawing.FONT_SIZE
    labels = [text for text in texts if isinstance(text, Annotation)]
    boxes = [(label.get_text(), Text.get_window_extent(label)) for label in labels]
    for (one, box), (other, another) in itertools.combinations(boxes, 2):
        assert not box.overlaps(another), (one, other)
    width, height = figure.bbox.size
    for name, box in boxes:
        assert box.x0 >= -1 and box.x1 <= width + 1, name
        assert box.y0 >= -1 and box.y1 <= height + 1, name
