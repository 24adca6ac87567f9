# The README's commands, and the ones a contributor types most.
.PHONY: quickstart test test-slow lint types benchmark docs docs-serve pictures

.venv/installed: pyproject.toml constraints.txt
	python3 -m venv .venv
	.venv/bin/pip install -q -c constraints.txt -e '.[test]'
	touch $@

quickstart: .venv/installed
	.venv/bin/diffplan-train experiment=quickstart

test: .venv/installed
	.venv/bin/python -m pytest -n 2

test-slow: .venv/installed
	.venv/bin/python -m pytest -m slow

lint: .venv/installed
	.venv/bin/ruff check && .venv/bin/ruff format --check

types: .venv/installed
	.venv/bin/mypy

benchmark: .venv/installed
	OMP_WAIT_POLICY=PASSIVE .venv/bin/python -m pytest -o addopts='' -m benchmark -s tests/benchmark

docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

docs-serve: .venv/installed
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs serve

pictures: .venv/installed
	OMP_NUM_THREADS=1 .venv/bin/python docs/make_pictures.py
