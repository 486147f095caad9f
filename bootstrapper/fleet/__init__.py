"""One file for many databases: the targets of `fleet`, done in waves by processes that run the ordinary engine.

Each target has its own lock, fence and ledger, and proves itself by a quick look. So nothing has to be remembered for a
run to go on: a worker or a coordinator that dies costs the targets that it was at, which are done again. Imports the
api and all below; only the command line imports it.
"""
