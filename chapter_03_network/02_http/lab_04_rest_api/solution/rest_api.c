/* The store of items: an array in the order of the ids, and a mutex. */
#include "rest_api.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 16 }; /* items that the array begins with */

struct item {
    uint64_t id;
    char name[MAX_NAME + 1];
    json_int_t price, quantity;
};

/* What a body says. */
struct change {
    struct item item; /* of this the members that are named here: */
    bool name, price, quantity;
};

struct rest_api {
    pthread_mutex_t mutex; /* guards all below */
    struct item *items;    /* ids ascend */
    size_t count, room, max_items;
    uint64_t last_id;
};

struct rest_api *rest_api_new(size_t max_items)
{
    struct rest_api *api = calloc(1, sizeof(*api));
    if (!api)
        return NULL;
    pthread_mutex_init(&api->mutex, NULL);
    api->max_items = max_items;
    return api;
}

void rest_api_free(struct rest_api *api)
{
    if (!api)
        return;
    pthread_mutex_destroy(&api->mutex);
    free(api->items);
    free(api);
}

/* JSON that goes out. */

/* Makes the text of a value and drops the value, which may be NULL. */
static char *make_text(json_t *value)
{
    char *json = value ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    if (!json)
        errno = ENOMEM;
    return json;
}

static json_t *make_object(const struct item *item)
{
    return json_pack("{s:I, s:s, s:I, s:I}", "id", (json_int_t)item->id, "name",
                     item->name, "price", item->price, "quantity",
                     item->quantity);
}

/* What a call that fails hands out. field may be NULL. Returns -1. */
static int refuse(int error, const char *reason, const char *field, char **json)
{
    *json =
        make_text(json_pack("{s:s, s:s*}", "error", reason, "field", field));
    errno = *json ? error : ENOMEM;
    return -1;
}

/* JSON that comes in. */

static const char *read_name(const json_t *value, char *name)
{
    if (!json_is_string(value))
        return "must be a string";
    size_t len = json_string_length(value);
    if (len < 1 || len > MAX_NAME)
        return "must have 1 to 100 bytes";
    memcpy(name, json_string_value(value), len + 1);
    return NULL;
}

static const char *read_number(const json_t *value, json_int_t most,
                               json_int_t *number)
{
    if (!json_is_integer(value))
        return "must be an integer";
    *number = json_integer_value(value);
    return *number < 0 || *number > most ? "is out of range" : NULL;
}

/* Returns NULL, or what is wrong with this member. */
static const char *read_member(const char *key, const json_t *value,
                               struct change *change)
{
    if (strcmp(key, "name") == 0) {
        change->name = true;
        return read_name(value, change->item.name);
    }
    if (strcmp(key, "price") == 0) {
        change->price = true;
        return read_number(value, MAX_PRICE, &change->item.price);
    }
    if (strcmp(key, "quantity") == 0) {
        change->quantity = true;
        return read_number(value, MAX_QUANTITY, &change->item.quantity);
    }
    return "is unknown";
}

/* Reads the members of an object. whole: they have to make an item. */
static int read_members(json_t *object, bool whole, struct change *change,
                        char **json)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return refuse(EINVAL, "the body is no object", NULL, json);
    json_object_foreach(object, key, value)
    {
        const char *wrong = read_member(key, value, change);
        if (wrong)
            return refuse(EINVAL, wrong, key, json);
    }
    if (!whole)
        return 0;
    if (!change->name || !change->price)
        return refuse(EINVAL, "is missing", change->name ? "price" : "name",
                      json);
    change->quantity = true; /* 0, if the body does not say */
    return 0;
}

static int read_body(const char *body, size_t len, bool whole,
                     struct change *change, char **json)
{
    json_error_t error;
    *change = (struct change){0};
    json_t *object =
        json_loadb(len > 0 ? body : "", len, JSON_REJECT_DUPLICATES, &error);
    if (object) {
        int result = read_members(object, whole, change, json);
        int saved = errno;
        json_decref(object);
        errno = saved;
        return result;
    }
    if (error.text[0] == '\0' ||
        json_error_code(&error) == json_error_out_of_memory) {
        *json = NULL;
        errno = ENOMEM;
        return -1;
    }
    if (json_error_code(&error) == json_error_duplicate_key)
        return refuse(EINVAL, "the body has a key twice", NULL, json);
    return refuse(EINVAL, "the body is not JSON", NULL, json);
}

static void apply(const struct change *change, struct item *item)
{
    if (change->name)
        memcpy(item->name, change->item.name, sizeof(item->name));
    if (change->price)
        item->price = change->item.price;
    if (change->quantity)
        item->quantity = change->item.quantity;
}

/* The array. Whoever calls these holds the mutex. */

