/*
 * Signed tokens: what an unsubscribe link and a bounce address carry, so that
 * whoever brings one back names the mail it came from and nobody can name
 * another's. A token holds ids only, never an address or a name.
 *
 *   struct token_ids ids = {.purpose = TOKEN_UNSUBSCRIBE, .kind = token_kind_from_name("monthly"),
 *                           .job_id = 12, .user_id = 4711};
 *   char text[TOKEN_TEXT_BYTES];
 *   if (token_make(keys, &ids, text, err) < 0) ...      "ciaredasm5enktwkvige..."
 *
 * The text is lower case letters and digits (base32), 34 to 56 of them: fit for
 * a URL's path and, since case does not matter, for the local part of a bounce
 * address (64 at most: "bounce+" and any token). The same ids and key give the
 * same text, so a VERP address stays the same for every attempt and
 * greylisting lets it pass. Brand and template are found by the job.
 *
 * The key file has a line "ID:SECRET" for each key, ID 1 to 255, SECRET of 32
 * or more printable characters (`echo "1:$(openssl rand -hex 32)"`). The first
 * line signs, every line checks. To rotate: put the new key second everywhere,
 * then first, and take the old one out when the mails signed with it are too
 * old to matter (mailbox providers ask for 30 days of working links at least).
 * A changed file is noticed within a second; a broken one leaves the keys as
 * they were.
 */
#ifndef FP_TOKEN_TOKEN_H
#define FP_TOKEN_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define TOKEN_TEXT_BYTES 57 /* the longest token and its NUL */

/* Bound into the signature: a bounce address, which every mail server on the
 * way has in its logs, unsubscribes nobody. */
enum token_purpose {
    TOKEN_UNSUBSCRIBE = 1, /* in List-Unsubscribe and the footer's link */
    TOKEN_BOUNCE = 2,      /* in the envelope sender, and in tags and headers that events bring back */
};

/* Of the report, with the numbers of the proto's JobKind. */
enum token_kind { TOKEN_KIND_NONE = 0, TOKEN_KIND_WEEKLY = 1, TOKEN_KIND_MONTHLY = 2, TOKEN_KIND_CUSTOM = 3 };

struct token_ids {
    enum token_purpose purpose;
    enum token_kind kind;
    int64_t job_id, user_id; /* above 0 */
};

struct token_keys;

/* Reads the key file. FAILED_PRECONDITION names the file and the line, never
 * what stands there. */
struct token_keys *token_keys_open(const char *path, struct fp_err *err) FP_MUST_CHECK;
void token_keys_free(struct token_keys *k);

/* Thread-safe, both. token_make fails on ids that are not (INVALID_ARGUMENT).
 * token_check takes the `bytes` of text, any bytes; INVALID_ARGUMENT: no token,
 * or one for another purpose; NOT_FOUND: signed with a key that is not in the
 * file (any more); PERMISSION_DENIED: forged or damaged. *out only when 0. The
 * comparison's time tells nothing of the signature. */
int token_make(struct token_keys *k, const struct token_ids *ids, char out[TOKEN_TEXT_BYTES],
               struct fp_err *err) FP_MUST_CHECK;
int token_check(struct token_keys *k, enum token_purpose purpose, const char *text, size_t bytes,
                struct token_ids *out, struct fp_err *err) FP_MUST_CHECK;

enum token_kind token_kind_from_name(const char *kind); /* "weekly"; NONE for what is none */
const char *token_kind_name(enum token_kind kind);      /* "" for NONE */

#endif
