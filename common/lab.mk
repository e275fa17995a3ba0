# How a lab is built, tested and proven. A lab's Makefile says what is special
# (LAB_… variables, described in .github/CONTRIBUTING.md) and includes this.
# Everything happens in the lab's folder; results go to build/.

HERE := $(dir $(lastword $(MAKEFILE_LIST)))
ROOT := $(patsubst %/common/,%,$(HERE))
SHELL := /bin/sh
MAKEFLAGS += -rR --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:
all: program

include $(ROOT)/common/shared.mk

ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(CPUS)
endif

# lab_03_rate_limiter is called rate_limiter, unless its Makefile says else.
# (At the root LAB=… says which lab; here it is this one.)
# The path before it may have blanks.
EMPTY :=
SPACE := $(EMPTY) $(EMPTY)
override LAB := $(lastword $(subst /,$(SPACE),$(CURDIR)))
WORDS := $(subst _,$(SPACE),$(LAB))
LAB_NAME ?= $(subst $(SPACE),_,$(wordlist 3,$(words $(WORDS)),$(WORDS)))
LAB_TESTS ?= $(if $(wildcard $(LAB_NAME).h),functions,program)
LAB_FORBID ?=

# Whose code: src, solution, problem or any other folder. How: plain, asan,
# tsan, or several of them, one after the other.
SRC ?= src
MODE ?=
TEST ?=
ARGS ?=
WANTED := $(or $(LAB_MODES),asan $(if $(filter yes,$(LAB_TSAN)),tsan))
# A test that passes in no mode proves nothing: plain is always there.
MODES := $(or $(MODE),$(filter $(MODES_HERE),$(WANTED)),plain)
NOTE := $(if $(MODE),,$(foreach m,$(filter-out $(MODES_HERE),$(WANTED)),$(if \
	$(filter asan,$m),AddressSanitizer is not to be had here: $(NO_ASAN_WHY). \
	Memory errors may pass unseen.,ThreadSanitizer is not to be had here: \
	$(NO_TSAN_WHY). Data races may pass unseen.)))
NOTE += $(if $(filter asan,$(MODES)),$(NO_LSAN_WHY))

ifneq (,$(CONFIG_CC))
ifneq (,$(filter-out $(MODES_HERE),$(MODE)))
$(error MODE=$(MODE) is not one of those that run here: $(MODES_HERE))
endif
endif

