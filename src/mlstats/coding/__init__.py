"""Classification coding: text in, code out, beside the coding index."""
