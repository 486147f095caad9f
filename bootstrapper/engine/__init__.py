"""Runs a file: `open` reads it and finds its `plugins`, `resolver` makes its steps, `planner` plans them in a READ
ONLY transaction through `look`, and `run` gives each its `turn` under the lock; `reconnect` goes on after a lost
connection, `follow` waits for the work of others. It knows no step, check or value by its name. Imports the built-ins
for their registry, and all below; only `api` and what stands above it import the engine."""
