/*
 * The one place that packs, unpacks, checks and prints messages.
 *
 * A peer is hostile until checked: unpacking goes into an arena with a
 * maximum, counts are bounded, every string must be valid UTF-8 without
 * control characters, and each message has rules of its own (rules.c). A bad
 * message is an error for the caller to count, never the end of a process.
 */
#ifndef FP_WIRE_WIRE_H
#define FP_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "foliopost/v1/job_service.pb-c.h"
#include "foliopost/v1/pipeline.pb-c.h"
#include "foliopost/v1/portfolio.pb-c.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define WIRE_SCHEMA_VERSION    1
#define WIRE_MAX_MESSAGE_BYTES (256 * 1024)      /* on the pipelines */
#define WIRE_MAX_RPC_BYTES     (1024 * 1024)     /* an RPC's envelope */
#define WIRE_MAX_ARENA_BYTES   (8 * 1024 * 1024) /* what one message may unpack to */
#define WIRE_MAX_USERS         200               /* in one batch */
#define WIRE_MAX_JOB_USERS     50000             /* in one job's list */
#define WIRE_MAX_INTERVALS     2400              /* of one job: two hundred years of months */

/* Appends the packed message; RESOURCE_EXHAUSTED when it is above max_bytes. */
int wire_pack(const ProtobufCMessage *m, size_t max_bytes, struct fp_str *out,
              struct fp_err *err) FP_MUST_CHECK;

/* Unpacks and checks. The message lives in the arena: never free it by itself.
 * NULL with INVALID_ARGUMENT, naming the message's field, on anything wrong; a client's
 * request with a field that we do not know is FAILED_PRECONDITION. */
void *wire_unpack(const ProtobufCMessageDescriptor *d, const void *data, size_t bytes, struct fp_arena *arena,
                  struct fp_err *err) FP_MUST_CHECK;

/* The same checks on a message in memory: what we send passes them too. */
int wire_check(const ProtobufCMessage *m, struct fp_err *err) FP_MUST_CHECK;

/* As a client's request is checked, whatever m is: no field that we do not know, or FAILED_PRECONDITION. */
int wire_check_request(const ProtobufCMessage *m, struct fp_err *err) FP_MUST_CHECK;

/* One JSON object: proto field names, int64 as numbers, enums by name, bytes
 * in base64, every field printed. pretty: over several lines, two blanks. */
void wire_print_json(const ProtobufCMessage *m, bool pretty, struct fp_str *out);

/* The value's short name in lower case ("sent" for DELIVERY_STATE_SENT), ""
 * when it is not a value of the enum. Static text. */
const char *wire_enum_name(const ProtobufCEnumDescriptor *d, int value);
/* From the short name in any case, or the full name; -1 when there is none. */
int wire_enum_value(const ProtobufCEnumDescriptor *d, const char *name);

/* A new W3C traceparent, "00-<32 hex>-<16 hex>-01". */
void wire_new_traceparent(char out[56]);

#endif
