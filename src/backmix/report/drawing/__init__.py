"""Lines, axes and text of figures.

In: numbers, words and a width in pixels.
Out: SVG elements as text, coloured by the style sheet of the page.
`canvas` draws lines, boxes and axes, `series` predictions over time, `thin` leaves out points that nobody would
see, `sketch` draws lines in a notebook.
"""
