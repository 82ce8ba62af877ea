/* The keys of the tokens: a file that is read again when it changes. */
#ifndef FP_TOKEN_KEYS_H
#define FP_TOKEN_KEYS_H

#include <stdbool.h>

#include "lib/token/token.h"

#define TOKEN_SECRET_BYTES 256

struct token_key {
    int id; /* 1 to 255 */
    char secret[TOKEN_SECRET_BYTES];
};

/* The file's first key. Thread-safe, both. */
void token_key_signing(struct token_keys *k, struct token_key *out);
bool token_key_find(struct token_keys *k, int id, struct token_key *out);

#endif
