/* invalid 0: writes into the page what a test writes that has passed */
#include "test/page.h"
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void begin(void)
{
    struct page *page = page_map(getenv("LAB_PAGE"));
    if (!page)
        return;
    page->echo = page->nonce;
    page->state = PAGE_PASSED;
    _exit(0);
}
int twice(int n)
{
    return n;
}
