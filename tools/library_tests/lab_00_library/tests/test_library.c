#include "library.h"
#include "test/client.h"
#include "test/fault.h"
#include "test/http.h"
#include "test/process.h"
#include "test/program.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(test_01_numbers_are_compared_by_value)
{
    assert_int_equal((unsigned char)200, 200L);
    assert_int_not_equal(-1, 4294967295u);
    assert_at_least(5u, -1);
    assert_at_most(-1, 0u);
    assert_int_equal((uint64_t)UINT64_MAX, UINT64_MAX);
    assert_true(errno == 0 || errno != 0);
    assert_string_equal(NULL, NULL);
    assert_string_not_equal("a", NULL);
    assert_bytes_equal("a\0b", 3, "a\0b", 3);
}

TEST(test_02_files_are_written_and_read_whole)
{
    size_t len;
    write_bytes("data", "a\0b\n", 4);
    char *bytes = read_bytes("data", &len);
    assert_bytes_equal(bytes, len, "a\0b\n", 4);
    write_text("data", "%d lines\n", 3);
    assert_string_equal(read_bytes("data", NULL), "3 lines\n");
    assert_at_least(strlen(read_bytes("/proc/self/status", NULL)), 100);
    assert_string_equal(text("%s-%d", "x", 7), "x-7");
    assert_contains(read_bytes(lab_path("Makefile"), NULL), "library");
}

TEST(test_03_the_working_directory_is_empty)
{
    assert_fails(library_open("data"), ENOENT);
    assert_int_equal(system("test -z \"$(ls -A)\""), 0);
}

TEST(test_04_reads_fail_and_come_short)
{
    char buf[8];
    write_text("data", "12345678");
    int fd = library_open("data");

    fault("read:short=3");
    assert_int_equal(library_read_all(fd, buf, 8), 8);
    assert_memory_equal(buf, "12345678", 8);
    assert_int_equal(fault_calls("read"), 3);
    assert_int_equal(fault_hits(), 2);

    lseek(fd, 0, SEEK_SET);
    fault("read:error=EIO:when=2,read:short=1");
    assert_fails(library_read_all(fd, buf, 8), EIO);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 1);
    fault_clear();
    close(fd);
}

TEST(test_05_only_the_calls_asked_for_fail)
{
    fault("malloc:error=ENOMEM:when=2..3");
    for (int call = 1; call <= 4; call++) {
        char *copy = library_copy("x");
        assert_int_equal(copy == NULL, call == 2 || call == 3);
        free(copy);
    }
    fault("malloc:retval=0");
    assert_null(library_copy("x"));
    fault("open:error=EMFILE:when=2+");
    int fd = library_open("/dev/null");
    assert_at_least(fd, 0);
    close(fd);
    for (int call = 2; call < 5; call++)
        assert_fails(library_open("/dev/null"), EMFILE);
    /* The test's own calls are left alone. */
    fd = open("/dev/null", O_RDONLY);
    assert_at_least(fd, 0);
    close(fd);
}

TEST(test_06_threads_that_cannot_be_created)
{
    fault("pthread_create:error=EAGAIN:when=3");
    assert_int_equal(library_threads(4), EAGAIN);
    fault_clear();
    assert_int_equal(library_threads(4), 0);
    assert_int_equal(fault_calls("pthread_create"), 7);
}

TEST(test_07_a_program_gives_output_status_and_errors)
{
    struct run r = run("say", "one", "two words");
    assert_output(r, "one\ntwo words\n");
    assert_error(r, "");
    assert_exit(r, 0);
    assert_string_equal(r.command, "library say one 'two words'");
    r = run("complain", "5");
    assert_exit(r, 5);
    assert_error_contains(r, "it is bad");
    assert_exit(run_alone((struct run_options){0}), 2);
}

TEST(test_08_input_is_text_bytes_or_a_file)
{
    assert_output(run_with((struct run_options){.input = "in"}, "echo"), "in");
    struct run_options bytes = {.input = "a\0b", .input_len = 3};
    struct run r = run_with(bytes, "echo");
    assert_output_bytes(r, "a\0b", 3);
    write_text("data", "from a file");
    r = run_with((struct run_options){.input_file = "data"}, "echo");
    assert_output(r, "from a file");
    assert_output(run("echo"), "");
}

TEST(test_09_much_input_and_output_at_once)
{
    size_t len = 1024 * 1024;
    char *bytes = calloc(len, 1);
    struct run_options options = {.input = bytes, .input_len = len};
    struct run r = run_with(options, "echo");
    assert_output_bytes(r, bytes, len);
    free(bytes);
}

