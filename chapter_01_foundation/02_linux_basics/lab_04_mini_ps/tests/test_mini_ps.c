#include "mini_ps.h"
#include "test/fault.h"
#include "test/program.h"
#include "test/test.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADER "    PID    PPID S     RSS COMMAND\n"

/* A process of a proc root that a test builds. */
struct fake {
    pid_t pid, ppid;
    char state;
    const char *name;
    long long rss_kb; /* a multiple of 64, the largest page size; -1: none */
    const char *cmdline;
    size_t cmdline_len;
};

static char *fake_path(const char *root, pid_t pid, const char *file)
{
    return text("%s/%d/%s", root, (int)pid, file);
}

static void make_directory(const char *path)
{
    if (mkdir(path, 0755) == -1 && errno != EEXIST)
        fail_msg("mkdir %s: %s", path, strerror(errno));
}

/* All 52 fields of stat (proc(5)); those from the 25th on are a sleeper's. */
static char *stat_text(struct fake p)
{
    long long resident = p.rss_kb < 0 ? 0 : p.rss_kb;
    long long virtual = p.rss_kb < 0 ? 0 : p.rss_kb + 8192;
    return text("%d (%s) %c %d 1 1 0 -1 4194560 101 0 0 0 7 3 0 0 20 0 1 0 "
                "5000 %lld %lld 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 "
                "0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
                (int)p.pid, p.name, p.state, (int)p.ppid, virtual * 1024,
                resident * 1024 / sysconf(_SC_PAGESIZE));
}

/* The kernel writes the name in status with its newlines and backslashes
 * escaped. */
static char *escaped(const char *name)
{
    char *out = text("%*s", (int)strlen(name) * 2 + 1, "");
    char *end = out;
    for (; *name != '\0'; name++) {
        if (*name == '\n' || *name == '\\')
            *end++ = '\\';
        *end++ = (char)(*name == '\n' ? 'n' : *name);
    }
    *end = '\0';
    return out;
}

/* The files of one process, consistent as the kernel's are. */
static void make_fake(const char *root, struct fake p)
{
    make_directory(root);
    make_directory(text("%s/%d", root, (int)p.pid));
    write_text(fake_path(root, p.pid, "stat"), "%s", stat_text(p));
    write_text(fake_path(root, p.pid, "comm"), "%s\n", p.name);
    write_bytes(fake_path(root, p.pid, "cmdline"), p.cmdline, p.cmdline_len);

    long page_kb = sysconf(_SC_PAGESIZE) / 1024;
    if (p.rss_kb < 0)
        write_text(fake_path(root, p.pid, "statm"), "0 0 0 0 0 0 0\n");
    else
        write_text(fake_path(root, p.pid, "statm"), "%lld %lld 0 1 0 50 0\n",
                   (p.rss_kb + 8192) / page_kb, p.rss_kb / page_kb);

    char *memory = "";
    if (p.rss_kb >= 0)
        memory = text("VmPeak:\t%8lld kB\nVmSize:\t%8lld kB\n"
                      "VmHWM:\t%8lld kB\nVmRSS:\t%8lld kB\n"
                      "RssAnon:\t%8lld kB\nRssFile:\t       0 kB\n",
                      p.rss_kb + 8192, p.rss_kb + 8192, p.rss_kb + 64, p.rss_kb,
                      p.rss_kb);
    write_text(fake_path(root, p.pid, "status"),
               "Name:\t%s\nUmask:\t0022\nState:\t%c (state)\nTgid:\t%d\n"
               "Ngid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n"
               "Uid:\t0\t0\t0\t0\n%sThreads:\t1\n",
               escaped(p.name), p.state, (int)p.pid, (int)p.pid, (int)p.ppid,
               memory);
}

#define assert_state(actual, expected) \
    assert_string_equal(text("%c", actual), text("%c", expected))

/* cmdline is a literal that holds its NULs. */
#define make_process(root, pid, ppid, state, name, rss_kb, cmdline)        \
    make_fake(root, (struct fake){pid, ppid, state, name, rss_kb, cmdline, \
                                  sizeof(cmdline) - 1})

static const struct fake shell = {1234, 1, 'S', "bash", 4608, "-bash", 6};

static void expect_shell(const struct mini_ps_process *process)
{
    assert_int_equal(process->pid, 1234);
    assert_int_equal(process->ppid, 1);
    assert_state(process->state, 'S');
    assert_string_equal(process->name, "bash");
    assert_int_equal(process->rss_kb, 4608);
    assert_string_equal(process->command, "-bash");
}

