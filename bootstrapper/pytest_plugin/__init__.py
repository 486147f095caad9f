"""The pytest plugin for tests of applications: `plugin` has the fixtures and options, `wanted` what a test asks for,
`database` what it gets, `template` makes the bootstrapped database once, `clones` copies it for each test, `sweep`
drops what killed sessions left, `inputs` tells when a template is out of date, `sharing` lets xdist's workers agree,
`empty` makes empty databases for tests of plugins, `plain_imports` keeps pytest from rewriting the package.
Loaded in every pytest session of those who installed the package: nothing but pytest is imported before a fixture
is used."""