/* Returns NULL if there is no such item. */
static struct item *find(const struct rest_api *api, uint64_t id)
{
    size_t low = 0, high = api->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (api->items[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < api->count && api->items[low].id == id ? &api->items[low]
                                                        : NULL;
}

static int make_room(struct rest_api *api)
{
    if (api->count == api->max_items) {
        errno = ENOSPC;
        return -1;
    }
    if (api->count < api->room)
        return 0;
    size_t room = api->room > 0 ? api->room * 2 : FIRST_ROOM;
    struct item *items = reallocarray(api->items, room, sizeof(*items));
    if (!items)
        return -1;
    api->items = items;
    api->room = room;
    return 0;
}

/* The answer is made first: once there is one, nothing can fail any more. */
static int insert(struct rest_api *api, const struct change *change,
                  uint64_t *id, char **json)
{
    struct item item = {.id = api->last_id + 1};
    if (make_room(api) == -1)
        return -1;
    apply(change, &item);
    *json = make_text(make_object(&item));
    if (!*json)
        return -1;
    api->items[api->count++] = item;
    *id = api->last_id = item.id;
    return 0;
}

static int set(struct rest_api *api, uint64_t id, const struct change *change,
               char **json)
{
    struct item *item = find(api, id);
    if (!item) {
        errno = ENOENT;
        return -1;
    }
    struct item changed = *item;
    apply(change, &changed);
    *json = make_text(make_object(&changed));
    if (!*json)
        return -1;
    *item = changed;
    return 0;
}

static int copy(const struct rest_api *api, uint64_t id, struct item *to)
{
    const struct item *item = find(api, id);
    if (!item) {
        errno = ENOENT;
        return -1;
    }
    *to = *item;
    return 0;
}

static int take_out(struct rest_api *api, uint64_t id)
{
    struct item *item = find(api, id);
    if (!item) {
        errno = ENOENT;
        return -1;
    }
    const struct item *end = api->items + api->count;
    memmove(item, item + 1, (size_t)(end - item - 1) * sizeof(*item));
    api->count--;
    return 0;
}

/* A call on the array has failed, and the mutex is free again. */
static int explain(char **json)
{
    *json = NULL;
    if (errno == ENOENT)
        return refuse(ENOENT, "there is no such item", NULL, json);
    if (errno == ENOSPC)
        return refuse(ENOSPC, "there is no room for more items", NULL, json);
    return -1;
}

/* The six functions. */

int rest_api_create(struct rest_api *api, const char *body, size_t len,
                    uint64_t *id, char **json)
{
    struct change change;
    if (read_body(body, len, true, &change, json) == -1)
        return -1;
    pthread_mutex_lock(&api->mutex);
    int result = insert(api, &change, id, json);
    pthread_mutex_unlock(&api->mutex);
    return result == -1 ? explain(json) : 0;
}

/* A copy is taken under the lock, its text made without: nobody waits for
 * that. */
int rest_api_list(struct rest_api *api, char **json)
{
    pthread_mutex_lock(&api->mutex);
    size_t count = api->count;
    struct item *items = calloc(count + 1, sizeof(*items));
    if (items && count > 0)
        memcpy(items, api->items, count * sizeof(*items));
    pthread_mutex_unlock(&api->mutex);

    json_t *array = items ? json_array() : NULL;
    for (size_t i = 0; array && i < count; i++) {
        if (json_array_append_new(array, make_object(&items[i])) == -1) {
            json_decref(array);
            array = NULL;
        }
    }
    free(items);
    *json = make_text(array);
    return *json ? 0 : -1;
}

int rest_api_get(struct rest_api *api, uint64_t id, char **json)
{
    struct item item;
    pthread_mutex_lock(&api->mutex);
    int result = copy(api, id, &item);
    pthread_mutex_unlock(&api->mutex);
    if (result == -1)
        return explain(json);
    *json = make_text(make_object(&item));
    return *json ? 0 : -1;
}

static int change_item(struct rest_api *api, uint64_t id, const char *body,
                       size_t len, bool whole, char **json)
{
    struct change change;
    if (read_body(body, len, whole, &change, json) == -1)
        return -1;
    pthread_mutex_lock(&api->mutex);
    int result = set(api, id, &change, json);
    pthread_mutex_unlock(&api->mutex);
    return result == -1 ? explain(json) : 0;
}

int rest_api_replace(struct rest_api *api, uint64_t id, const char *body,
                     size_t len, char **json)
{
    return change_item(api, id, body, len, true, json);
}

int rest_api_update(struct rest_api *api, uint64_t id, const char *body,
                    size_t len, char **json)
{
    return change_item(api, id, body, len, false, json);
}

int rest_api_delete(struct rest_api *api, uint64_t id, char **json)
{
    *json = NULL;
    pthread_mutex_lock(&api->mutex);
    int result = take_out(api, id);
    pthread_mutex_unlock(&api->mutex);
    return result == -1 ? explain(json) : 0;
}
