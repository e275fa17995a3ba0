# What all labs share: the probe of this machine, the judge, the course command,
# the test library. Included by lab.mk and by the root Makefile; ROOT is set.

ifneq (,$(filter default undefined,$(origin CC)))
CC := gcc
endif

BUILD := $(ROOT)/.build
JUDGE := $(BUILD)/tools/judge
COURSE := $(BUILD)/tools/course
GRADE := $(BUILD)/tools/grade

# Written by tools/probe: HAVE_ASAN, HAVE_TSAN, HAVE_LSAN, NO_ASAN_WHY, …,
# LINKER, CPUS, …. Made again when the compiler is another one.
CONFIG := $(BUILD)/config.mk
-include $(CONFIG)
$(CONFIG): $(ROOT)/tools/probe $(if $(filter-out $(CONFIG_CC),$(CC)),FORCE)
	@$(ROOT)/tools/probe '$(CC)' $@

WARNINGS := -Wall -Wextra -Wno-unused-parameter $(FEW_ERRORS) $(WERROR)
# DWARF 4: not every addr2line reads what clang writes as DWARF 5.
CFLAGS := -std=c17 -D_GNU_SOURCE $(WARNINGS) -gdwarf-4 -fPIE \
	-U_FORTIFY_SOURCE -pipe -I$(ROOT)/common
LDFLAGS := -pie $(LINKER)

# How each mode compiles and links. `fast` is for running, strace and perf.
MODE_plain := -O0
MODE_asan := -O0 -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=undefined \
	$(STATIC_UBSAN)
MODE_tsan := -O0 -fsanitize=thread
MODE_fast := -O2

# The test library, one object per mode. It is linked as an object: from an
# archive a learner's function of the same name would silently win.
HARNESS := main assert files program process client http fault page
INSIDE := inside fault page
define library
$(BUILD)/lib/$1/%.o: $(ROOT)/common/test/%.c $(CONFIG)
	@mkdir -p $$(@D)
	@$$(CC) $$(CFLAGS) $(MODE_$1) -MMD -MP -c -o $$@ $$<
$(BUILD)/lib/$1/todo.o: $(ROOT)/common/todo.c $(CONFIG)
	@mkdir -p $$(@D)
	@$$(CC) $$(CFLAGS) $(MODE_$1) -MMD -MP -c -o $$@ $$<
$(BUILD)/lib/$1/harness.o: $(HARNESS:%=$(BUILD)/lib/$1/%.o)
	@ld -r -o $$@ $$^
$(BUILD)/lib/$1/inside.all.o: $(INSIDE:%=$(BUILD)/lib/$1/%.o) \
		$(BUILD)/lib/$1/todo.o
	@ld -r -o $$@ $$^
# What the course gives to labs (LAB_COMMON := http): common/http*.c.
$(BUILD)/lib/$1/common/%.o: $(ROOT)/common/%.c $(CONFIG)
	@mkdir -p $$(@D)
	@$$(CC) $$(CFLAGS) $(MODE_$1) -MMD -MP -c -o $$@ $$<
-include $(wildcard $(BUILD)/lib/$1/*.d $(BUILD)/lib/$1/common/*.d)
endef
$(foreach m,plain asan tsan fast,$(eval $(call library,$m)))

# "read fault_read": what objcopy renames in the learner's objects.
FAULTS := $(BUILD)/faults.syms
$(FAULTS): $(ROOT)/common/test/faults.def
	@mkdir -p $(@D)
	@sed -n -e 's/^THREAD(\([a-z0-9_]*\),.*/\1 fault_\1/p' \
		-e 's/^[CS][A-Z]*([^,]*, \([a-z0-9_]*\),.*/\1 fault_\1/p' \
		$< > $@.tmp
	@for f in open openat kill; do echo $$f fault_$$f; done >> $@.tmp
	@mv $@.tmp $@

TOOL_FLAGS := -O2 -std=c17 -D_GNU_SOURCE $(WARNINGS) -g -I$(ROOT)/common
$(JUDGE): $(wildcard $(ROOT)/tools/judge/*.[ch]) \
		$(ROOT)/common/test/page.h $(CONFIG)
	@mkdir -p $(@D)
	@$(CC) $(TOOL_FLAGS) -o $@.$$$$ $(filter %.c,$^) && mv $@.$$$$ $@
$(COURSE): $(wildcard $(ROOT)/tools/course/*.[ch]) $(CONFIG)
	@mkdir -p $(@D)
	@$(CC) $(TOOL_FLAGS) $$(pkg-config --cflags jansson) -o $@.$$$$ \
		$(filter %.c,$^) $$(pkg-config --libs jansson) && mv $@.$$$$ $@
$(GRADE): $(wildcard $(ROOT)/tools/grade/*.[ch]) $(wildcard \
		$(ROOT)/tools/course/[cfpt]*.h) $(foreach f,course file process text,$(wildcard \
		$(ROOT)/tools/course/$f.c)) $(CONFIG)
	@mkdir -p $(@D)
	@$(CC) $(TOOL_FLAGS) $$(pkg-config --cflags jansson libcrypto) -o $@.$$$$ \
		$(filter %.c,$^) $$(pkg-config --libs jansson libcrypto) && mv $@.$$$$ $@

# Everything that labs need of each other's: build it once, before them.
MODES_HERE := plain $(if $(HAVE_ASAN),asan) $(if $(HAVE_TSAN),tsan)
.PHONY: shared FORCE
shared: $(JUDGE) $(COURSE) $(FAULTS) $(BUILD)/lib/fast/todo.o \
	$(foreach m,$(MODES_HERE),$(BUILD)/lib/$m/harness.o \
		$(BUILD)/lib/$m/inside.all.o)