/* Parses bytes that nothing stands behind: ASan sees one read too many. */
static int parse(struct mini_ps_process *process, const char *bytes, size_t len)
{
    char *exact = malloc(len == 0 ? 1 : len);
    memcpy(exact, bytes, len);
    int result = mini_ps_parse_stat(process, exact + (len == 0), len);
    int error = errno;
    free(exact);
    errno = error;
    return result;
}

static int parse_text(struct mini_ps_process *process, const char *stat)
{
    return parse(process, stat, strlen(stat));
}

TEST(test_01_stat_gives_pid_name_state_and_parent)
{
    struct mini_ps_process process;
    assert_success(parse_text(&process, stat_text(shell)));
    assert_int_equal(process.pid, 1234);
    assert_string_equal(process.name, "bash");
    assert_state(process.state, 'S');
    assert_int_equal(process.ppid, 1);

    assert_success(parse_text(&process, "1 (init) R 0 1 1 0 -1 4194560\n"));
    assert_int_equal(process.pid, 1);
    assert_int_equal(process.ppid, 0);
    assert_state(process.state, 'R');

    assert_success(parse_text(&process, "2147483647 (x) t 2147483647 0 0\n"));
    assert_int_equal(process.pid, 2147483647);
    assert_int_equal(process.ppid, 2147483647);
    assert_state(process.state, 't');
}

TEST(test_02_the_name_ends_at_the_last_parenthesis)
{
    static const char *const names[] = {
        "tmux: server",
        "(sd-pam)",
        ") R 7 (",
        "a) Z 0 0",
        "))((",
        " ",
        "",
        "a\nb",
        "\n",
        "\xff\x01\x7f",
        "kworker/u16:3+events_unbound_and_a_name_of_sixty-three_bytes_xy",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct fake p = shell;
        p.name = names[i];
        struct mini_ps_process process;
        assert_success(parse_text(&process, stat_text(p)));
        assert_string_equal(process.name, names[i]);
        assert_int_equal(process.pid, 1234);
        assert_state(process.state, 'S');
        assert_int_equal(process.ppid, 1);
    }
}

TEST(test_03_malformed_stat_is_a_bad_message)
{
    static const char *const malformed[] = {
        "",
        "\n",
        "1234",
        "1234 (bash",
        "1234 bash) S 1 1 1",
        "1234 bash S 1 1 1",
        "1234 )bash( S 1 1 1",
        "(bash) S 1 1 1",
        "x (bash) S 1 1 1",
        "1234x (bash) S 1 1 1",
        "0 (bash) S 1 1 1",
        "-5 (bash) S 1 1 1",
        "99999999999999999999 (bash) S 1 1 1",
        "4294967297 (bash) S 1 1 1",
        "1234 (bash)",
        "1234 (bash) ",
        "1234 (bash) S",
        "1234 (bash) S ",
        "1234 (bash) 7 1 1 1",
        "1234 (bash) SS 1 1 1",
        "1234 (bash) S x 1 1",
        "1234 (bash) S -1 1 1",
        "1234 (bash) S 2147483648 1 1",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        const char *stat = malformed[i];
        struct mini_ps_process process;
        errno = 0;
        int result = parse_text(&process, stat);
        if (result != -1 || errno != EBADMSG)
            fail_msg("mini_ps_parse_stat of \"%s\"\n"
                     "  expected: -1, EBADMSG\n"
                     "  actual:   %d, %s",
                     stat, result, strerror(errno));
    }

    struct mini_ps_process process;
    assert_fails(parse(&process, "\0\0\xff\0(\0\0", 7), EBADMSG);
    const char *long_name = text("1234 (%0*d) S 1 1 1", MINI_PS_NAME_SIZE, 0);
    assert_fails(parse_text(&process, long_name), EBADMSG);
    /* Cut at every byte before the parent's number. */
    const char *stat = stat_text(shell);
    for (size_t len = 0; len < strlen("1234 (bash) S "); len++)
        assert_fails(parse(&process, stat, len), EBADMSG);
}

static const char *memory_text(long long kb)
{
    char memory[MINI_PS_MEMORY_SIZE];
    memset(memory, 'x', sizeof memory);
    mini_ps_format_memory(memory, kb);
    if (memchr(memory, '\0', sizeof memory) == NULL)
        fail_msg("mini_ps_format_memory(text, %lld) wrote no NUL", kb);
    return text("%s", memory);
}

