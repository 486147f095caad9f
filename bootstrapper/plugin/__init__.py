"""The contracts that plugin authors implement: `step`, `scopes`, `check`, `value`, `renderer`, with their `context`
and `options`; `hooks` registers them, `traits` is what a step may do beyond its contract, `conditions` and `evaluate`
work out what the file wrote. The names that authors need are exported by `bootstrapper` itself. Imports postgres,
config and all below; the built-ins, the engine and plugins of third parties import it."""
