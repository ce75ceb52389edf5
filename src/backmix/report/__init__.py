"""The report of a run, one HTML file in each language.

In: everything that is known of a run (`report.data.ReportData`), gathered by the workflow.
Out: the page (`report.render`), and figures that show themselves in a notebook.
`page` writes the sections, `figures` holds the drawings (one file each), `drawing` the pen they are drawn with.
Nothing is computed here that another room could have computed.
"""
