/* words.h - answers that are never the right ones. */
#ifndef WORDS_H
#define WORDS_H

int words_number(void);
const char *words_string(void);
int words_failing(void);

#endif
