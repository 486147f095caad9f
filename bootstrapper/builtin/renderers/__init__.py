"""One module for each format of a plan: text, JSON, Markdown. `wording` has the sentences that they share; the
renderers do not import each other."""
