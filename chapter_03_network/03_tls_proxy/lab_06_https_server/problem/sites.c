/*
 * sites.c - certificates: loading them, choosing one for a client.
 *
 * Each site has an SSL_CTX of its own. All begin with the first one's; the
 * name that the client asks for may lead to another.
 */
#include "server.h"
#include "todo.h"

#include <err.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

/* The certificate for the name that the client asks for. Without one that
 * fits the first site stays: the client decides whether that will do. */
static int choose_site(SSL *ssl, int *alert, void *unused)
{
    todo("choose_site");
}

/* A client that offers protocols and not ours speaks something else. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen,
                           unsigned char *len, const unsigned char *offered,
                           unsigned offered_len, void *unused)
{
    todo("choose_protocol");
}

/* Returns NULL, with a message, where the files are no certificate and its
 * key. */
static SSL_CTX *load_site(const struct site *site)
{
    todo("load_site");
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_tlsext_servername_callback(ctx, choose_site);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    return ctx;
}

static void unload(struct site *sites, int count)
{
    for (int i = 0; i < count; i++)
        SSL_CTX_free(sites[i].ctx); /* connections may still hold it */
}

/* What is in use stays until the new ones are complete. */
int sites_load(void)
{
    todo("sites_load");
    return load_site(&server.sites[0]) ? 0 : -1;
}

void sites_release(void)
{
    unload(server.sites, server.num_sites);
}
