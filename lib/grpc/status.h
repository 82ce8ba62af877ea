/* gRPC's small texts: status messages and timeouts. Pure. */
#ifndef FP_GRPC_STATUS_H
#define FP_GRPC_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_MAX_MESSAGE 1600 /* percent-encoded: three bytes for one */

/* The text of grpc-message: printable ASCII but '%' stays, the rest becomes
 * %XX; what does not fit is cut between characters. Returns its length. */
size_t grpc_percent_encode(char *out, size_t cap, const char *text);

/* "100m", "5S": 1 to 8 digits and one of H M S m u n. Rounded up to ms and
 * capped at a year. False when it is not of that form. */
bool grpc_parse_timeout(const char *text, size_t bytes, int64_t *ms);

#endif
