/*
 * Catalogues: the messages of one language, from LANGUAGE.properties files.
 *
 *   # a comment
 *   bridge.fees = Fees
 *   greeting.name = Hello {{first_name}},
 *
 * UTF-8, one message a line, its key of lower case letters, digits, "_" and
 * ".". Blanks around key and message do not count. A later file may replace
 * messages of an earlier one, so that a company changes a word without a copy
 * of all of them; one file has no key twice.
 */
#ifndef FP_RENDER_CATALOGUE_H
#define FP_RENDER_CATALOGUE_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/intl/intl.h"
#include "lib/render/words.h"

struct message {
    char *key, *text;
    char *file;
    int line;
};

/* The code's own messages, looked up once; they live as long as the catalogue. */
struct words {
    const char *word[WORD_COUNT];
    const char *plural[PLURAL_COUNT][INTL_PLURALS]; /* NULL: a category that the language has not */
};

struct catalogue;

struct catalogue *catalogue_new(const char *tag); /* "de", "pt-BR" */
void catalogue_free(struct catalogue *c);
const char *catalogue_tag(const struct catalogue *c);
/* Errors name file and line. */
int catalogue_add(struct catalogue *c, const char *file, const char *text, struct fp_err *err) FP_MUST_CHECK;
/* NULL when there is none of that key. */
const struct message *catalogue_find(const struct catalogue *c, const char *key, size_t key_bytes);
/* Finds what the code needs; NOT_FOUND names file and key of a missing message,
 * INVALID_ARGUMENT file, line and value of one that asks for what there is not. */
int catalogue_words(const struct catalogue *c, struct words *out, struct fp_err *err) FP_MUST_CHECK;

struct word_value {
    const char *name, *text;
};
/* The message with its {{values}} filled in; at most cap - 1 bytes, whole
 * characters. `values` ends with a NULL name. */
void words_fill(char *out, size_t cap, const char *message, const struct word_value *values);

#endif
