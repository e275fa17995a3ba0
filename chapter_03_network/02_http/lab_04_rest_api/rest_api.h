/*
 * rest_api.h - a store of items: JSON in, JSON out, no HTTP.
 *
 *     struct rest_api *api = rest_api_new(1000);
 *     const char *body = "{\"name\": \"pen\", \"price\": 120}";
 *     uint64_t id;
 *     char *json;
 *     if (rest_api_create(api, body, strlen(body), &id, &json) == -1)
 *         status = errno == EINVAL ? 400 : …
 *     answer with json, then free(json)
 *     rest_api_free(api);
 *
 * An item is a JSON object with these four members:
 *
 *     id        integer, given by the store: 1 for the first item, and one
 *               more for each that is created; none is ever given twice
 *     name      string of 1 to MAX_NAME bytes in UTF-8
 *     price     integer from 0 to MAX_PRICE, in cents
 *     quantity  integer from 0 to MAX_QUANTITY
 *
 * A body that is handed in is a JSON object with some of the last three. It is
 * refused as a whole (EINVAL), and nothing is changed, if
 *
 *   - it is not one JSON text (RFC 8259) in UTF-8: empty, cut off, with
 *     something behind it; or the text is no object;
 *   - an object in it has a key twice, a string in it has U+0000, an integer
 *     in it does not fit into 64 bits, or it is nested more than 2,048 deep;
 *   - a member is unknown ("id" is: nobody but the store sets it), is missing
 *     although the function needs it, has another type or is out of its range.
 *     A number with a fraction or an exponent (5.0, 5e1) is no integer. null
 *     is a type of its own.
 *
 * All functions may be called by many threads at once, rest_api_free aside.
 * Each call is one step for all others: they see the items as they are before
 * it or after it, and what two of them set at once is not lost. A body is the
 * caller's again when the call returns.
 *
 * Each returns 0, or -1 with errno, and hands out a text in *json that the
 * caller frees with free(3). After 0 it is what the function says. After -1 it
 * is an object with the member "error", a string of at least one byte that
 * says what is wrong, and the member "field", the name of the member that is
 * unknown, missing or wrong. If several are, any one of them is told. Without
 * such a member there is no "field"; for U+0000 and for a number that is too
 * large (an integer of more than 64 bits, 1e400) it may be there or not. Order
 * of members and blanks are free in all texts.
 *
 * An error of all functions but rest_api_free; each names its others. What
 * fails has changed nothing.
 *
 *   ENOMEM  no memory; *json is then NULL. If the memory ran out while the
 *           body was read, it may be told as EINVAL: jansson does not always
 *           tell which it was. EINVAL may come without text, *json NULL, only
 *           then. Nor does jansson always notice: an error may lack its
 *           "field", and json_dumps() of 2.14 may return a text that is cut
 *           off. What it does not notice need not be noticed here.
 *
 * No pointer may be NULL, but body may if len is 0.
 */
#ifndef REST_API_H
#define REST_API_H

#include <stddef.h>
#include <stdint.h>

enum {
    MAX_NAME = 100,        /* bytes */
    MAX_PRICE = 100000000, /* cents */
    MAX_QUANTITY = 1000000,
};

/* What is in it is up to you (src/rest_api.c). */
struct rest_api;

/* Returns an empty store that holds at most max_items at a time; at least 1.
 * NULL on error (ENOMEM). The caller frees it with rest_api_free(). */
struct rest_api *rest_api_new(size_t max_items);

/* Frees it with all its items; does nothing with NULL. No other call may be
 * under way. */
void rest_api_free(struct rest_api *api);

/*
 * Makes an item: name and price are needed, quantity is 0 if it is missing.
 * *json is the item, *id its id; *id is not touched on error, and an error uses
 * up no id.
 *
 *   EINVAL  the body is refused
 *   ENOSPC  there are max_items already; told only if the body is fine
 */
int rest_api_create(struct rest_api *api, const char *body, size_t len,
                    uint64_t *id, char **json);

/* *json is an array of all items in ascending order of their ids. */
int rest_api_list(struct rest_api *api, char **json);

/* *json is the item with this id.
 *
 *   ENOENT  there is none
 */
int rest_api_get(struct rest_api *api, uint64_t id, char **json);

/*
 * Sets the whole item: members are needed, or may be missing, as in
 * rest_api_create(). *json is the item as it is now.
 *
 *   EINVAL  the body is refused
 *   ENOENT  there is no such item; told only if the body is fine
 */
int rest_api_replace(struct rest_api *api, uint64_t id, const char *body,
                     size_t len, char **json);

/* Sets the members that the body has, perhaps none, and leaves the others as
 * they are. *json and errors as with rest_api_replace(). */
int rest_api_update(struct rest_api *api, uint64_t id, const char *body,
                    size_t len, char **json);

/* Removes the item. *json is NULL after 0.
 *
 *   ENOENT  there is none
 */
int rest_api_delete(struct rest_api *api, uint64_t id, char **json);

#endif
