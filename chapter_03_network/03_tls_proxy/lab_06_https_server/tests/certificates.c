#include "certificates.h"

#include "test/test.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum { DAY = 24 * 60 * 60 };

struct identity {
    X509 *cert;
    EVP_PKEY *key;
};

static struct identity root;
static long last_serial;

static EVP_PKEY *new_key(const char *type)
{
    EVP_PKEY *key = type && strcmp(type, "ED25519") == 0
                        ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                        : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    if (!key)
        fail_msg("no key could be made");
    return key;
}

static void extend(X509 *cert, X509 *issuer, int what, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension =
        X509V3_EXT_conf_nid(NULL, &context, what, value);
    if (!extension || !X509_add_ext(cert, extension, -1))
        fail_msg("no certificate could be made with \"%s\"", value);
    X509_EXTENSION_free(extension);
}

/* names: NULL for one that signs others. No issuer: it signs itself. */
static struct identity issue(const struct identity *issuer, const char *subject,
                             const char *names, bool expired, const char *type)
{
    struct identity new = {.cert = X509_new(), .key = new_key(type)};
    const struct identity *by = issuer ? issuer : &new;
    X509_set_version(new.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(new.cert), ++last_serial);
    X509_gmtime_adj(X509_getm_notBefore(new.cert), -3 * DAY);
    X509_gmtime_adj(X509_getm_notAfter(new.cert), expired ? -DAY : DAY);
    X509_set_pubkey(new.cert, new.key);
    X509_NAME *name = X509_get_subject_name(new.cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               (const unsigned char *)subject, -1, -1, 0);
    X509_set_issuer_name(new.cert, X509_get_subject_name(by->cert));
    extend(new.cert, by->cert, NID_basic_constraints,
           names ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (names)
        extend(new.cert, by->cert, NID_subject_alt_name, names);
    else
        extend(new.cert, by->cert, NID_key_usage, "critical,keyCertSign");
    if (!X509_sign(new.cert, by->key, EVP_sha256()))
        fail_msg("no certificate could be signed");
    return new;
}

static FILE *create(const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    return file;
}

static void identity_release(struct identity *identity)
{
    X509_free(identity->cert);
    EVP_PKEY_free(identity->key);
}

long certificate_with(struct certificate_options options, const char *file,
                      const char *names)
{
    if (!root.cert) {
        root = issue(NULL, "Root", NULL, false, NULL);
        FILE *out = create("root.pem");
        PEM_write_X509(out, root.cert);
        fclose(out);
    }
    struct identity between = {0};
    if (options.chain)
        between = issue(&root, "Intermediate", NULL, false, NULL);
    struct identity leaf = issue(options.chain ? &between : &root, file, names,
                                 options.expired, options.key_type);
    FILE *out = create(text("%s.pem", file));
    PEM_write_X509(out, leaf.cert);
    if (options.chain)
        PEM_write_X509(out, between.cert);
    fclose(out);
    const char *secret = options.passphrase;
    out = create(text("%s.key", file));
    PEM_write_PrivateKey(out, leaf.key, secret ? EVP_aes_128_cbc() : NULL,
                         (const unsigned char *)secret,
                         secret ? (int)strlen(secret) : 0, NULL, NULL);
    fclose(out);
    long serial = ASN1_INTEGER_get(X509_get0_serialNumber(leaf.cert));
    identity_release(&leaf);
    identity_release(&between);
    return serial;
}
