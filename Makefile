# On a new machine, start with `make run` or `make test`.
.DEFAULT_GOAL := help
.PHONY: help run test bench clean

help:
	@echo 'make run    set up, start the agent, run a real workload under it, print the evidence'
	@echo 'make test   set up, then lint, type checks, unit, HTTP and kernel tests'
	@echo 'make bench  set up, then a quick measurement of the overhead of collecting'
	@echo 'make clean  remove what these targets created here (installed packages stay)'

run:
	@tools/setup run
	@.venv/bin/chainbench-agent demo

# A stale build/ would put deleted modules into the wheel. The tests' environment is made while types
# are checked; pytest ends last, so that its summary line is the last one of all three.
test:
	@tools/setup test
	@rm -rf build
	@.venv/bin/tox run-parallel --parallel-live --parallel-no-spinner

bench:
	@tools/setup bench
	@.venv/bin/python -m benchmarks overhead --quick

clean:
	rm -rf .venv .tox build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find agent benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
