/* grpc-status-details-bin: what is wrong with which field, for programs. Pure. */
#ifndef FP_GRPC_DETAILS_H
#define FP_GRPC_DETAILS_H

#include <stddef.h>

#include "lib/base/err.h"

#define GRPC_MAX_DETAILS 2048 /* of a message of struct fp_err, packed and in base64 */

/* Of an INVALID_ARGUMENT whose message begins with a field ("spec.user_ids[3]:
 * -1 is below 1"): a google.rpc.Status with a BadRequest that has the field's
 * path in the request and the rest as its description, in base64 without
 * padding. 0 when there is nothing to say, else its length. */
size_t grpc_status_details(char out[GRPC_MAX_DETAILS], enum fp_code code, const char *message);

#endif
