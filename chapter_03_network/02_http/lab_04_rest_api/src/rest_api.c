/* The store of items: an array in the order of the ids, and a mutex. */
#include "rest_api.h"
#include "todo.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The structs are a suggestion. A json_t is not kept between two calls: its
 * functions know nothing of your lock, and ThreadSanitizer does not look into
 * libraries. */

struct item {
    uint64_t id;
    char name[MAX_NAME + 1];
    json_int_t price, quantity;
};

struct rest_api {
    pthread_mutex_t mutex; /* guards all below */
    struct item *items;    /* ids ascend */
    size_t count, room, max_items;
    uint64_t last_id;
};

struct rest_api *rest_api_new(size_t max_items)
{
    todo("rest_api_new");
}

void rest_api_free(struct rest_api *api)
{
    todo("rest_api_free");
}

int rest_api_create(struct rest_api *api, const char *body, size_t len,
                    uint64_t *id, char **json)
{
    todo("rest_api_create");
}

int rest_api_list(struct rest_api *api, char **json)
{
    todo("rest_api_list");
}

int rest_api_get(struct rest_api *api, uint64_t id, char **json)
{
    todo("rest_api_get");
}

int rest_api_replace(struct rest_api *api, uint64_t id, const char *body,
                     size_t len, char **json)
{
    todo("rest_api_replace");
}

int rest_api_update(struct rest_api *api, uint64_t id, const char *body,
                    size_t len, char **json)
{
    todo("rest_api_update");
}

int rest_api_delete(struct rest_api *api, uint64_t id, char **json)
{
    todo("rest_api_delete");
}
