/* Amazon SNS: is this message signed by SNS, for one of our topics? */
#ifndef FP_INBOUND_SNS_H
#define FP_INBOUND_SNS_H

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

/* Gets a URL that was checked before: HTTPS, no redirects, bounded. */
typedef int sns_get(void *ctx, const char *url, struct fp_str *out, struct fp_err *err);

struct sns; /* certificates that were fetched; thread-safe */

/* topics: ARNs by commas. folder "": certificates come by `get`, NULL for
 * libcurl; else from that folder and nothing is fetched. */
struct sns *sns_new(const char *topics, const char *folder, sns_get *get, void *ctx);
void sns_free(struct sns *s);
/* 0 when the message's topic is ours and its signature (version 1 or 2) is
 * SNS's. PERMISSION_DENIED: it is not; INVALID_ARGUMENT: not an SNS message;
 * UNAVAILABLE: the certificate cannot be had now. */
int sns_check(struct sns *s, const json_t *message, struct fp_err *err) FP_MUST_CHECK;
/* Confirms a subscription that was checked. */
int sns_confirm(struct sns *s, const json_t *message, struct fp_err *err) FP_MUST_CHECK;
/* "https://sns.REGION.amazonaws.com/..." of this region, or in China, and
 * nothing that a URL parser could read otherwise. */
bool sns_is_own_url(const char *url, const char *region);

#endif
