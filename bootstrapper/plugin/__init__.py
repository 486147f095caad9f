"""The contracts that plugin authors implement, and the hooks that register them; the names that authors need are
exported by `bootstrapper` itself. Imports postgres, config and all below; the built-ins, the engine and plugins of
third parties import it."""
