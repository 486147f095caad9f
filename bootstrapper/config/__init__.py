"""Reading bootstrap.yaml: `load` reads the file with its overlay and env files and validates the whole; `models` are
its shape, `rules` what no single key shows, `partial` stand-ins for invalid parts, `units` times and sizes,
`unit_fields` keys that hold them, `sensitive` which names and places hold secrets, `files` and `outputs` the files
that a run reads and writes. It knows no step, check or value. Imports errors, text and masking."""
