"""The report of a run, one HTML file in each language.

In: everything that is known of a run (`report.data.ReportData`), gathered by the workflow.
Out: the page (`report.render`), and figures that show themselves in a notebook.
`page` writes the sections, `figures` holds the figures (one file each), `drawing` draws lines, axes and text.
Scores and statistics are computed in other rooms; here they are only shown.
"""
