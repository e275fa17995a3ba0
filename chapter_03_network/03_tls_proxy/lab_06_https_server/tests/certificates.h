/*
 * certificates.h - makes certificates for tests, in the working directory.
 *
 *     certificate("one", "DNS:one.test");     one.pem and one.key, signed
 *                                             by root.pem
 *
 * Keys are EC P-256: made in a millisecond. The root is made with the first
 * certificate; all are signed by it and valid for a day, unless options say
 * else. A file that is there is replaced.
 */
#ifndef CERTIFICATES_H
#define CERTIFICATES_H

#include <stdbool.h>

struct certificate_options {
    bool expired;           /* yesterday was its last day */
    bool chain;             /* an intermediate one signs it, and stands behind
                               it in the file */
    const char *passphrase; /* of the key's file */
    const char *key_type;   /* of its key; default "P-256", else "ED25519" */
};

#define certificate(...) \
    certificate_with((struct certificate_options){0}, __VA_ARGS__)
/* names: as in openssl's subjectAltName. Returns the serial number: each
 * certificate of a test has one of its own. */
long certificate_with(struct certificate_options options, const char *file,
                      const char *names);

#endif
