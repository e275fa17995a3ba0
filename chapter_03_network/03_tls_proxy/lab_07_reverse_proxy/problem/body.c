#include "body.h"
#include "todo.h"

#include <stdio.h>

struct body body_begin(const struct http_head *head, bool may_chunk)
{
    todo("body_begin");
}

int body_move(struct body *body, struct buffer *in, bool ended,
              struct buffer *out)
{
    todo("body_move");
}
