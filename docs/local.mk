EXTRA_DIST += docs/README.md docs/configuration.md docs/reload.md docs/reasons.md docs/operations.md
