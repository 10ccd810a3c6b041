# Every target works as the first command on a fresh clone: it makes .venv from requirements.lock first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# nbval has its own processes, and takes a second to import. A file's tests stay together, since they share what is costly to make; in the order of their names the longest begin.
PARALLEL := -n $(shell getconf _NPROCESSORS_ONLN) --maxprocesses 6 --dist loadfile --no-loadscope-reorder -p no:nbval -p no:logging
export JUPYTER_PREFER_ENV_PATH := 1

.PHONY: lab extra course book test quick lint format lock clean

lab: $(VENV)/installed
	$(BIN)/course lab

# make extra NAME=llm installs what a later lesson names in its passport
extra: $(VENV)/installed
	@$(PYTHON) tools/make_venv.py $(VENV) $(or $(NAME),none)

course: $(VENV)/everything
	$(BIN)/course run --all --profile cpu

# the last runs of all lessons as a web site in runs/book
book: $(VENV)/everything
	$(BIN)/course book

test: lint
	$(BIN)/pytest $(PARALLEL)

quick: $(VENV)/everything
	$(BIN)/pytest $(PARALLEL) -m "not slow"

lint: $(VENV)/everything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --verify --keep-id --keep-count notebooks/*.ipynb
	$(BIN)/codespell
	$(BIN)/course lint

format: $(VENV)/everything
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout --keep-id --keep-count notebooks/*.ipynb

lock:
	$(PYTHON) tools/make_venv.py lock

clean:
	rm -rf $(VENV) runs

$(VENV)/installed: pyproject.toml requirements.lock tools/make_venv.py
	@$(PYTHON) tools/make_venv.py $(VENV)

$(VENV)/everything: pyproject.toml requirements.lock tools/make_venv.py
	@$(PYTHON) tools/make_venv.py $(VENV) everything