TEST(test_04_memory_is_shown_in_k_m_g_and_t)
{
    const long long M = 1024, G = 1024 * M, T = 1024 * G;
    assert_string_equal(memory_text(-1), "?");
    assert_string_equal(memory_text(0), "0K");
    assert_string_equal(memory_text(64), "64K");
    assert_string_equal(memory_text(1023), "1023K");
    assert_string_equal(memory_text(1 * M), "1.0M");
    assert_string_equal(memory_text(4608), "4.5M");
    assert_string_equal(memory_text(4608 + 50), "4.5M");
    assert_string_equal(memory_text(4608 + 60), "4.6M");
    assert_string_equal(memory_text(100 * M), "100.0M");
    assert_string_equal(memory_text(1023 * M + 970), "1023.9M");
    assert_string_equal(memory_text(1 * G), "1.0G");
    assert_string_equal(memory_text(16 * G - 300 * M), "15.7G");
    assert_string_equal(memory_text(3 * T), "3.0T");
    assert_string_equal(memory_text(1024 * T), "1024.0T");
    assert_string_equal(memory_text(2048 * T), "2048.0T");
    assert_string_equal(memory_text(LLONG_MAX), "8589934592.0T");
}

TEST(test_05_memory_never_shows_1024)
{
    const long long M = 1024, G = 1024 * M, T = 1024 * G;
    assert_string_equal(memory_text(1 * G - 1), "1.0G");
    assert_string_equal(memory_text(1 * G - 50), "1.0G");
    assert_string_equal(memory_text(1 * G - 60), "1023.9M");
    assert_string_equal(memory_text(1 * T - 1), "1.0T");
    assert_string_equal(memory_text(1 * T - 50 * M), "1.0T");
    assert_string_equal(memory_text(1 * T - 60 * M), "1023.9G");
}

/* What mini_ps_command() makes of these bytes. */
static const char *command_of(const char *cmdline, size_t len, const char *name)
{
    char *exact = malloc(len == 0 ? 1 : len);
    memcpy(exact, cmdline, len);
    char *command = mini_ps_command(exact + (len == 0), len, name);
    free(exact);
    assert_non_null(command);
    const char *copy = text("%s", command);
    free(command);
    return copy;
}

#define assert_command(cmdline, name, expected)                         \
    assert_string_equal(command_of(cmdline, sizeof(cmdline) - 1, name), \
                        expected)

TEST(test_06_arguments_are_joined_by_blanks)
{
    assert_command("cat\0", "cat", "cat");
    assert_command("cat\0-n\0a file\0", "cat", "cat -n a file");
    assert_command("sh\0-c\0\0x\0", "sh", "sh -c  x");
    assert_command("\0x\0", "x", " x");
    /* Programs may write over their arguments (setproctitle). */
    assert_command("nginx: worker process", "nginx", "nginx: worker process");
    assert_command("sshd: root\0\0\0\0\0", "sshd", "sshd: root");
}

TEST(test_07_an_empty_command_line_is_the_name_in_brackets)
{
    assert_command("", "kthreadd", "[kthreadd]");
    assert_command("\0", "x", "[x]");
    assert_command("\0\0\0", "a (b) c", "[a (b) c]");
    assert_command("", "", "[]");
}

TEST(test_08_control_bytes_are_question_marks)
{
    assert_command("printf\0a\nb\0\033[2J\0\t\0", "x", "printf a?b ?[2J ?");
    assert_command("a\x01\x1f\x20\x7e\x7f\0", "x", "a?? ~?");
    assert_command("", "a\nb\r\x7f", "[a?b??]");
    assert_command("caf\xc3\xa9\0\x80\xff\0", "x", "caf\xc3\xa9 \x80\xff");
}

TEST(test_09_pids_are_whole_numbers_in_ascending_order)
{
    static const char *const entries[] = {
        "100",     "9",    "10",          "2147483647", "1",
        "4194304", "self", "thread-self", "sys",        "0",
        "007",     "12a",  "a12",         "-5",         "+5",
        " 6",      "7 ",   "2147483648",  "4294967297", "99999999999999999999",
        "0x8",     "1.5",  ".hidden",     "8\n",
    };
    make_directory("root");
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        make_directory(text("root/%s", entries[i]));

    pid_t *pids;
    size_t count;
    assert_success(mini_ps_pids("root", &pids, &count));
    static const pid_t expected[] = {1, 9, 10, 100, 4194304, 2147483647};
    assert_int_equal(count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pids[i], expected[i]);
    free(pids);

    make_directory("empty");
    assert_success(mini_ps_pids("empty", &pids, &count));
    assert_int_equal(count, 0);
    free(pids);

    assert_fails(mini_ps_pids("nowhere", &pids, &count), ENOENT);
    write_text("file", "text");
    assert_fails(mini_ps_pids("file", &pids, &count), ENOTDIR);
}

