/*
 * Errors: what went wrong, with the names and values a person needs.
 *
 * A function that can fail returns -1 (or NULL) and fills the caller's
 * struct fp_err. The codes are gRPC's canonical ones, so that an error found
 * deep in a library reaches an RPC client unchanged.
 */
#ifndef FP_BASE_ERR_H
#define FP_BASE_ERR_H

enum fp_code {
    FP_OK = 0,
    FP_CANCELLED = 1,
    FP_UNKNOWN = 2,
    FP_INVALID_ARGUMENT = 3,
    FP_DEADLINE_EXCEEDED = 4,
    FP_NOT_FOUND = 5,
    FP_ALREADY_EXISTS = 6,
    FP_PERMISSION_DENIED = 7,
    FP_RESOURCE_EXHAUSTED = 8,
    FP_FAILED_PRECONDITION = 9,
    FP_ABORTED = 10,
    FP_OUT_OF_RANGE = 11,
    FP_UNIMPLEMENTED = 12,
    FP_INTERNAL = 13,
    FP_UNAVAILABLE = 14,
    FP_DATA_LOSS = 15,
    FP_UNAUTHENTICATED = 16,
};

struct fp_err {
    enum fp_code code;
    char msg[512];
};

#define FP_MUST_CHECK __attribute__((warn_unused_result))

/* Fills *err (which may be NULL) and returns -1, so that a caller can write
 * `return err_set(err, FP_NOT_FOUND, "job %lld", ...)`. */
int err_set(struct fp_err *err, enum fp_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the message; keeps the code. Returns -1. */
int err_prefix(struct fp_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* which sees one file at a time, and not that these return -1 */
#define err_set(...)    ((void)(err_set)(__VA_ARGS__), -1)
#define err_prefix(...) ((void)(err_prefix)(__VA_ARGS__), -1)
#endif

/* "INVALID_ARGUMENT" for FP_INVALID_ARGUMENT; "UNKNOWN" for what is no code. */
const char *err_code_name(enum fp_code code);

/* Our bug: prints file, line and message to stderr and aborts. */
#define fp_panic(...) err_panic(__FILE__, __LINE__, __VA_ARGS__)
void err_panic(const char *file, int line, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

#endif
