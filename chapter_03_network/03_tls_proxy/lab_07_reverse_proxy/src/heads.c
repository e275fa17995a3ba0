/* What becomes of a head on its way: see reverse_proxy.h. */
#include "reverse_proxy.h"
#include "todo.h"

#include <errno.h>
#include <string.h>

ssize_t head_to_backend(const struct http_head *request, const char *client,
                        char *out, size_t size)
{
    todo("head_to_backend");
}

ssize_t head_to_client(const struct http_head *response, int minor, bool close,
                       char *out, size_t size)
{
    todo("head_to_client");
}
