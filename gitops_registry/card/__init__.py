"""Model cards: what one version is, as data, as Markdown, as a page and as front matter.

The card that is committed is a function of the version's folder, the templates and the language, and of nothing else, so
that anybody can render it again and compare. What moves (stages, approvals, later measurements) is on those that are shown.
"""
