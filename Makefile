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

LABS := $(sort $(patsubst %/Makefile,%,$(wildcard chapter_*/*/lab_*/Makefile)))
EXACT := $(strip $(foreach l,$(LABS),$(if $(filter $(LAB),$(notdir $l)),$l)))
MATCHES := $(or $(EXACT),$(strip $(foreach l,$(LABS),$(if \
	$(findstring $(LAB),$(notdir $l)),$l))))

IN_LAB := program test solution run debug hint compare reset undo bench stress
OF_COURSE := next progress done undone quiz update
.PHONY: help start check checked proven grade watch man $(OF_COURSE) $(IN_LAB) FORCE

define HELP
make start           set up this machine and begin (or go on)
make check           set up this machine and prove the whole course; LAB=cat
                     one lab of it
make watch           test the lab that you save, at each save
make next            the next lab to do
make progress        chapters, topics and labs, and how far you are
make done ITEM="os memory"   tick a theory page or a checkpoint; make undone
make quiz            a chapter's questions; CHAPTER=os for another one
make update          a newer course; your work stays
make man             all of this at length
make test LAB=cat    in a lab: test, run, debug, hint, compare, reset, undo,
                     solution, bench, stress; `make help` there says more
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
		_NPROCESSORS_ONLN)) $(if $(LAB),proven,checked)
proven:
	@$(MAKE) -C '$(MATCHES)' check

ifneq (,$(filter started watch $(OF_COURSE),$(MAKECMDGOALS)))
.PHONY: started
started: shared compile_commands.json
	@$(COURSE) start
watch: $(COURSE)
	@$(COURSE) watch $(if $(LAB),$(MATCHES))
done undone: ARGUMENT = $(or $(ITEM),-)
quiz: ARGUMENT = $(CHAPTER)
$(OF_COURSE): $(COURSE)
	@$(COURSE) $@ $(if $(ARGUMENT),'$(ARGUMENT)')
endif
man:
	@command -v man >/dev/null || \
		{ echo 'man is not installed: tools/course/course.7' >&2; exit 4; }
	@man -l tools/course/course.7

# Grades the folders in SUBMISSIONS; OUT is where the results go, LABS which
# labs (those that somebody has worked on), JOBS how many at a time. With
# ENGINE=slurm in the tasks of a Slurm array, CHUNK submissions each.
GRADE_OPTIONS = $(if $(filter command,$(firstword $(origin LABS))),--labs \
	'$(LABS)') $(if $(filter 1 yes,$(UNSAFE)),--unsafe)
grade: $(GRADE) shared
	@[ -n '$(SUBMISSIONS)' ] || { echo 'say whose work: make grade' \
		'SUBMISSIONS=folder' >&2; exit 2; }
	@case '$(or $(ENGINE),local)' in \
	local) $(GRADE) $(if $(OUT),--out '$(OUT)') $(if $(JOBS),--jobs \
		'$(JOBS)') $(GRADE_OPTIONS) '$(SUBMISSIONS)' ;; \
	slurm) tools/grade/slurm '$(SUBMISSIONS)' '$(OUT)' '$(CHUNK)' \
		'$(JOBS)' $(GRADE_OPTIONS) ;; \
	*) echo 'ENGINE=$(ENGINE): local or slurm' >&2; exit 2 ;; \
	esac

# Without a lab: how fast classes are graded.
ifeq (bench,$(MAKECMDGOALS)$(LAB))
IN_LAB := $(filter-out bench,$(IN_LAB))
bench: $(GRADE) shared
	@COUNT='$(COUNT)' tools/grade/bench
endif
ifneq (,$(filter $(IN_LAB) proven watch,$(MAKECMDGOALS)))
ifeq (,$(LAB))
ifeq (,$(filter stress watch,$(MAKECMDGOALS)))
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
	$R/library.result $R/setup.result $R/lint.result $R/clangd.result \
	$R/fuzz.result $R/slurm.result
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
$R/course.result: $(wildcard tools/course/tests/* tools/course/course.7 \
		tools/completion/*) $(HARNESS) | shared
	@mkdir -p $R
	@tools/course/tests/run > $@ 2>&1 || :
$R/grade.result: $(GRADE) $(wildcard tools/grade/tests/* \
		tools/grade/tests/*/* tools/grade/tests/*/*/*) $(HARNESS) | shared
	@mkdir -p $R
	@tools/grade/tests/run > $@ 2>&1 || :
$R/slurm.result: $(GRADE) $(wildcard tools/grade/slurm* tools/grade/tests/slurm \
		tools/grade/tests/lab_*/* tools/grade/tests/lab_*/*/*) $(HARNESS) | shared
	@mkdir -p $R
	@tools/grade/tests/slurm > $@ 2>&1 || :
$R/library.result: $(HARNESS) $(call FILES,tools/library_tests) | shared
	@mkdir -p $R
	@tools/library_tests/run > $@ 2>&1 || :
$R/fuzz.result: $(wildcard common/http*.[ch] common/fuzz/* \
		common/fuzz/corpus/*) | shared
	@mkdir -p $R
	@CC='$(CC)' common/fuzz/run > $@ 2>&1 || :
$R/setup.result: tools/setup tools/packages | shared
	@mkdir -p $R
	@tools/tests/setup > $@ 2>&1 || :
LINTED := $(wildcard tools/judge/*.[ch] tools/course/*.[ch] \
	tools/grade/*.[ch] common/*.[ch] \
	common/test/*.[ch] common/fuzz/*.c common/fuzz/run tools/* \
	tools/*/tests/run tools/course/tests/* tools/grade/slurm* \
	tools/grade/tests/slurm .ci/run)
$R/lint.result: $(HARNESS) $(LINTED) | shared
	@mkdir -p $R
	@tools/lint tools $(LINTED) \
		-- $(CC) $(TOOL_FLAGS) $$(pkg-config --cflags jansson libcrypto) > $@ 2>&1 || :
$R/clangd.result: .clangd tools/tests/clangd common/lab.mk \
		$(wildcard $(addsuffix /problem/*.c,$(LABS)) \
		$(addsuffix /tests/*.c,$(LABS))) | compile_commands.json
	@mkdir -p $R
	@tools/tests/clangd > $@ 2>&1 || :
