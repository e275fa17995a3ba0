/*
 * words.c - bytes of others, made harmless.
 */
#include "grade.h"

#include <err.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* The length of the character that starts here, its number in *number; 0 when
 * this is no UTF-8. */
static size_t decode(const unsigned char *at, size_t len, uint32_t *number)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = at[0] < 0x80             ? 1
                  : (at[0] & 0xe0) == 0xc0 ? 2
                  : (at[0] & 0xf0) == 0xe0 ? 3
                  : (at[0] & 0xf8) == 0xf0 ? 4
                                           : 0;
    if (size == 0 || size > len)
        return 0;
    *number = size == 1 ? at[0] : at[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        *number = *number << 6 | (at[i] & 0x3f);
    }
    bool surrogate = *number >= 0xd800 && *number < 0xe000;
    return *number < least[size] || *number > 0x10ffff || surrogate ? 0 : size;
}

/* Controls drive terminals, XML has no way to write them, and marks of
 * direction make a line read as another one. */
static bool is_harmless(uint32_t number)
{
    return number == '\n' || number == '\t' ||
           (number >= ' ' && number < 0x7f) ||
           (number >= 0xa0 && number != 0x61c && number != 0x200e &&
            number != 0x200f && !(number >= 0x2028 && number <= 0x202e) &&
            !(number >= 0x2066 && number <= 0x2069) && number != 0xfeff &&
            (number & 0xfffe) != 0xfffe);
}

char *clean_text(const char *bytes, size_t len)
{
    const unsigned char *at = (const unsigned char *)bytes;
    char *clean, *result;
    result = clean = keep(malloc(3 * len + 1));
    for (size_t size; len > 0; at += size, len -= size) {
        uint32_t number;
        size = decode(at, len, &number);
        bool harmless = size > 0 && is_harmless(number);
        if (size == 0)
            size = 1;
        size_t written = harmless ? size : strlen(replacement);
        memcpy(clean, harmless ? (const char *)at : replacement, written);
        clean += written;
    }
    *clean = '\0';
    return result;
}

struct digest {
    EVP_MD_CTX *context;
};

struct digest *digest_new(void)
{
    struct digest *digest = keep(malloc(sizeof *digest));
    digest->context = EVP_MD_CTX_new();
    if (!digest->context ||
        !EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL))
        errx(1, "SHA-256 is not to be had");
    return digest;
}

void digest_add(struct digest *digest, const void *bytes, size_t len)
{
    uint64_t length = len; /* so that "a" "bc" is not "ab" "c" */
    EVP_DigestUpdate(digest->context, &length, sizeof length);
    EVP_DigestUpdate(digest->context, bytes, len);
}

const char *digest_end(struct digest *digest)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    char *result = text("%*s", 64, "");
    EVP_DigestFinal_ex(digest->context, bytes, &size);
    EVP_MD_CTX_free(digest->context);
    for (unsigned i = 0; i < size && i < 32; i++)
        sprintf(result + 2 * i, "%02x", bytes[i]);
    return result;
}

char *safe_name(const char *name)
{
    enum { LONGEST = 120 };
    char *result = keep(calloc(1, 3 * strlen(name) + 1)), *to = result;
    for (const char *c = name; *c; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || *c == '_' ||
                     (c > name && (*c == '-' || *c == '.'));
        if (plain)
            *to++ = *c;
        else
            to += sprintf(to, "%%%02X", (unsigned char)*c);
    }
    if (strlen(result) <= LONGEST)
        return result;
    struct digest *digest = digest_new();
    digest_add(digest, name, strlen(name));
    return text("%.*s%%%.16s", LONGEST, result, digest_end(digest));
}
