"""Runs a file: opens it, finds its plugins, resolves its steps, plans them in a READ ONLY transaction, and gives each
its turn under the lock. It knows no step, check or value by its name. Imports the built-ins for their registry, and
all below; only `api` and what stands above it import the engine."""
