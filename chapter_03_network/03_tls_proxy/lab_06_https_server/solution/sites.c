/*
 * sites.c - certificates: loading them, choosing one for a client.
 *
 * Each site has an SSL_CTX of its own. All begin with the first one's; the
 * name that the client asks for may lead to another.
 */
#include "server.h"

#include <err.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

/* TLS 1.2: keys that are forgotten, and ciphers that authenticate. */
static const char suites[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* The certificate for the name that the client asks for. Without one that
 * fits the first site stays: the client decides whether that will do. */
static int choose_site(SSL *ssl, int *alert, void *unused)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    for (int i = 0; name && i < server.num_sites; i++) {
        SSL_CTX *ctx = server.sites[i].ctx;
        if (X509_check_host(SSL_CTX_get0_certificate(ctx), name, 0, 0, NULL) ==
            1) {
            SSL_set_SSL_CTX(ssl, ctx);
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* A client that offers protocols and not ours speaks something else. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen,
                           unsigned char *len, const unsigned char *offered,
                           unsigned offered_len, void *unused)
{
    static const unsigned char ours[] = "\x08http/1.1";
    if (SSL_select_next_proto((unsigned char **)chosen, len, ours,
                              sizeof(ours) - 1, offered,
                              offered_len) == OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_OK;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Nobody sits before a server: a key with a passphrase is an error. */
static int no_passphrase(char *buf, int size, int writing, void *unused)
{
    return -1;
}

/* Returns NULL, with a message, where the files are no certificate and its
 * key. */
static SSL_CTX *load_site(const struct site *site)
{
    const char *file = site->cert;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
        !SSL_CTX_set_cipher_list(ctx, suites))
        errx(1, "OpenSSL cannot be set up");
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_tlsext_servername_callback(ctx, choose_site);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, file)) {
        file = site->key;
        if (SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM) &&
            SSL_CTX_check_private_key(ctx))
            return ctx;
    }
    unsigned long error = ERR_peek_error();
    const char *reason = ERR_SYSTEM_ERROR(error)
                             ? strerror(ERR_GET_REASON(error))
                             : ERR_reason_error_string(error);
    warnx("%s: %s", file, reason ? reason : "cannot be used");
    SSL_CTX_free(ctx);
    return NULL;
}

static void unload(struct site *sites, int count)
{
    for (int i = 0; i < count; i++)
        SSL_CTX_free(sites[i].ctx); /* connections may still hold it */
}

/* What is in use stays until the new ones are complete. */
int sites_load(void)
{
    struct site sites[MAX_SITES];
    memcpy(sites, server.sites, sizeof(sites));
    for (int i = 0; i < server.num_sites; i++) {
        sites[i].ctx = load_site(&sites[i]);
        if (!sites[i].ctx) {
            unload(sites, i);
            return -1;
        }
    }
    unload(server.sites, server.num_sites);
    memcpy(server.sites, sites, sizeof(sites));
    return 0;
}

void sites_release(void)
{
    unload(server.sites, server.num_sites);
}
