#include "search.h"

#include <string.h>

/* Which bytes are rare is judged by the beginning of the text. */
struct search search_begin(const char *pattern, const char *start,
                           const char *end)
{
    enum { SAMPLE = 512 };
    unsigned seen[256] = {0};
    if (end - start > SAMPLE)
        end = start + SAMPLE;
    while (start < end)
        seen[(unsigned char)*start++]++;

    struct search search = {.pattern = pattern, .len = strlen(pattern)};
    unsigned fewest = SAMPLE + 1;
    for (size_t i = 0; i < search.len; i++) {
        unsigned times = seen[(unsigned char)pattern[i]];
        if (times < fewest) {
            fewest = times;
            search.rare = i;
        }
    }
    return search;
}

/* memchr(3) is the fastest search there is: it goes from one rare byte to the
 * next, and only there the pattern is compared. */
const char *search_find(const struct search *search, const char *start,
                        const char *end)
{
    if (search->len == 0)
        return start;
    while ((size_t)(end - start) >= search->len) {
        size_t places = (size_t)(end - start) - search->len + 1;
        const char *rare =
            memchr(start + search->rare, search->pattern[search->rare], places);
        if (!rare)
            return NULL;
        start = rare - search->rare;
        if (memcmp(start, search->pattern, search->len) == 0)
            return start;
        start++;
    }
    return NULL;
}

/* Of a loop with a constant number of turns compilers make vector
 * instructions; hence the chunks. */
long count_newlines(const char *start, const char *end)
{
    enum { CHUNK = 128 };
    long count = 0;
    for (; end - start >= CHUNK; start += CHUNK) {
        unsigned char here = 0;
        for (int i = 0; i < CHUNK; i++)
            here += start[i] == '\n';
        count += here;
    }
    while (start < end)
        count += *start++ == '\n';
    return count;
}