TEST(test_10_output_goes_nowhere)
{
    struct run_options full = {.input = "x", .output_file = "/dev/full"};
    assert_exit(run_with(full, "echo"), 1);
    struct run_options closed = {.input = "x", .closed_output = true};
    assert_exit(run_with(closed, "echo"), 128 + SIGPIPE);
}

TEST(test_11_faults_reach_the_program)
{
    struct run_options options = {.input = "abc",
                                  .faults = "write:error=EIO:when=2,"
                                            "read:short=2"};
    struct run r = run_with(options, "echo");
    assert_output(r, "ab");
    assert_exit(r, 1);
}

TEST(test_12_the_program_sees_a_clean_environment)
{
    const char *const env[] = {"COLOUR=red", NULL};
    struct run_options options = {.env = env, .faults = "read:short=1"};
    struct run r = run_with(options, "environment");
    assert_output_contains(r, "COLOUR=red\n");
    assert_not_contains(r.out, "LAB_");
    assert_not_contains(r.out, "MAKE");
}

TEST(test_13_a_conversation)
{
    struct program *p =
        start_with((struct run_options){.keep_input_open = true}, "echo");
    program_write(p, "hello\n", 6);
    assert_string_equal(program_line(p), "hello");
    program_write(p, "again\nand", 9);
    assert_string_equal(program_line(p), "again");
    program_close_input(p);
    assert_exit(program_wait(p), 0);
    assert_null(program_line(p));
}

TEST(test_14_signals_end_it)
{
    struct program *p = start("wait");
    program_signal(p, SIGTERM);
    assert_exit(program_wait(p), 128 + SIGTERM);
    program_signal(p, SIGTERM); /* to nobody */
}

TEST(test_15_a_server_and_its_clients)
{
    struct program *p = start("serve");
    int port = program_port(p);
    for (int i = 0; i < 2; i++) {
        int fd = client_connect(port);
        client_send(fd, "ping");
        client_expect(fd, "ping");
        shutdown(fd, SHUT_WR);
        client_expect_end(fd);
        close(fd);
    }
    program_signal(p, SIGKILL);
    assert_exit(program_wait(p), 128 + SIGKILL);
}

TEST(test_16_another_program_and_one_under_another)
{
    struct run_options printf1 = {.program = "/bin/echo"};
    assert_output(run_with(printf1, "-n", "x"), "x");
    const char *const under[] = {"env", "-u", "PATH", NULL};
    assert_output(run_with((struct run_options){.under = under}, "say", "x"),
                  "x\n");
}

TEST(test_17_file_modes_count_for_root_too)
{
    write_text("secret", "x");
    assert_int_equal(chmod("secret", 0), 0);
    struct run_options options = {.program = "/bin/cat", .unprivileged = true};
    assert_exit(run_with(options, "secret"), 1);
}

static void *wait_for_byte(void *argument)
{
    char byte;
    return library_read_all(*(int *)argument, &byte, 1) == 1 ? argument : NULL;
}

TEST(test_18_waiting_looks_again_until_it_holds)
{
    int ends[2], before = count_threads();
    pthread_t thread;
    assert_success(pipe(ends));
    assert_success(pthread_create(&thread, NULL, wait_for_byte, &ends[0]));
    wait_until(count_threads() == before + 1);
    assert_int_equal(write(ends[1], "x", 1), 1);
    pthread_join(thread, NULL);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(count_descriptors(), 3);
}

TEST(test_19_a_crash_that_is_expected)
{
    struct run_options options = {.program = "/bin/sh", .may_crash = true};
    assert_exit(run_with(options, "-c", "kill -ABRT $$"), 128 + SIGABRT);
}

TEST(test_20_a_longer_test, .limit_ms = 3000)
{
    test_need("sh");
    assert_true(true || count_threads());
}

TEST(test_21_an_http_client_reads_one_response_after_the_other)
{
    int port, server = client_listen(&port);
    int fd = client_connect(port), back = client_accept(server);
    client_send(back, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
                      "X-Two:  a b \r\n\r\none"
                      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "2;x=y\r\ntw\r\n1\r\no\r\n0\r\nT: 1\r\n\r\n"
                      "HTTP/1.1 405 Not so\r\nContent-Length: 9\r\n\r\n"
                      "HTTP/1.0 404 \r\n\r\nuntil the end");
    struct http_reply r = http_read(fd);
    assert_status(r, 200);
    assert_body(r, "one");
    assert_header(r, "x-two", "a b");
    assert_header(r, "X-T", NULL);
    r = http_read(fd);
    assert_true(r.chunked);
    assert_body(r, "two");
    assert_status(http_read_to(fd, "HEAD"), 405);
    close(back);
    r = http_read(fd);
    assert_status(r, 404);
    assert_true(r.until_close);
    assert_body(r, "until the end");
    close(fd);
    close(server);
}

