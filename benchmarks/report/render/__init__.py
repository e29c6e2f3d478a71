"""The report as text, Markdown, LaTeX and HTML."""