/* Allows this many descriptors, or as many as the machine lets us have; says
 * how many those are. */
static int allow_descriptors(rlim_t wanted)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return (int)limit.rlim_cur;
}

/* /proc/self/fd is a directory of numbers too, and a descriptor is made sooner
 * than a file. */
TEST(test_10_forty_thousand_pids)
{
    enum { FIRST = 100, LAST = 40000 };
    int count_wanted = allow_descriptors(LAST + 1) - FIRST;
    for (int i = 0; i < count_wanted; i++) {
        int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, FIRST);
        if (fd != FIRST + i)
            fail_msg("descriptor %d: %s", FIRST + i, strerror(errno));
    }

    pid_t *pids;
    size_t count;
    assert_success(mini_ps_pids("/proc/self/fd", &pids, &count));
    close_range(FIRST, ~0u, 0);
    assert_at_least(count, count_wanted);
    pid_t *last = pids + count - count_wanted;
    for (int i = 0; i < count_wanted; i++)
        if (last[i] != FIRST + i)
            assert_int_equal(last[i], FIRST + i);
    free(pids);
}

/* Another path for root, of this many bytes. */
static char *long_root(size_t len)
{
    char *path = text("%*sroot", (int)len - 4, "");
    for (size_t i = 0; i < len - 4; i++)
        path[i] = i % 2 == 0 ? '.' : '/';
    return path;
}

TEST(test_11_a_process_is_read_from_its_files)
{
    make_fake("root", shell);
    struct mini_ps_process process;
    assert_success(mini_ps_read(&process, "root", 1234));
    expect_shell(&process);
    mini_ps_release(&process);

    make_process("root", 4194304, 1234, 'R', "VmRSS: 7 kB) S 9", 1 << 20,
                 "/bin/x\0--all\0\0");
    assert_success(mini_ps_read(&process, "root", 4194304));
    assert_int_equal(process.pid, 4194304);
    assert_int_equal(process.ppid, 1234);
    assert_state(process.state, 'R');
    assert_string_equal(process.name, "VmRSS: 7 kB) S 9");
    assert_int_equal(process.rss_kb, 1 << 20);
    assert_string_equal(process.command, "/bin/x --all");
    mini_ps_release(&process);

    assert_success(mini_ps_read(&process, long_root(3000), 1234));
    expect_shell(&process);
    mini_ps_release(&process);
    assert_fails(mini_ps_read(&process, long_root(PATH_MAX), 1234),
                 ENAMETOOLONG);
}

TEST(test_12_kernel_threads_and_zombies_have_no_memory)
{
    make_process("root", 2, 0, 'S', "kthreadd", -1, "");
    make_process("root", 77, 1, 'Z', "make", -1, "");
    /* Swapped out whole: memory of its own, none of it resident. */
    make_process("root", 78, 1, 'S', "idle", 0, "idle\0");
    struct mini_ps_process process;
    assert_success(mini_ps_read(&process, "root", 2));
    assert_int_equal(process.rss_kb, -1);
    assert_string_equal(process.command, "[kthreadd]");
    mini_ps_release(&process);

    assert_success(mini_ps_read(&process, "root", 77));
    assert_state(process.state, 'Z');
    assert_int_equal(process.rss_kb, -1);
    assert_string_equal(process.command, "[make]");
    mini_ps_release(&process);

    assert_success(mini_ps_read(&process, "root", 78));
    assert_int_equal(process.rss_kb, 0);
    assert_string_equal(process.command, "idle");
    mini_ps_release(&process);
}

/* A process that ends while it is read: from some moment on, files are gone. */
TEST(test_13_a_process_that_vanished_is_esrch)
{
    make_fake("root", shell);
    struct mini_ps_process process;
    assert_success(mini_ps_read(&process, "root", 1234));
    mini_ps_release(&process);

    unlink("root/1234/cmdline");
    assert_fails(mini_ps_read(&process, "root", 1234), ESRCH);

    write_bytes("root/1234/cmdline", "-bash", 6);
    unlink("root/1234/stat");
    assert_fails(mini_ps_read(&process, "root", 1234), ESRCH);

    unlink("root/1234/statm");
    unlink("root/1234/status");
    unlink("root/1234/comm");
    assert_fails(mini_ps_read(&process, "root", 1234), ESRCH);

    unlink("root/1234/cmdline");
    assert_fails(mini_ps_read(&process, "root", 1234), ESRCH);

    rmdir("root/1234");
    assert_fails(mini_ps_read(&process, "root", 1234), ESRCH);
}

