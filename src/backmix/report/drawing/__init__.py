"""The pen that figures are drawn with: an SVG canvas, series of predictions, thinned lines, lines in a notebook."""
