EXTRA_DIST += tests/flow/conftest.py tests/flow/gh.py
