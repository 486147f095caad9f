"""The quick look: finds out that there is nothing to do before anything else of bootstrapper is imported.

A run that made changes records, under the lock, what a run with nothing to do asks and what it is answered: files and
variables by their digest, statements by the digest of their results (`engine/recorder.py`). The quick look reads that
record from the ledger, compares files and variables as they are now, sends the same statements again, and compares the
results. All the same: then an ordinary run would read the same, ask the same, and find nothing to do. Anything else,
an error included, is left to the ordinary run, which alone decides.

Imports the standard library, PyYAML, and nothing else of bootstrapper but what a test lists.
"""
