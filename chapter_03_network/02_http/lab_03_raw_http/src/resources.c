/*
 * Lab 3: raw_http, what the server has to say
 *
 * Goal: from a request that has been read to the bytes of its answer.
 *
 * Requirements: "Resources" and "Answers" in the README. raw_http.h says which
 * functions main.c gets from here; change that as you like.
 *
 * Hints:
 * - The date changes once a second, and making it takes longer than all the
 *   rest.
 * - No snprintf: stpcpy(3) and mempcpy(3) say where to go on.
 */
#include "raw_http.h"

#include "todo.h"

bool resource_wants_body(const struct http_head *head)
{
    todo("resource_wants_body");
}

struct answer resource_answer(const struct http_head *head, const char *content,
                              size_t len)
{
    todo("resource_answer");
}

struct answer answer_error(int status)
{
    todo("answer_error");
}

size_t answer_write(const struct answer *answer, const struct http_head *head,
                    bool last, char *out)
{
    todo("answer_write");
}
