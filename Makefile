# The course, from its root. `make start` and `make check` set the machine up
# first; every other verb is passed to the lab named by LAB=… (any unambiguous
# part of its name).

ROOT := .
SHELL := /bin/sh
MAKEFLAGS += -rR --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help

# Before setup there may be no compiler: no probe, no tools.
SETUP_FIRST := $(filter start check,$(or $(MAKECMDGOALS),help))
ifeq (,$(SETUP_FIRST)$(filter help,$(or $(MAKECMDGOALS),help)))
include common/shared.mk
endif

LABS := $(sort $(wildcard chapter_*/*/lab_*))
EXACT := $(strip $(foreach l,$(LABS),$(if $(filter $(LAB),$(notdir $l)),$l)))
MATCHES := $(or $(EXACT),$(strip $(foreach l,$(LABS),$(if \
	$(findstring $(LAB),$(notdir $l)),$l))))

IN_LAB := program test solution run debug watch hint compare reset undo bench \
	stress
.PHONY: help start next progress check checked grade $(IN_LAB) FORCE

define HELP
make start           set up this machine and begin (or go on)
make check           set up this machine and prove the whole course
make next            the next lab to do
make progress        chapters, topics and labs, and how far you are
make test LAB=cat    in a lab: test, run, debug, watch, hint, compare, reset,
                     undo, solution, bench, stress; `make help` there says more
make grade SUBMISSIONS=dir    a class: what each folder's owner has passed
make stress          every solution's tests a hundred times, on a busy machine
make compile_commands.json    for editors: how each file is compiled
endef
export HELP
help:
	@echo "$$HELP"

# The second make has a compiler to look at.
start:
	@tools/setup learn
	@$(MAKE) started
check:
	@tools/setup check
	@$(MAKE) $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$$(getconf \
		_NPROCESSORS_ONLN)) checked

ifneq (,$(filter started next progress,$(MAKECMDGOALS)))
.PHONY: started
started: shared compile_commands.json
	@$(COURSE) start
next progress: $(COURSE)
	@$(COURSE) $@
endif

# Grades the folders in SUBMISSIONS; OUT is where the results go, LABS which
# labs (those that somebody has worked on), JOBS how many at a time.
grade: $(GRADE) shared
	@[ -n '$(SUBMISSIONS)' ] || { echo 'say whose work: make grade' \
		'SUBMISSIONS=folder' >&2; exit 2; }
	@$(GRADE) $(if $(OUT),--out '$(OUT)') $(if $(JOBS),--jobs $(JOBS)) $(if \
		$(filter command,$(firstword $(origin LABS))),--labs '$(LABS)') $(if \
		$(filter 1 yes,$(UNSAFE)),--unsafe) '$(SUBMISSIONS)'

# Without a lab: how fast classes are graded.
ifeq (bench,$(MAKECMDGOALS)$(LAB))
IN_LAB := $(filter-out bench,$(IN_LAB))
bench: $(GRADE) shared
	@COUNT='$(COUNT)' tools/grade/bench
endif
ifneq (,$(filter $(IN_LAB),$(MAKECMDGOALS)))
ifeq (,$(LAB))
ifeq (,$(filter stress,$(MAKECMDGOALS)))
$(error say which lab: make $(MAKECMDGOALS) LAB=mini_cat)
endif
MATCHES := $(LABS)
else ifneq (1,$(words $(MATCHES)))
$(error $(if $(MATCHES),LAB=$(LAB) may be $(notdir $(MATCHES)),no lab is \
	called $(LAB)))
endif
endif
$(IN_LAB):
	@for lab in $(MATCHES); do \
		$(MAKE) -C $$lab $@ PREFIX=$$lab/ AGAIN='LAB=$(LAB) ' || exit; \
	done

# A folder is as new as the last file that came or went.
compile_commands.json: $(COURSE) $(LABS:%=%/Makefile) $(LABS:%=%/src) \
		$(LABS:%=%/problem) $(LABS:%=%/tests) common/lab.mk
	@$(COURSE) commands

# One result file for each part of the course; a part is checked again when
# something that it depends on has changed.
R := $(BUILD)/check
HARNESS := $(wildcard common/*.* common/test/* tools/probe tools/lint \
	tools/stress tools/judge/*.[ch] tools/course/*.[ch]) .clang-format .clang-tidy
FILES = $(filter-out %/build,$(wildcard $1/* $1/problem/* $1/solution/* \
	$1/tests/* $1/tests/mistakes/* $1/bench/* $(if $(CI),$1/src/*)))
LAB_RESULTS := $(foreach l,$(LABS),$R/$(notdir $l).result)
PAGES := $(wildcard README.md .github/CONTRIBUTING.md chapter_*/*.md \
	chapter_*/*/theory.md)
PAGE_RESULTS := $(foreach p,$(PAGES),$R/$(subst /,-,$p).result)
TOOL_RESULTS := $R/judge.result $R/course.result $R/grade.result \
	$R/library.result $R/setup.result $R/lint.result $R/clangd.result
RESULTS := $(TOOL_RESULTS) $(LAB_RESULTS) $(PAGE_RESULTS)

checked: $(RESULTS)
	@$(COURSE) summary --forget $(sort $(RESULTS))

define lab_result
$R/$(notdir $1).result: $(call FILES,$1) $(HARNESS) | shared
	@mkdir -p $R
	@$$(MAKE) -C $1 results
	@cat $1/build/check/*.result > $$@
	@grep -lE '^(fail|skip) ' $1/build/check/*.result | xargs rm -f
endef
$(foreach l,$(LABS),$(eval $(call lab_result,$l)))

define page_result
$R/$(subst /,-,$1).result: $1 $(HARNESS) | shared $(GRADE)
	@mkdir -p $R
	@$$(COURSE) docs $1 > $$@ 2>&1 || :
endef
$(foreach p,$(PAGES),$(eval $(call page_result,$p)))

$R/judge.result: $(wildcard tools/judge/tests/* tools/judge/tests/*/* \
		tools/judge/tests/*/*/* tools/judge/tests/*/*/*/*) $(HARNESS) | shared
	@mkdir -p $R
	@tools/judge/tests/run > $@ 2>&1 || :
$R/course.result: $(wildcard tools/course/tests/*) $(HARNESS) | shared
	@mkdir -p $R
	@tools/course/tests/run > $@ 2>&1 || :
$R/grade.result: $(GRADE) $(wildcard tools/grade/tests/* \
		tools/grade/tests/*/* tools/grade/tests/*/*/*) $(HARNESS) | shared
	@mkdir -p $R
	@tools/grade/tests/run > $@ 2>&1 || :
$R/library.result: $(HARNESS) $(call FILES,tools/library_tests) | shared
	@mkdir -p $R
	@tools/library_tests/run > $@ 2>&1 || :
$R/setup.result: tools/setup tools/packages | shared
	@mkdir -p $R
	@tools/tests/setup > $@ 2>&1 || :
$R/lint.result: $(HARNESS) $(wildcard tools/grade/*.[ch] tools/* tools/*/tests/run .ci/run) | shared
	@mkdir -p $R
	@tools/lint tools $(wildcard tools/judge/*.[ch] tools/course/*.[ch] \
		tools/grade/*.[ch] common/*.[ch] common/test/*.[ch] tools/* tools/*/tests/run .ci/run) \
		-- $(CC) $(TOOL_FLAGS) $$(pkg-config --cflags jansson libcrypto) > $@ 2>&1 || :
$R/clangd.result: .clangd tools/tests/clangd common/lab.mk \
		$(wildcard $(addsuffix /problem/*.c,$(LABS)) \
		$(addsuffix /tests/*.c,$(LABS))) | compile_commands.json
	@mkdir -p $R
	@tools/tests/clangd > $@ 2>&1 || :
