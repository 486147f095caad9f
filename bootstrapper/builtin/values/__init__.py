"""One module for each built-in value function, written `{$key: argument}`: `$password`, `$env`, `$file`, `$uuid` and
others. They do not import each other."""
