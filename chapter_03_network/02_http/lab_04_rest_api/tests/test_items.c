/* The store, as functions. The program's tests are in test_rest_api.c. */
#include "rest_api.h"
#include "test/fault.h"
#include "test/process.h"
#include "test/test.h"

#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

enum { MANY = 1000, DEEP = 100000, MOST_FAILURES = 100, PATIENCE = 500 };

/* Any "field", or none. */
#define ANY "*"

static char *json; /* what the last call handed out */

static char *take_json(void)
{
    char *taken = json ? text("%s", json) : NULL;
    free(json);
    json = NULL;
    return taken;
}

/* The last call handed out this, whatever the blanks and the order. */
static void expect_json_at(struct test_place place, const char *expected)
{
    const char *actual = take_json();
    json_t *a =
        actual ? json_loads(actual, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_t *e = json_loads(expected, 0, NULL);
    bool same = json_equal(a, e);
    json_decref(a);
    json_decref(e);
    if (!same)
        test_fail(place, "expected: %s\nactual:   %s", expected,
                  actual ? actual : "NULL");
}

/* What is wrong with the error that was handed out, or NULL. */
static const char *wrong_error(const char *actual, const char *field)
{
    const char *wrong = NULL;
    json_t *error =
        actual ? json_loads(actual, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *reason = json_string_value(json_object_get(error, "error"));
    json_t *told = json_object_get(error, "field");
    if (!actual)
        wrong = "a JSON text";
    else if (!reason || !*reason)
        wrong = "an object with \"error\", a string";
    else if (!field && told)
        wrong = "no \"field\": no member is to blame";
    else if (field && strcmp(field, ANY) != 0 &&
             (!json_is_string(told) ||
              strcmp(json_string_value(told), field) != 0))
        wrong = text("\"field\": \"%s\"", field);
    json_decref(error);
    return wrong;
}

static void expect_error_at(struct test_place place, const char *field)
{
    const char *actual = take_json(), *wrong = wrong_error(actual, field);
    if (wrong)
        test_fail(place, "expected: %s\nactual:   %s", wrong,
                  actual ? actual : "NULL");
}

#define expect(call, expected)                         \
    do {                                               \
        assert_success(call);                          \
        expect_json_at(TEST_PLACE("*json"), expected); \
    } while (0)
#define expect_failure(call, error)                 \
    do {                                            \
        assert_fails(call, error);                  \
        expect_error_at(TEST_PLACE("*json"), NULL); \
    } while (0)

static struct rest_api *store_new(size_t max_items)
{
    struct rest_api *api = rest_api_new(max_items);
    assert_non_null(api);
    return api;
}

static int create(struct rest_api *api, const char *body, uint64_t *id)
{
    return rest_api_create(api, body, strlen(body), id, &json);
}

static int replace(struct rest_api *api, uint64_t id, const char *body)
{
    return rest_api_replace(api, id, body, strlen(body), &json);
}

static int update(struct rest_api *api, uint64_t id, const char *body)
{
    return rest_api_update(api, id, body, strlen(body), &json);
}

static int get(struct rest_api *api, uint64_t id)
{
    return rest_api_get(api, id, &json);
}

/* For tests of something else. */
static uint64_t add(struct rest_api *api, const char *name)
{
    uint64_t id = 0;
    assert_success(
        create(api, text("{\"name\": \"%s\", \"price\": 5}", name), &id));
    take_json();
    return id;
}

static void drop(struct rest_api *api, uint64_t id)
{
    assert_success(rest_api_delete(api, id, &json));
    assert_null(json);
}

/* A text of this many letters. */
static char *letters(size_t count)
{
    return text("%.*s", (int)count,
                "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
                "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
}

TEST(test_01_an_item_is_made)
{
    struct rest_api *api = store_new(10);
    uint64_t id = 0;
    expect(create(api, "{\"name\": \"pen\", \"price\": 120, \"quantity\": 7}",
                  &id),
           "{\"id\": 1, \"name\": \"pen\", \"price\": 120, \"quantity\": 7}");
    assert_int_equal(id, 1);
    expect(create(api, " {\"price\":0,\n\"name\":\"ink\"}\r\n", &id),
           "{\"id\": 2, \"name\": \"ink\", \"price\": 0, \"quantity\": 0}");
    assert_int_equal(id, 2);
    /* Two items may be the same but for their ids. */
    expect(create(api, "{\"name\": \"ink\", \"price\": 0}", &id),
           "{\"id\": 3, \"name\": \"ink\", \"price\": 0, \"quantity\": 0}");
    rest_api_free(api);
    rest_api_free(NULL);
}

TEST(test_02_items_are_found_and_listed)
{
    struct rest_api *api = store_new(MANY);
    expect(rest_api_list(api, &json), "[]");
    expect_failure(get(api, 1), ENOENT);
    add(api, "pen");
    add(api, "ink");
    expect(get(api, 2),
           "{\"id\": 2, \"name\": \"ink\", \"price\": 5, \"quantity\": 0}");
    expect(get(api, 1),
           "{\"id\": 1, \"name\": \"pen\", \"price\": 5, \"quantity\": 0}");
    expect(rest_api_list(api, &json),
           "[{\"id\": 1, \"name\": \"pen\", \"price\": 5, \"quantity\": 0},"
           " {\"id\": 2, \"name\": \"ink\", \"price\": 5, \"quantity\": 0}]");
    expect_failure(get(api, 0), ENOENT);
    expect_failure(get(api, 3), ENOENT);
    expect_failure(get(api, UINT64_MAX), ENOENT);
    expect_failure(get(api, (UINT64_C(1) << 32) + 1), ENOENT);

    /* All, and in order. */
    for (uint64_t id = 3; id <= MANY; id++)
        assert_int_equal(add(api, "x"), id);
    assert_success(rest_api_list(api, &json));
    json_t *list = json_loads(json, 0, NULL);
    take_json();
    assert_int_equal(json_array_size(list), MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(
            json_integer_value(json_object_get(json_array_get(list, i), "id")),
            i + 1);
    json_decref(list);
    rest_api_free(api);
}

TEST(test_03_replace_sets_all_of_an_item)
{
    struct rest_api *api = store_new(10);
    uint64_t id;
    add(api, "other");
    assert_success(
        create(api, "{\"name\": \"pen\", \"price\": 1, \"quantity\": 7}", &id));
    take_json();
    expect(replace(api, 2, "{\"name\": \"ink\", \"price\": 2}"),
           "{\"id\": 2, \"name\": \"ink\", \"price\": 2, \"quantity\": 0}");
    expect(get(api, 2),
           "{\"id\": 2, \"name\": \"ink\", \"price\": 2, \"quantity\": 0}");
    expect(get(api, 1),
           "{\"id\": 1, \"name\": \"other\", \"price\": 5, \"quantity\": 0}");
    expect_failure(replace(api, 3, "{\"name\": \"ink\", \"price\": 2}"),
                   ENOENT);
    rest_api_free(api);
}

TEST(test_04_update_sets_what_is_given)
{
    struct rest_api *api = store_new(10);
    uint64_t id;
    assert_success(create(
        api, "{\"name\": \"long name\", \"price\": 1, \"quantity\": 7}", &id));
    take_json();
    expect(update(api, 1, "{\"price\": 0}"),
           "{\"id\": 1, \"name\": \"long name\", \"price\": 0,"
           " \"quantity\": 7}");
    expect(update(api, 1, "{\"quantity\": 0, \"name\": \"pen\"}"),
           "{\"id\": 1, \"name\": \"pen\", \"price\": 0, \"quantity\": 0}");
    expect(update(api, 1, "{}"),
           "{\"id\": 1, \"name\": \"pen\", \"price\": 0, \"quantity\": 0}");
    expect(get(api, 1),
           "{\"id\": 1, \"name\": \"pen\", \"price\": 0, \"quantity\": 0}");
    expect_failure(update(api, 2, "{}"), ENOENT);
    rest_api_free(api);
}

TEST(test_05_what_is_deleted_is_gone_and_its_id_too)
{
    struct rest_api *api = store_new(10);
    add(api, "a");
    add(api, "b");
    add(api, "c");
    add(api, "d");
    drop(api, 2);
    expect(rest_api_list(api, &json),
           "[{\"id\": 1, \"name\": \"a\", \"price\": 5, \"quantity\": 0},"
           " {\"id\": 3, \"name\": \"c\", \"price\": 5, \"quantity\": 0},"
           " {\"id\": 4, \"name\": \"d\", \"price\": 5, \"quantity\": 0}]");
    expect_failure(rest_api_delete(api, 2, &json), ENOENT);
    expect_failure(get(api, 2), ENOENT);
    expect_failure(update(api, 2, "{}"), ENOENT);
    drop(api, 4);
    assert_int_equal(add(api, "e"), 5); /* not 4 again */
    drop(api, 1);
    drop(api, 5);
    drop(api, 3);
    expect(rest_api_list(api, &json), "[]");
    assert_int_equal(add(api, "f"), 6);
    rest_api_free(api);
}

/* A body that no function takes. */
static void refused_bytes(const char *body, size_t len, const char *field,
                          bool by_update)
{
    static const char *const names[] = {"create", "replace", "update"};
    struct rest_api *api = store_new(10);
    uint64_t id = 77;
    add(api, "pen");
    for (int i = 0; i < 2 + by_update; i++) {
        struct test_place place =
            TEST_PLACE(text("rest_api_%s() with %.300s", names[i], body));
        errno = 0;
        int result = i == 0   ? rest_api_create(api, body, len, &id, &json)
                     : i == 1 ? rest_api_replace(api, 1, body, len, &json)
                              : rest_api_update(api, 1, body, len, &json);
        test_fails(place, result == -1, result, errno, EINVAL);
        expect_error_at(place, field);
    }
    assert_int_equal(id, 77);
    expect(rest_api_list(api, &json),
           "[{\"id\": 1, \"name\": \"pen\", \"price\": 5, \"quantity\": 0}]");
    assert_int_equal(add(api, "next"), 2);
    rest_api_free(api);
}

static void refused(const char *body, const char *field)
{
    refused_bytes(body, strlen(body), field, true);
}

TEST(test_06_missing_and_unknown_members_are_named)
{
    static const char no_name[] = "{\"price\": 1}";
    static const char no_price[] = "{\"name\": \"a\", \"quantity\": 1}";
    refused_bytes(no_name, strlen(no_name), "name", false);
    refused_bytes(no_price, strlen(no_price), "price", false);
    refused("{\"name\": \"a\", \"price\": 1, \"colour\": \"red\"}", "colour");
    refused("{\"name\": \"a\", \"price\": 1, \"Price\": 1}", "Price");
    refused("{\"name\": \"a\", \"price\": 1, \"\": 1}", "");
    refused("{\"name\": \"a\", \"price\": 1, \"id\": 1}", "id");
    refused("{\"name\": \"a\", \"price\": 1, \"a\\\"b\\n\": null}", "a\"b\n");
    refused("{\"name\": \"a\", \"price\": 1, \"\xc3\xa4%s\": 1}", "\xc3\xa4%s");
    const char *much = text("%02000d", 0);
    refused(text("{\"name\": \"a\", \"price\": 1, \"%s\": 1}", much), much);
}

/* One member with this value, the others as they should be. */
static void refused_value(const char *member, const char *value)
{
    bool name = strcmp(member, "name") == 0;
    bool price = strcmp(member, "price") == 0;
    refused(text("{\"name\": %s, \"price\": %s, \"quantity\": %s}",
                 name ? value : "\"a\"", price ? value : "1",
                 name || price ? "1" : value),
            member);
}

TEST(test_07_a_wrong_type_is_named)
{
    static const char *const no_number[] = {
        "\"1\"", "1.0", "1e2", "0.5", "true", "false", "null", "[1]", "{}"};
    static const char *const no_string[] = {"1", "null", "true", "[\"a\"]",
                                            "{\"name\": \"a\"}"};
    for (size_t i = 0; i < sizeof(no_number) / sizeof(no_number[0]); i++) {
        refused_value("price", no_number[i]);
        refused_value("quantity", no_number[i]);
    }
    for (size_t i = 0; i < sizeof(no_string) / sizeof(no_string[0]); i++)
        refused_value("name", no_string[i]);
}

TEST(test_08_values_have_limits)
{
    struct rest_api *api = store_new(10);
    uint64_t id;
    const char *longest = letters(MAX_NAME);
    expect(create(api,
                  text("{\"name\": \"%s\", \"price\": %d, \"quantity\": %d}",
                       longest, MAX_PRICE, MAX_QUANTITY),
                  &id),
           text("{\"id\": 1, \"name\": \"%s\", \"price\": %d,"
                " \"quantity\": %d}",
                longest, MAX_PRICE, MAX_QUANTITY));
    expect(update(api, 1, "{\"name\": \"b\", \"price\": 0, \"quantity\": 0}"),
           "{\"id\": 1, \"name\": \"b\", \"price\": 0, \"quantity\": 0}");
    /* 96 bytes and an euro sign of three are 99; six escaped are 18. */
    expect(update(api, 1, text("{\"name\": \"%s\xe2\x82\xac\"}", letters(96))),
           text("{\"id\": 1, \"name\": \"%s\xe2\x82\xac\", \"price\": 0,"
                " \"quantity\": 0}",
                letters(96)));
    expect(update(api, 1,
                  text("{\"name\": \"%s\\u20ac\\u20ac\\u20ac\\u20ac\"}",
                       letters(88))),
           text("{\"id\": 1, \"name\": \"%s\xe2\x82\xac\xe2\x82\xac"
                "\xe2\x82\xac\xe2\x82\xac\", \"price\": 0, \"quantity\": 0}",
                letters(88)));
    rest_api_free(api);

    refused_value("name", "\"\"");
    refused_value("name", text("\"%s\"", letters(MAX_NAME + 1)));
    refused_value("name", text("\"%s\xe2\x82\xac\"", letters(98)));
    refused_value("name", text("\"%05000d\"", 0));
    refused_value("price", text("%d", MAX_PRICE + 1));
    refused_value("price", "-1");
    refused_value("price", "4294967296");
    refused_value("price", "9223372036854775807");
    refused_value("price", "-9223372036854775808");
    refused_value("quantity", text("%d", MAX_QUANTITY + 1));
    refused_value("quantity", "-1");
    refused_value("quantity", "4294967301");
}

TEST(test_09_what_is_not_json_is_refused)
{
    static const char *const bodies[] = {
        "",
        " \n",
        "nonsense",
        "{\"name\": \"a\", \"price\": 1",
        "{\"name\": \"a\", \"price\": 1}}",
        "{\"name\": \"a\", \"price\": 1} {}",
        "{\"name\": \"a\", \"price\": 1,}",
        "{'name': 'a', 'price': 1}",
        "{name: \"a\", \"price\": 1}",
        "{\"name\": \"a\", \"price\": 1} // a pen",
        "{\"name\": \"a\", \"price\": 01}",
        "{\"name\": \"a\", \"price\": +1}",
        "{\"name\": \"a\", \"price\": .5}",
        "{\"name\": \"a\", \"price\": NaN}",
        "{\"name\": \"a\", \"price\": 0x10}",
        "{\"name\": \"a\tb\", \"price\": 1}",
        "{\"name\": \"\\x41\", \"price\": 1}",
        "\xef\xbb\xbf{\"name\": \"a\", \"price\": 1}",
        /* JSON, but no object. */
        "[]",
        "[{\"name\": \"a\", \"price\": 1}]",
        "\"name\"",
        "1",
        "null",
        "true",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        refused(bodies[i], NULL);
    refused_bytes(NULL, 0, NULL, true);
    /* A NUL is a byte like any other, and none that JSON has. */
    static const char nul[] = "{\"name\": \"a\", \"price\": 1}\0";
    refused_bytes(nul, sizeof(nul) - 1, NULL, true);
    refused_bytes(nul, strlen(nul) - 1, NULL, true);
    char *deep = malloc(DEEP + 1);
    memset(deep, '[', DEEP);
    deep[DEEP] = '\0';
    refused(deep, NULL);
    free(deep);
}

TEST(test_10_what_two_readers_read_in_two_ways_is_refused)
{
    /* The first, or the last? */
    refused("{\"name\": \"a\", \"price\": 1, \"price\": 2}", NULL);
    refused("{\"name\": \"a\", \"price\": 1, \"price\": 1}", NULL);
    refused("{\"name\": \"a\", \"n\\u0061me\": \"b\", \"price\": 1}", NULL);
    /* Not UTF-8: a byte alone, cut off, longer than needed, half of a pair,
     * beyond the last character. */
    static const char *const names[] = {
        "\xff",         "a\xc3", "\x80",         "\xc0\xaf",
        "\xe0\x80\xaf", "\xe4",  "\xed\xa0\x80", "\xf4\x90\x80\x80"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        refused(text("{\"name\": \"%s\", \"price\": 1}", names[i]), NULL);
    refused("{\"name\": \"\\ud800\", \"price\": 1}", NULL);
    refused("{\"name\": \"\\ude00\\ud83d\", \"price\": 1}", NULL);
    /* Where does the name end? */
    refused("{\"name\": \"a\\u0000b\", \"price\": 1}", ANY);
    /* Exactly, or nearly? */
    refused("{\"name\": \"a\", \"price\": 18446744073709551617}", ANY);
    refused("{\"name\": \"a\", \"price\": -18446744073709551615}", ANY);
    refused("{\"name\": \"a\", \"price\": 1, \"quantity\":"
            " 99999999999999999999999999}",
            ANY);
}

TEST(test_11_names_are_data)
{
    static const char *const names[] = {"\\\"",
                                        "\\\\",
                                        "\\\",\\\"price\\\":9,\\\"",
                                        "%s%n%d",
                                        "\\n\\t\\u0001",
                                        "/\\/",
                                        "<b>",
                                        "\\ud83d\\ude00",
                                        "\xf0\x9f\x98\x80",
                                        "\x7f",
                                        " "};
    struct rest_api *api = store_new(20);
    uint64_t id;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *item = text("{\"id\": %zu, \"name\": \"%s\", \"price\": 5,"
                                " \"quantity\": 0}",
                                i + 1, names[i]);
        expect(create(api, text("{\"name\": \"%s\", \"price\": 5}", names[i]),
                      &id),
               item);
        expect(get(api, id), item);
    }
    rest_api_free(api);
}

TEST(test_12_a_full_store_takes_no_more)
{
    struct rest_api *api = store_new(2);
    uint64_t id = 77;
    add(api, "a");
    add(api, "b");
    expect_failure(create(api, "{\"name\": \"c\", \"price\": 1}", &id), ENOSPC);
    assert_int_equal(id, 77);
    /* What is wrong with the body goes first. */
    assert_fails(create(api, "{\"price\": 1}", &id), EINVAL);
    expect_error_at(TEST_PLACE("*json"), "name");
    assert_fails(update(api, 9, "{\"price\": -1}"), EINVAL);
    expect_error_at(TEST_PLACE("*json"), "price");
    assert_success(update(api, 2, "{\"price\": 9}"));
    take_json();
    drop(api, 1);
    assert_int_equal(add(api, "c"), 3);
    expect_failure(create(api, "{\"name\": \"d\", \"price\": 1}", &id), ENOSPC);
    rest_api_free(api);
}

/* Memory that runs out: at the learner's n-th call, or at jansson's. */

static int until_failure; /* 0: never */

static void *scarce_malloc(size_t size)
{
    if (until_failure > 0 && --until_failure == 0)
        return NULL;
    return malloc(size);
}

enum operation { CREATE, LIST, GET, REPLACE, UPDATE, DELETE, OPERATIONS };

/* What is not a CREATE or a LIST is about item 1. */
static int operate_with(struct rest_api *api, enum operation operation,
                        const char *body, char **out)
{
    uint64_t id;
    switch (operation) {
    case CREATE:
        return rest_api_create(api, body, strlen(body), &id, out);
    case LIST:
        return rest_api_list(api, out);
    case GET:
        return rest_api_get(api, 1, out);
    case REPLACE:
        return rest_api_replace(api, 1, body, strlen(body), out);
    case UPDATE:
        return rest_api_update(api, 1, body, strlen(body), out);
    default:
        return rest_api_delete(api, 1, out);
    }
}

static int operate(struct rest_api *api, enum operation operation, char **out)
{
    return operate_with(api, operation, "{\"name\": \"new\", \"price\": 9}",
                        out);
}

static bool is_json(const char *string)
{
    json_t *value = json_loads(string, 0, NULL);
    json_decref(value);
    return value;
}

/* The operation with memory that fails at the n-th call. Returns false if there
 * was enough. */
static bool fails_at(enum operation operation, size_t items, int n,
                     bool inside_jansson)
{
    struct rest_api *api = store_new(MANY);
    for (size_t i = 0; i < items; i++)
        add(api, "a");
    assert_success(rest_api_list(api, &json));
    const char *before = take_json();
    fault(inside_jansson ? "malloc:error=ENOMEM:when=100000"
                         : text("malloc:error=ENOMEM:when=%d,"
                                "calloc:error=ENOMEM:when=%d,"
                                "realloc:error=ENOMEM:when=%d,"
                                "reallocarray:error=ENOMEM:when=%d,"
                                "strdup:error=ENOMEM:when=%d,"
                                "strndup:error=ENOMEM:when=%d",
                                n, n, n, n, n, n));
    until_failure = inside_jansson ? n : 0;
    errno = 0;
    int result = operate(api, operation, &json);
    int error = errno;
    bool hit = inside_jansson ? until_failure == 0 : fault_hits() > 0;
    until_failure = 0;
    fault_clear();
    bool bodied =
        operation == CREATE || operation == REPLACE || operation == UPDATE;
    if (result == -1 && error != ENOMEM && !(bodied && error == EINVAL))
        fail_msg("expected: ENOMEM\nactual:   errno %d (%s)", error,
                 strerror(error));
    if (result == -1 && error == ENOMEM)
        assert_null(json);
    /* jansson 2.14 may hand out half a text then, and says that it worked. */
    if (result == 0 && operation == LIST && (!inside_jansson || is_json(json)))
        expect_json_at(TEST_PLACE("rest_api_list()"), before);
    take_json();
    if (result == -1)
        expect(rest_api_list(api, &json), before);
    uint64_t next = add(api, "b"); /* all goes on */
    if (result == -1)
        assert_int_equal(next, items + 1);
    rest_api_free(api);
    return hit;
}

static void fail_everywhere(enum operation operation, size_t items)
{
    for (int n = 1; n < MOST_FAILURES; n++)
        if (!fails_at(operation, items, n, false))
            break;
    json_set_alloc_funcs(scarce_malloc, free);
    for (int n = 1; n < MOST_FAILURES; n++)
        if (!fails_at(operation, items, n, true))
            break;
    json_set_alloc_funcs(malloc, free);
}

TEST(test_13_without_memory_nothing_is_changed, .limit_ms = 2000)
{
    fault("malloc:error=ENOMEM,calloc:error=ENOMEM");
    struct rest_api *api = rest_api_new(10);
    int error = errno;
    bool hit = fault_hits() > 0;
    fault_clear();
    if (hit && !api)
        assert_int_equal(error, ENOMEM);
    rest_api_free(api);

    for (int operation = 0; operation < OPERATIONS; operation++)
        fail_everywhere((enum operation)operation, 1);
    /* An array that has to grow. */
    fail_everywhere(CREATE, 0);
    fail_everywhere(CREATE, 16);
}

/* Two threads, one after the other. That they are is nothing that a thread may
 * rely on: only a mutex would make it so. */
struct racer {
    struct rest_api *api;
    enum operation operation;
    int *turn, mine;
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    char *out = NULL;
    while (__atomic_load_n(racer->turn, __ATOMIC_RELAXED) != racer->mine)
        sched_yield();
    operate(racer->api, racer->operation, &out);
    free(out);
    __atomic_store_n(racer->turn, racer->mine + 1, __ATOMIC_RELAXED);
    return NULL;
}

static void race_two(enum operation first, enum operation second)
{
    int turn = 0;
    pthread_t threads[2];
    struct rest_api *api = store_new(10);
    struct racer racers[2] = {{api, first, &turn, 0}, {api, second, &turn, 1}};
    add(api, "a");
    add(api, "b");
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, race, &racers[i]) != 0)
            fail_msg("pthread_create");
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    rest_api_free(api);
}

TEST(test_14_threads_share_the_items, .limit_ms = 2000)
{
    for (int first = 0; first < OPERATIONS; first++)
        for (int second = 0; second < OPERATIONS; second++)
            race_two((enum operation)first, (enum operation)second);
}

enum { MAKERS = 4, EACH = 25 };

static void *make_many(void *api)
{
    for (int i = 0; i < EACH; i++) {
        char *out = NULL;
        operate(api, CREATE, &out);
        free(out);
        operate(api, LIST, &out);
        free(out);
    }
    return NULL;
}

TEST(test_15_no_item_and_no_id_is_lost, .limit_ms = 3000)
{
    struct rest_api *api = store_new(MANY);
    pthread_t threads[MAKERS];
    for (int i = 0; i < MAKERS; i++)
        if (pthread_create(&threads[i], NULL, make_many, api) != 0)
            fail_msg("pthread_create");
    for (int i = 0; i < MAKERS; i++)
        pthread_join(threads[i], NULL);
    for (uint64_t id = 1; id <= MAKERS * EACH; id++) {
        assert_success(get(api, id));
        take_json();
    }
    assert_int_equal(add(api, "last"), MAKERS * EACH + 1);
    rest_api_free(api);
}

/* A second call, by another thread, that comes when the first one is half done:
 * where jansson wants memory for the n-th time. */
struct visit {
    struct rest_api *api;
    enum operation operation;
    const char *body;
    int until; /* it begins; 0: it has begun */
    pthread_t thread;
    pid_t tid;
    bool over;
};

static struct visit *visit; /* the one that is still to come, or NULL */

static void *come(void *arg)
{
    struct visit *v = arg;
    char *out = NULL;
    __atomic_store_n(&v->tid, gettid(), __ATOMIC_RELAXED);
    operate_with(v->api, v->operation, v->body, &out);
    free(out);
    __atomic_store_n(&v->over, true, __ATOMIC_RELAXED);
    return NULL;
}

/* Waits until the second call is over, or asleep since the first has the lock.
 * Whoever waits for a lock that spins never sleeps: patience has an end. */
static void wait_for(struct visit *v)
{
    pid_t tid;
    while ((tid = __atomic_load_n(&v->tid, __ATOMIC_RELAXED)) == 0)
        sched_yield();
    for (int i = 0; i < PATIENCE; i++)
        if (__atomic_load_n(&v->over, __ATOMIC_RELAXED) ||
            thread_state(tid) == 'S')
            return;
}

static void *visited_malloc(size_t size)
{
    struct visit *v = visit;
    if (v && --v->until == 0) {
        visit = NULL;
        if (pthread_create(&v->thread, NULL, come, v) != 0)
            fail_msg("pthread_create");
        wait_for(v);
    }
    return malloc(size);
}

static const char *item(int id, const char *name, int price, int quantity)
{
    return text("{\"id\": %d, \"name\": \"%s\", \"price\": %d,"
                " \"quantity\": %d}",
                id, name, price, quantity);
}

/* The bodies of two calls, and the items afterwards; or these, if the other was
 * first. */
struct meeting {
    size_t max_items;
    enum operation first;
    const char *body;
    enum operation second;
    const char *other, *expected, *or_expected;
};

/* Returns false if the first call was over before the second could come. */
static bool meet(const struct meeting *m, int n)
{
    struct rest_api *api = store_new(m->max_items);
    struct visit v = {
        .api = api, .operation = m->second, .body = m->other, .until = n};
    add(api, "a");
    add(api, "b");
    visit = &v;
    operate_with(api, m->first, m->body, &json);
    take_json();
    bool met = v.until == 0;
    if (met) {
        pthread_join(v.thread, NULL);
        assert_success(rest_api_list(api, &json));
        json_t *list = json_loads(json, 0, NULL);
        json_t *expected = json_loads(m->or_expected, 0, NULL);
        bool other = json_equal(list, expected);
        json_decref(list);
        json_decref(expected);
        expect_json_at(TEST_PLACE(text("the items after %s and %s at once",
                                       m->body, m->other)),
                       other ? m->or_expected : m->expected);
    }
    visit = NULL;
    rest_api_free(api);
    return met;
}

TEST(test_16_each_call_is_one_step_for_all_others, .limit_ms = 3000)
{
    const char *a = item(1, "a", 5, 0), *b = item(2, "b", 5, 0);
    const char *both = text("[%s, %s]", item(1, "a", 9, 8), b);
    const char *only_b = text("[%s]", b);
    const char *c = "{\"name\": \"c\", \"price\": 1}";
    const char *d = "{\"name\": \"d\", \"price\": 1}";
    const char *only_c = text("[%s, %s, %s]", a, b, item(3, "c", 1, 0));
    const char *only_d = text("[%s, %s, %s]", a, b, item(3, "d", 1, 0));
    const char *c_d =
        text("[%s, %s, %s, %s]", a, b, item(3, "c", 1, 0), item(4, "d", 1, 0));
    const char *d_c =
        text("[%s, %s, %s, %s]", a, b, item(3, "d", 1, 0), item(4, "c", 1, 0));
    const struct meeting meetings[] = {
        {9, UPDATE, "{\"price\": 9}", UPDATE, "{\"quantity\": 8}", both, both},
        {9, REPLACE, c, DELETE, "(none)", only_b, only_b},
        {9, CREATE, c, CREATE, d, c_d, d_c},
        {3, CREATE, c, CREATE, d, only_c, only_d},
    };
    json_set_alloc_funcs(visited_malloc, free);
    for (size_t i = 0; i < sizeof(meetings) / sizeof(meetings[0]); i++)
        for (int n = 1; n < MOST_FAILURES && meet(&meetings[i], n); n++)
            continue;
    json_set_alloc_funcs(malloc, free);
}