B := build/$(patsubst build/%,%,$(SRC))
T := build/tests
SOURCES := $(wildcard $(SRC)/*.c)
OBJECTS := $(notdir $(SOURCES:.c=.o))
TEST_SOURCES := $(wildcard tests/*.c)
TEST_OBJECTS := $(notdir $(TEST_SOURCES:.c=.o))

# Libraries, asked for once per lab; what is missing is told at the end.
PKGS := build/pkgs.mk
ifneq (,$(strip $(LAB_PKGS)))
-include $(PKGS)
endif
$(PKGS): Makefile
	@mkdir -p $(@D)
	@for p in $(LAB_PKGS); do pkg-config --exists $$p || \
		echo "PKG_MISSING += $$p"; done > $@.tmp
	@if [ ! -s $@.tmp ] && [ -n '$(strip $(LAB_PKGS))' ]; then \
		echo "PKG_CFLAGS := $$(pkg-config --cflags $(LAB_PKGS))"; \
		echo "PKG_LIBS := $$(pkg-config --libs $(LAB_PKGS))"; \
	fi >> $@.tmp
	@mv $@.tmp $@

# What the course gives to this lab, and to labs after the one that builds it.
GIVEN := $(foreach f,$(LAB_COMMON:%=$(ROOT)/common/%*.c),$(wildcard $f))
given = $(GIVEN:$(ROOT)/common/%.c=$(BUILD)/lib/$1/common/%.o)

COMPILE = $(CC) $(CFLAGS) -I. $(PKG_CFLAGS) $(LAB_CFLAGS)
LINK = $(CC) $(LDFLAGS)
LIBS = $(PKG_LIBS) $(LAB_LIBS)

# The learner's objects, with the calls renamed that tests can make fail. Only
# what the tests ask for stays visible: a learner may name functions freely.
RENAME := --redefine-syms=$(FAULTS) \
	$(foreach f,$(LAB_FORBID),--redefine-sym $f=forbidden_$f)
RENAME_MAIN := --redefine-sym main=lab_main --redefine-sym _exit=fault__exit \
	--redefine-sym _Exit=fault__Exit

USES_PROGRAM := $(filter program,$(LAB_TESTS))
USES_FUNCTIONS := $(filter functions,$(LAB_TESTS))

define mode
$B/$1/%.o: $(SRC)/%.c $(CONFIG) $(PKGS) | $B/$1/
	@$$(COMPILE) $(MODE_$1) -MMD -MP -c -o $$@ $$<
$T/$1/%.o: tests/%.c $(CONFIG) $(PKGS) | $T/$1/
	@$$(COMPILE) $(MODE_$1) -Wno-missing-field-initializers \
		-MMD -MP -c -o $$@ $$<
$B/$1/joined.o: $(OBJECTS:%=$B/$1/%)
	@ld -r -o $$@ $$^

$B/$1/inside.o: $B/$1/joined.o $(FAULTS)
	@objcopy $(RENAME) $$< $$@
$B/$1/$(LAB_NAME): $B/$1/inside.o $(BUILD)/lib/$1/inside.all.o \
		$(call given,$1)
	@$$(LINK) $(MODE_$1) -o $$@ $$^ $$(LIBS) -pthread

# What the tests ask for and the test library does not have.
$T/$1/wanted: $(TEST_OBJECTS:%=$T/$1/%) $(BUILD)/lib/$1/harness.o
	@readelf -sW $$^ | awk '/^File:/ { library = /harness/ } \
		$$$$5 == "GLOBAL" && $$$$7 == "UND" && !library { wanted[$$$$8] } \
		$$$$5 == "GLOBAL" && $$$$7 != "UND" { known[$$$$8] } \
		END { for (s in wanted) if (!(s in known)) print s }' > $$@
$B/$1/functions.o: $B/$1/joined.o $T/$1/wanted $(FAULTS)
	@objcopy $(RENAME) $(RENAME_MAIN) \
		--keep-global-symbols=$T/$1/wanted $$< $$@
$B/$1/test: $(TEST_OBJECTS:%=$T/$1/%) \
		$(if $(USES_FUNCTIONS),$B/$1/functions.o) \
		$(BUILD)/lib/$1/harness.o $(call given,$1) | $B/$1/
	@$$(LINK) $(MODE_$1) -o $$@ $$^ $$(LIBS) -lcmocka -pthread
-include $(wildcard $B/$1/*.d $T/$1/*.d)
endef
$(foreach m,plain asan tsan,$(eval $(call mode,$m)))

# Precious: make would remove them as steps on the way.
build/%/:
	@mkdir -p $@
.PRECIOUS: build/%/

# For running, strace, perf and the bench: optimised, nothing renamed.
$B/fast/%.o: $(SRC)/%.c $(CONFIG) $(PKGS) | $B/fast/
	@$(COMPILE) $(MODE_fast) -MMD -MP -c -o $@ $<
$B/fast/$(LAB_NAME): $(OBJECTS:%=$B/fast/%) $(BUILD)/lib/fast/todo.o \
		$(call given,fast)
	@$(LINK) $(MODE_fast) -o $@ $^ $(LIBS)
-include $(wildcard $B/fast/*.d)

$T/list: $(TEST_SOURCES)
	@mkdir -p $(@D)
	@sed -n 's/^TEST(\(test_[A-Za-z0-9_]*\).*/\1/p' $^ > $@.tmp
	@mv $@.tmp $@

.PHONY: all program test solution run debug watch hint compare reset undo \
	next progress bench check results stress help compile-flags judged \
	built missing compile_commands.json

# What the learner types.

program: build/$(LAB_NAME)
build/$(LAB_NAME): $B/fast/$(LAB_NAME)
	@cp $< $@

ifeq (,$(SOURCES))
built: nothing
.PHONY: nothing
nothing:
	@echo "$(SRC)/ holds no .c file" >&2; exit 2
else ifneq (,$(PKG_MISSING))
built: missing
missing:
	@for p in $(PKG_MISSING); do \
		how=$$($(ROOT)/tools/setup --how $$p 2>/dev/null); \
		echo "$(LAB) needs the library '$$p', which is not" \
			"installed$${how:+; try: $$how}"; \
	done >&2; rm -f $(PKGS); exit 4
else
built: $(JUDGE) $T/list $(foreach m,$(MODES),$B/$m/test \
	$(if $(USES_PROGRAM),$B/$m/$(LAB_NAME)))
endif

# Called from the root, paths and commands are shown as they are typed there.
PREFIX ?=
AGAIN ?=
O ?= $B
JOBS ?= $(TESTS_AT_ONCE)
JUDGED = --lab $(LAB) --folder . --list $T/list $(foreach \
	m,$(MODES),$m=$B/$m/test$(if $(USES_PROGRAM),$(comma)$B/$m/$(LAB_NAME)))
RUN_JUDGE = $(if $(HAVE_LSAN),,LAB_NO_LSAN=1) $(JUDGE) --only '$(TEST)' \
	--results $O/results --jobs $(JOBS) $(JUDGED)
comma := ,

test: built $(COURSE)
	@$(RUN_JUDGE) --prefix '$(PREFIX)' --again '$(AGAIN)' \
		--note '$(strip $(NOTE))'$(if $(filter src,$(SRC)),$(if $(TEST),,; \
	status=$$?; $(COURSE) tested . $$status; exit $$status))

solution:
	@$(MAKE) test SRC=solution

run: program
	@./build/$(LAB_NAME) $(ARGS)

GDB ?= gdb -q
debug: MODES := plain
debug: $T/list $B/plain/test $(if $(USES_PROGRAM),$B/plain/$(LAB_NAME))
	@name=$$(grep -m 1 -- '$(or $(TEST),test_)' $T/list) || \
		{ echo "no test is called '$(TEST)'" >&2; exit 2; }; \
	rm -rf build/debug; mkdir -p build/debug; cd build/debug; \
	$(GDB) -d ../.. -ex 'set breakpoint pending on' \
		$(if $(USES_FUNCTIONS),-ex "break $$name", \
		-ex 'set follow-fork-mode child' -ex 'break $(SRC)/main.c:main') \
		-ex run --args ../../$B/plain/test --run $$name --lab ../.. \
		$(if $(USES_PROGRAM),--program ../../$B/plain/$(LAB_NAME))

watch hint compare reset undo: $(COURSE)
	@$(COURSE) $@ . $(if $(filter hint,$@),$(TEST)) $(if \
		$(filter compare,$@),$(if $(SURE),--sure))

next progress: $(COURSE)
	@$(COURSE) $@
compile_commands.json: $(COURSE)
	@$(COURSE) commands

bench: $B/fast/$(LAB_NAME)
	@[ -x bench/run ] || { echo "$(LAB) has no bench" >&2; exit 2; }
	@mkdir -p build/bench
	@cp $< build/bench/$(LAB_NAME)
	@CC='$(CC)' bench/run

define HELP
make                 build the program: build/$(LAB_NAME)
make test            test your code (src/)
make test TEST=test_02
make run ARGS="…"    run the program
make debug TEST=test_02   the same test in gdb
make watch           test again at each save
make hint            the next hint for the first failing test
make compare         your code against the solution
make reset           start over; the old src/ is kept
make undo            bring the old src/ back
make solution        the tests, on the reference
make next            the next lab; make progress: all of them
make bench           speed beside a production program
make check           prove this lab: skeleton, solution, mistakes, documents
make stress          the solution's tests a hundred times, on a busy machine
MODE=plain           without sanitizers (also: asan, tsan)
SRC=solution         another folder's code
endef
export HELP
help:
	@echo "$$HELP"

compile-flags:
	@echo "$(COMPILE) -O0"

# What proves the lab.

R := build/check
ALL_MODES := $(sort plain $(filter-out plain,$(or $(LAB_MODES),asan \
	$(if $(filter yes,$(LAB_TSAN)),tsan))))
MISTAKES := $(sort $(wildcard tests/mistakes/*.txt))
MISTAKE_RESULTS := $(MISTAKES:tests/mistakes/%.txt=$R/mistake-%.result)
RESULTS := $R/static.result $R/skeleton.result \
	$(ALL_MODES:%=$R/solution-%.result) $(MISTAKE_RESULTS) \
	$R/docs.result $R/lint.result
# Without its library nothing of the lab can be built.
ifneq (,$(PKG_MISSING))
RESULTS := $R/static.result $R/missing.result
endif
$R/missing.result: FORCE
	@mkdir -p $R
	@echo "skip $(LAB): the library '$(PKG_MISSING)' is not installed" > $@
	@rm -f $(PKGS)
TESTING := $(JUDGE) $(COURSE) $(TEST_SOURCES) $(wildcard *.h tests/*.h) \
	Makefile $(ROOT)/common/lab.mk $(FAULTS) $(BUILD)/lib/plain/harness.o

# One quiet run: verdicts in $O/results, the story in $O/log.
judged: built
	@mkdir -p $O
	@$(RUN_JUDGE) > $O/log 2>&1 || :
# judge O,WORDS: such a run by a make of its own, from nothing.
judge = rm -rf $1/results $1/log; mkdir -p $1; \
	$(MAKE) JOBS=1 O=$1 $2 > $1/make.log 2>&1 || \
	cat $1/make.log >> $1/log
# A result that failed is followed by the story.
story = || sed 's/^/    /' $1/log >> $@

# For graders: everything but the learner's code, and what the judge is told.
.PHONY: kit
kit: $(JUDGE) $(if $(PKG_MISSING),missing,prebuilt)
	@printf '%s\n' $(JUDGED) > $T/judge

# Runs side by side share what they would build at the same time.
.PHONY: prebuilt
prebuilt: $T/list $(if $(PKG_MISSING),,$(foreach m,$(filter $(MODES_HERE), \
	$(ALL_MODES)),$T/$m/wanted $(call given,$m)) $(call given,fast))
$(RESULTS): | prebuilt

$R/static.result: $(COURSE) README.md hints.md $(MISTAKES) $(TEST_SOURCES) \
		$(wildcard problem/*.c $(if $(CI),src/*.c))
	@mkdir -p $R
	@$(COURSE) static . > $@ || :

$R/skeleton.result: $(wildcard problem/*.c) $(TESTING)
	@mkdir -p $R
	+@$(call judge,$R/skeleton,SRC=problem MODE=plain WERROR=-Werror judged \
		build/problem/fast/$(LAB_NAME))
	@$(COURSE) verdicts skeleton $(LAB) $R/skeleton/results > $@ 2>&1 \
		$(call story,$R/skeleton)

define solution_result
$R/solution-$1.result: $(wildcard solution/*.c) $(TESTING)
	@mkdir -p $R
	$(if $(filter $1,$(MODES_HERE)), \
	+@$$(call judge,$R/solution-$1,SRC=solution MODE=$1 WERROR=-Werror judged)
	@$$(COURSE) verdicts solution $(LAB) $R/solution-$1/results $1 \
		> $$@ 2>&1 $$(call story,$R/solution-$1), \
	@echo "skip $(LAB) solution $1: it does not run on this machine" > $$@)
endef
$(foreach m,$(ALL_MODES),$(eval $(call solution_result,$m)))

FIRST_MODE := $(firstword $(filter $(MODES_HERE),$(WANTED)) plain)
$R/mistake-%.result: tests/mistakes/%.txt $(wildcard solution/*.c) $(TESTING)
	@mkdir -p $R
	+@d=build/mistakes/$*; rm -rf $$d; mkdir -p $$d; \
	if ! said=$$($(COURSE) mistake . $< $$d 2>&1); then \
		echo "fail $(LAB) mistake $*: $$said" > $@; exit 0; \
	fi; \
	test=$${said% *}; mode=$${said##* }; \
	[ $$mode = default ] && mode=$(FIRST_MODE); \
	case " $(MODES_HERE) " in *" $$mode "*) ;; \
	*) echo "skip $(LAB) mistake $*: no $$mode here" > $@; exit 0;; esac; \
	$(call judge,$$d/run,SRC=$$d MODE=$$mode TEST=$$test judged); \
	$(COURSE) verdicts mistake $(LAB) $$d/run/results $$test $< \
		> $@ 2>&1 $(call story,$$d/run)

$R/docs.result: README.md $(wildcard solution/*.c *.h *.txt problem/*.c) \
		$(TESTING)
	@mkdir -p $R
	@$(COURSE) docs README.md > $@ 2>&1 || :

$R/lint.result: $(wildcard solution/*.[ch] problem/*.[ch] tests/*.[ch] *.h \
		bench/*) $(ROOT)/tools/lint $(ROOT)/.clang-format \
		$(ROOT)/.clang-tidy
	@mkdir -p $R
	@$(ROOT)/tools/lint $(LAB) $(filter-out $(ROOT)/%,$^) -- \
		$(COMPILE) > $@ 2>&1 || :

results: $(RESULTS)
	@:
check: results
	@$(COURSE) summary --forget $(sort $(RESULTS))

TIMES ?= 100
stress:
	@$(MAKE) built SRC=solution
	@$(ROOT)/tools/stress $(LAB) $(TIMES) $(MAKE) test SRC=solution