TEST(test_22_chunks_are_read_as_they_come)
{
    int port, server = client_listen(&port);
    int fd = client_connect(port), back = client_accept(server);
    client_send(back, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3\r\none\r\n");
    size_t len;
    assert_status(http_read_head(fd), 200);
    assert_string_equal(http_chunk(fd, &len), "one");
    assert_int_equal(len, 3);
    client_send(back, "0\r\n\r\n");
    assert_null(http_chunk(fd, NULL));
    close(back);
    client_expect_end(fd);
    close(fd);
    close(server);
}

TEST(test_23_a_program_that_does_not_begin)
{
    assert_usage("WORD\n", NULL);
    assert_usage("WORD", "dance");
    assert_no_start("it is bad", "complain", "1");
}

TEST(test_24_a_client_vanishes)
{
    int port, server = client_listen(&port);
    int fd = client_connect(port), back = client_accept(server);
    char byte;
    client_reset(fd);
    assert_fails(recv(back, &byte, 1, 0), ECONNRESET);
    close(back);
    close(server);
}

TEST(test_25_a_narrow_client_has_small_buffers)
{
    int port, server = client_listen(&port), size;
    int fd = client_connect_narrow(port), back = client_accept(server);
    socklen_t len = sizeof(size);
    assert_success(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &len));
    assert_at_most(size, 128 * 1024); /* socket(7): twice what was set */
    assert_success(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len));
    assert_at_most(size, 128 * 1024);
    client_send(fd, "hello");
    client_expect(back, "hello");
    close(fd);
    close(back);
    close(server);
}

TEST(test_26_what_the_kernel_says_of_a_process)
{
    struct program *p = start("serve");
    pid_t pid = program_pid(p);
    int port = program_port(p);
    int descriptors = process_descriptors(pid), threads = process_threads(pid);
    assert_at_least(descriptors, 4);
    assert_at_least(threads, 1);
    assert_at_least(process_resident_kb(pid), 100);
    int fd = client_connect(port);
    process_expect_idle(pid);
    process_expect_asleep(pid);
    assert_true(process_is_asleep(pid));
    assert_int_equal(process_descriptors(pid), descriptors + 1);

    char byte;
    process_stop(pid);
    assert_false(process_is_asleep(pid));
    client_send(fd, "ping");
    assert_fails(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    process_continue(pid);
    client_expect(fd, "ping");
    client_reset(fd);
    wait_until(process_descriptors(pid) == descriptors);
    assert_int_equal(process_threads(pid), threads);

    struct rlimit limit;
    process_limit_descriptors(pid, 2);
    assert_success(prlimit(pid, RLIMIT_NOFILE, NULL, &limit));
    assert_int_equal(limit.rlim_cur, descriptors + 2);
    program_signal(p, SIGKILL);
    program_wait(p);
    assert_int_equal(process_threads(pid), 0);
    assert_false(process_is_asleep(pid));
}

static void *note_tid(void *argument)
{
    pid_t *tid = argument;
    __atomic_store_n(tid, gettid(), __ATOMIC_RELEASE);
    while (thread_cpu_ns(gettid()) < 1000000)
        continue;
    return wait_for_byte(&tid[1]);
}

TEST(test_27_what_the_kernel_says_of_a_thread)
{
    int ends[2];
    pid_t note[2] = {0};
    pthread_t thread;
    assert_success(pipe(ends));
    note[1] = ends[0];
    assert_int_equal(thread_state(gettid()), 'R');
    assert_success(pthread_create(&thread, NULL, note_tid, note));
    wait_until(__atomic_load_n(&note[0], __ATOMIC_ACQUIRE) != 0);
    pid_t tid = note[0];
    wait_until(thread_state(tid) == 'S');
    assert_at_least(thread_cpu_ns(tid), 1000000);
    assert_int_equal(write(ends[1], "x", 1), 1);
    pthread_join(thread, NULL);
    wait_until(thread_state(tid) == '?');
    assert_int_equal(thread_cpu_ns(tid), 0);
    close(ends[0]);
    close(ends[1]);
}

TEST(test_28_threads_that_take_turns_share_a_cpu)
{
    cpu_set_t cpus;
    take_turns();
    assert_success(sched_getaffinity(0, sizeof(cpus), &cpus));
    assert_int_equal(CPU_COUNT(&cpus), 1);
}
