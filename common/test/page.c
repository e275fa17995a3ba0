#include "test/page.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

/* The linker marks both ends of the executable's code. */
extern const char __executable_start;
extern const char etext;

static struct page *watched;
static bool watched_is_program;
static char alternate_stack[64 * 1024];
static uintptr_t stack_low, stack_high; /* of the main thread, with its guard */

struct page *page_map(const char *path)
{
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd == -1)
        return NULL;
    void *map = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE,
                     MAP_SHARED, fd, 0);
    close(fd);
    return map == MAP_FAILED ? NULL : map;
}

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context,
                                      void *argument)
{
    struct page_stack *stack = argument;
    int before_instruction = 0;
    uintptr_t pc = _Unwind_GetIPInfo(context, &before_instruction);
    /* A return address is behind the call; the call is what we look for. */
    if (!before_instruction)
        pc--;
    uintptr_t start = (uintptr_t)&__executable_start;
    if (pc < start || pc >= (uintptr_t)&etext)
        return _URC_NO_REASON;
    if (stack->count == STACK_DEPTH)
        return _URC_END_OF_STACK;
    stack->pc[stack->count] = pc - start;
    stack->count++;
    return _URC_NO_REASON;
}

void page_note_stack(struct page *page, bool in_program)
{
    int slot = atomic_fetch_add(&page->stacks_used, 1);
    if (slot >= PAGE_STACKS)
        return;
    page->stacks[slot].in_program = in_program;
    page->stacks[slot].thread = (int)syscall(SYS_gettid);
    _Unwind_Backtrace(note_frame, &page->stacks[slot]);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (number != SIGQUIT) {
        uintptr_t address = (uintptr_t)info->si_addr;
        watched->stack_overflow =
            number == SIGSEGV && address >= stack_low && address < stack_high;
        watched->crashed_by = number;
    }
    page_note_stack(watched, watched_is_program);
    /* The judge asks and then kills; until then nothing more may happen. */
    if (number == SIGQUIT) {
        for (;;)
            pause();
    }
    /* The handler is gone (SA_RESETHAND): a fault happens again on return and
     * is fatal then. A signal that was sent has to be sent again. */
    if (info->si_code <= 0)
        raise(number);
}

static void find_stack(void)
{
    enum { GUARD = 1024 * 1024 };
    pthread_attr_t attributes;
    void *low;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    if (pthread_attr_getstack(&attributes, &low, &size) == 0) {
        stack_low = (uintptr_t)low - GUARD;
        stack_high = (uintptr_t)low + GUARD;
    }
    pthread_attr_destroy(&attributes);
}

void page_watch_signals(struct page *page, bool in_program)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags =
                                   SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    watched = page;
    watched_is_program = in_program;
    sigaction(SIGQUIT, &action, NULL);
    if (SANITIZE_ADDRESS || SANITIZE_THREAD)
        return;
    find_stack();
    stack_t stack = {.ss_sp = alternate_stack,
                     .ss_size = sizeof(alternate_stack)};
    sigaltstack(&stack, NULL);
    action.sa_flags |= (int)SA_RESETHAND;
    for (size_t i = 0; i < sizeof(fatal) / sizeof(*fatal); i++)
        sigaction(fatal[i], &action, NULL);
}
