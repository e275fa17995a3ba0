/*
 * asan.h - AddressSanitizer's two macros, in every build.
 *
 *     ASAN_POISON_MEMORY_REGION(address, size)    nobody may use these bytes
 *     ASAN_UNPOISON_MEMORY_REGION(address, size)  they may be used
 *
 * ASan knows memory in granules of 8 bytes: all of a granule may be used, or
 * none of it, or its first bytes. So let a region begin at a multiple of 8. To
 * poison the first bytes of a granule whose last may be used does nothing.
 * <sanitizer/asan_interface.h> has both in full. Where ASan is not compiled in,
 * they do nothing, and HAS_ASAN is 0.
 */
#ifndef ASAN_H
#define ASAN_H

#if defined(__SANITIZE_ADDRESS__) /* gcc says it this way, */
#define HAS_ASAN 1
#elif defined(__has_feature) /* and clang this way */
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifndef HAS_ASAN
#define HAS_ASAN 0
#endif

#if HAS_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) \
    ((void)(address), (void)(size))
#endif

#endif