TEST(test_14_what_is_no_process_is_an_error)
{
    make_fake("root", shell);
    struct mini_ps_process process;

    write_text("root/1234/stat", "1234 (bash");
    assert_fails(mini_ps_read(&process, "root", 1234), EBADMSG);
    write_bytes("root/1234/stat", "", 0);
    assert_fails(mini_ps_read(&process, "root", 1234), EBADMSG);

    make_fake("root", shell);
    write_text("root/1234/statm", "no number\n");
    write_text("root/1234/status", "Name:\tbash\nVmRSS:\tno number\n");
    assert_fails(mini_ps_read(&process, "root", 1234), EBADMSG);

    unlink("root/1234/stat");
    make_directory("root/1234/stat");
    assert_fails(mini_ps_read(&process, "root", 1234), EISDIR);

    write_text("root/5", "a file\n");
    assert_fails(mini_ps_read(&process, "root", 5), ENOTDIR);
}

/* A child that does not outlive the test; 0 in the child. */
static pid_t fork_child(void)
{
    pid_t child = fork();
    if (child == -1)
        fail_msg("fork: %s", strerror(errno));
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

/* A child that names itself, then stops, or ends and is not waited for. */
static pid_t start_child(const char *name, bool stops)
{
    pid_t child = fork_child();
    if (child == 0) {
        prctl(PR_SET_NAME, name);
        if (stops)
            raise(SIGSTOP);
        _exit(0);
    }
    siginfo_t info;
    waitid(P_PID, child, &info, WNOWAIT | (stops ? WSTOPPED : WEXITED));
    return child;
}

static void end_child(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

TEST(test_15_the_kernel_tells_the_same)
{
    pid_t stopped = start_child("a) R 1 (\nb", true);
    pid_t zombie = start_child("z\033[7m", false);
    struct mini_ps_process process;

    assert_success(mini_ps_read(&process, "/proc", stopped));
    assert_int_equal(process.pid, stopped);
    assert_int_equal(process.ppid, getpid());
    assert_state(process.state, 'T');
    assert_string_equal(process.name, "a) R 1 (\nb");
    assert_at_least(process.rss_kb, 1);
    mini_ps_release(&process);

    assert_success(mini_ps_read(&process, "/proc", zombie));
    assert_int_equal(process.ppid, getpid());
    assert_state(process.state, 'Z');
    assert_int_equal(process.rss_kb, -1);
    assert_string_equal(process.name, "z\033[7m");
    assert_string_equal(process.command, "[z?[7m]");
    mini_ps_release(&process);

    end_child(stopped);
    end_child(zombie);
    assert_fails(mini_ps_read(&process, "/proc", zombie), ESRCH);
}

TEST(test_16_command_lines_of_any_length)
{
    make_fake("root", shell);
    size_t lengths[] = {1023, 1024, 1025, 4095, 4096, 4097, 300000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t len = lengths[i];
        char *cmdline = malloc(len + 1);
        memset(cmdline, 'x', len);
        cmdline[len / 2] = '\0';
        cmdline[len] = '\0';
        write_bytes("root/1234/cmdline", cmdline, len + 1);
        cmdline[len / 2] = ' ';

        struct mini_ps_process process;
        assert_success(mini_ps_read(&process, "root", 1234));
        assert_bytes_equal(process.command, strlen(process.command), cmdline,
                           len);
        mini_ps_release(&process);
        free(cmdline);
    }
}

TEST(test_17_reads_may_be_short_or_interrupted)
{
    make_fake("root", shell);
    static const char *const faults[] = {
        "read:short=1",
        "read:short=7",
        "read:error=EINTR:when=1",
        "read:error=EINTR:when=2",
        "read:error=EINTR:when=3",
        "read:error=EINTR:when=4",
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct mini_ps_process process;
        fault(faults[i]);
        assert_success(mini_ps_read(&process, "root", 1234));
        fault_clear();
        expect_shell(&process);
        mini_ps_release(&process);
    }
}

/* Fails the n-th call of this function, for n = 1, 2, … until there is no
 * n-th. A call may be one that the code can do without. */
static void read_with_fault(const char *function, const char *name, int error)
{
    const char *long_command = text("%0*d", 5000, 0);
    make_fake("root", shell);
    write_bytes("root/1234/cmdline", long_command, 5000);
    for (int n = 1;; n++) {
        struct mini_ps_process process;
        int before = count_descriptors();
        fault(text("%s:error=%s:when=%d", function, name, n));
        errno = 0;
        int result = mini_ps_read(&process, "root", 1234);
        int actual = errno;
        long hits = fault_hits();
        fault_clear();
        if (result == -1 && (hits == 0 || actual != error))
            fail_msg("mini_ps_read with %s number %d failing\n"
                     "  expected: -1, %s\n"
                     "  actual:   -1, %s",
                     function, n, strerror(error), strerror(actual));
        if (result == 0) {
            assert_int_equal(process.rss_kb, 4608);
            assert_string_equal(process.command, long_command);
            mini_ps_release(&process);
        }
        assert_int_equal(count_descriptors(), before);
        if (hits == 0)
            break;
    }
}

static void pids_with_fault(const char *function, const char *name, int error)
{
    for (int n = 1;; n++) {
        pid_t *pids;
        size_t count;
        int before = count_descriptors();
        fault(text("%s:error=%s:when=%d", function, name, n));
        errno = 0;
        int result = mini_ps_pids("root", &pids, &count);
        int actual = errno;
        long hits = fault_hits();
        fault_clear();
        if (result == -1 && (hits == 0 || actual != error))
            fail_msg("mini_ps_pids with %s number %d failing\n"
                     "  expected: -1, %s\n"
                     "  actual:   -1, %s",
                     function, n, strerror(error), strerror(actual));
        if (result == 0) {
            assert_int_equal(count, 1);
            assert_int_equal(pids[0], 1234);
            free(pids);
        }
        assert_int_equal(count_descriptors(), before);
        if (hits == 0)
            break;
    }
}

TEST(test_18_a_failing_call_is_reported_and_nothing_leaks)
{
    static const char *const allocations[] = {"malloc", "calloc", "realloc",
                                              "reallocarray", "strdup"};
    for (size_t i = 0; i < sizeof allocations / sizeof allocations[0]; i++) {
        read_with_fault(allocations[i], "ENOMEM", ENOMEM);
        pids_with_fault(allocations[i], "ENOMEM", ENOMEM);
        fault(text("%s:error=ENOMEM", allocations[i]));
        char *command = mini_ps_command("x\0y", 4, "x");
        int error = errno;
        fault_clear();
        if (command == NULL)
            assert_int_equal(error, ENOMEM);
        else
            assert_string_equal(command, "x y");
        free(command);
    }
    static const char *const openers[] = {"open", "openat", "opendir", "fopen"};
    for (size_t i = 0; i < sizeof openers / sizeof openers[0]; i++) {
        read_with_fault(openers[i], "EMFILE", EMFILE);
        pids_with_fault(openers[i], "EMFILE", EMFILE);
    }
    read_with_fault("read", "EIO", EIO);
    read_with_fault("read", "ESRCH", ESRCH);
}

TEST(test_19_no_descriptors_left_is_emfile)
{
    make_fake("root", shell);
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(lowest);
    for (int more = 0; more <= 4; more++) {
        struct mini_ps_process process;
        pid_t *pids;
        size_t count;

        allow_descriptors(lowest + more);
        errno = 0;
        int read_result = mini_ps_read(&process, "root", 1234);
        int read_error = errno;
        errno = 0;
        int pids_result = mini_ps_pids("root", &pids, &count);
        int pids_error = errno;
        allow_descriptors(1024);

        if (more == 0 || read_result == -1) {
            assert_int_equal(read_result, -1);
            assert_int_equal(read_error, EMFILE);
        } else {
            expect_shell(&process);
            mini_ps_release(&process);
        }
        if (more == 0 || pids_result == -1) {
            assert_int_equal(pids_result, -1);
            assert_int_equal(pids_error, EMFILE);
        } else {
            assert_int_equal(count, 1);
            free(pids);
        }
    }
}

TEST(test_20_an_error_in_the_directory_is_not_its_end)
{
    make_fake("root", shell);
    pids_with_fault("readdir", "EIO", EIO);
}

/* The program. */

static void make_machine(const char *root)
{
    make_process(root, 1, 0, 'S', "systemd", 12 * 1024 + 320,
                 "/sbin/init\0splash\0");
    make_process(root, 2, 0, 'S', "kthreadd", -1, "");
    make_fake(root, shell);
    make_process(root, 999, 1234, 'Z', "gcc (old)", -1, "");
    make_process(root, 2147483647, 1234, 'R', "java", 64,
                 "java\0-jar\0a b.jar\0");
}

#define MACHINE                                     \
    HEADER                                          \
    "      1       0 S   12.3M /sbin/init splash\n" \
    "      2       0 S       ? [kthreadd]\n"        \
    "    999    1234 Z       ? [gcc (old)]\n"       \
    "   1234       1 S    4.5M -bash\n"             \
    "2147483647    1234 R     64K java -jar a b.jar\n"

TEST(test_21_the_program_prints_a_row_for_each_process)
{
    make_machine("root");
    make_directory("root/sys");
    write_text("root/version", "Linux\n");
    struct run r = run("root");
    assert_exit(r, 0);
    assert_output(r, MACHINE);
    assert_error(r, "");

    make_directory("empty");
    r = run("empty");
    assert_exit(r, 0);
    assert_output(r, HEADER);
}

TEST(test_22_a_newline_forges_no_row)
{
    make_process("root", 5, 1, 'S', "evil", 64,
                 "x\n      6       1 S    1.0M good\0");
    make_process("root", 7, 1, 'S', "a\n8", -1, "");
    struct run r = run("root");
    assert_exit(r, 0);
    assert_output(r, HEADER
                  "      5       1 S     64K x?      6       1 S    1.0M good\n"
                  "      7       1 S       ? [a?8]\n");
}

TEST(test_23_vanished_processes_are_left_out_silently)
{
    make_fake("root", shell);
    make_directory("root/3");
    make_process("root", 2000, 1, 'S', "gone", 640, "gone\0");
    unlink("root/2000/cmdline");
    struct run r = run("root");
    assert_exit(r, 0);
    assert_output(r, HEADER "   1234       1 S    4.5M -bash\n");
    assert_error(r, "");
}

TEST(test_24_a_broken_process_is_named_and_the_rest_shown)
{
    make_fake("root", shell);
    make_process("root", 6, 1, 'S', "broken", 64, "broken\0");
    write_text("root/6/stat", "6 (broken");
    write_text("root/70", "a file\n");
    make_directory("root/800");
    chmod("root/800", 0);
    struct run r = run_with((struct run_options){.unprivileged = true}, "root");
    chmod("root/800", 0755);
    assert_exit(r, 1);
    assert_output(r, HEADER "   1234       1 S    4.5M -bash\n");
    assert_error(r, "mini_ps: root/6: Bad message\n"
                    "mini_ps: root/70: Not a directory\n"
                    "mini_ps: root/800: Permission denied\n");
}

TEST(test_25_a_root_that_cannot_be_read)
{
    struct run r = run("nowhere");
    assert_exit(r, 1);
    assert_output(r, "");
    assert_error(r, "mini_ps: nowhere: No such file or directory\n");

    write_text("file", "text");
    r = run("file");
    assert_exit(r, 1);
    assert_output(r, "");
    assert_error(r, "mini_ps: file: Not a directory\n");
}

TEST(test_26_bad_usage_is_status_2)
{
    make_directory("root");
    assert_usage("[ROOT]\n", "root", "root");
    assert_usage("[ROOT]\n", "-x");
}

TEST(test_27_output_that_cannot_be_written_is_reported)
{
    make_machine("root");
    struct run r =
        run_with((struct run_options){.output_file = "/dev/full"}, "root");
    assert_exit(r, 1);
    assert_error(r, "mini_ps: standard output: No space left on device\n");

    r = run_with((struct run_options){.closed_output = true}, "root");
    assert_exit(r, 1);
    assert_error(r, "mini_ps: standard output: Broken pipe\n");
}

/* More than any buffer of stdio holds. Only the first write fails; whoever asks
 * late may know no reason any more. */
TEST(test_28_an_earlier_write_that_failed_is_not_forgotten)
{
    const char *long_command = text("%0*d", 100000, 0);
    make_machine("root");
    write_bytes("root/2147483647/cmdline", long_command, strlen(long_command));

    struct run r = run_with(
        (struct run_options){.faults = "write:error=ENOSPC:when=1"}, "root");
    if (r.status != 0 || strncmp(r.out, HEADER, strlen(HEADER)) != 0) {
        assert_exit(r, 1);
        assert_error_contains(r, "mini_ps: standard output: ");
    }

    /* The writes inside stdio. LeakSanitizer is a tracer itself and cannot
     * work in a tracee. */
    test_need("strace");
    test_need_ptrace();
    static const char *const strace[] = {
        "strace", "-qq",
        "-o",     "/dev/null",
        "-E",     "LSAN_OPTIONS=detect_leaks=0",
        "-e",     "trace=write,writev",
        "-e",     "inject=write,writev:error=ENOSPC:when=1",
        NULL};
    r = run_with((struct run_options){.under = strace}, "root");
    assert_exit(r, 1);
    assert_error_contains(r, "mini_ps: standard output: ");
}

/* One row of ps or mini_ps. */
struct row {
    int pid, ppid;
    char state[16], memory[32];
    const char *command;
};

/* Reads the row at *at and moves *at to the next line. */
static bool next_row(char **at, struct row *row)
{
    while (**at != '\0') {
        char *line = *at;
        size_t len = strcspn(line, "\n");
        *at += len + (line[len] == '\n');
        int command;
        if (sscanf(line, "%d %d %15s %31s %n", &row->pid, &row->ppid,
                   row->state, row->memory, &command) != 4)
            continue;
        row->command = text("%.*s", (int)len - command, line + command);
        return true;
    }
    return false;
}

static bool find_row(struct run r, pid_t pid, struct row *row)
{
    char *at = r.out;
    while (next_row(&at, row))
        if (row->pid == pid)
            return true;
    return false;
}

static struct row the_row(struct run r, pid_t pid)
{
    struct row row;
    if (!find_row(r, pid, &row))
        fail_msg("%s shows no process %d", r.command, (int)pid);
    return row;
}

static struct run run_ps(void)
{
    struct run r = run_with((struct run_options){.program = "ps"}, "-ww", "-eo",
                            "pid,ppid,stat,rss,args");
    if (r.status != 0)
        test_skip("this ps does not know -ww -eo pid,ppid,stat,rss,args");
    return r;
}

/* Kilobytes that a memory text may stand for. */
static void memory_between(const char *memory, long long least_kb,
                           long long most_kb)
{
    double number;
    char unit;
    if (sscanf(memory, "%lf%c", &number, &unit) != 2)
        fail_msg("\"%s\" is no memory", memory);
    double scale = unit == 'K' ? 1 : unit == 'M' ? 1024 : 1024 * 1024;
    if ((number + 0.05) * scale < least_kb || (number - 0.05) * scale > most_kb)
        fail_msg("mini_ps shows %s, ps %lld to %lld kB", memory, least_kb,
                 most_kb);
}

/* ps, mini_ps, ps: a process that both lists of ps hold was there in between,
 * and so was its parent if both name the same. What else may change in between
 * is compared for two children only that stand still. */
TEST(test_29_ps_sees_the_same_processes, .limit_ms = 3000)
{
    test_need("ps");
    pid_t zombie = start_child("z) R 1 (b", false);
    pid_t stopped = fork_child();
    if (stopped == 0) {
        execl("/bin/sh", "sh", "-c", "kill -STOP $$", "a", "", "b  c", NULL);
        _exit(127);
    }
    siginfo_t info;
    waitid(P_PID, stopped, &info, WSTOPPED | WNOWAIT);

    struct run before = run_ps();
    struct run ours = run_alone((struct run_options){0});
    struct run after = run_ps();
    end_child(stopped);
    end_child(zombie);
    if (ours.err_len == 0) /* a hidepid mount (proc(5)) hides others' files */
        assert_exit(ours, 0);

    struct row actual = the_row(ours, zombie);
    assert_int_equal(actual.ppid, getpid());
    assert_string_equal(actual.state, "Z");
    assert_string_equal(actual.memory, "?");
    assert_string_equal(text("%s <defunct>", actual.command),
                        the_row(before, zombie).command);

    actual = the_row(ours, stopped);
    struct row expected = the_row(before, stopped);
    assert_int_equal(actual.ppid, getpid());
    assert_string_equal(actual.state, "T");
    assert_string_equal(actual.command, expected.command);
    long long kb[] = {atoll(expected.memory),
                      atoll(the_row(after, stopped).memory)};
    memory_between(actual.memory, kb[kb[0] > kb[1]], kb[kb[0] < kb[1]]);

    char *at = before.out;
    while (next_row(&at, &expected)) {
        struct row again;
        if (!find_row(after, expected.pid, &again) ||
            again.ppid != expected.ppid)
            continue;
        actual = the_row(ours, expected.pid);
        assert_int_equal(actual.ppid, expected.ppid);
        bool kernel_thread =
            expected.ppid == 2 &&
            strcmp(the_row(before, 2).command, "[kthreadd]") == 0;
        if (kernel_thread)
            assert_string_equal(actual.memory, "?");
    }
}
