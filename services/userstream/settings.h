/* userstream's settings: the table is in settings.c. */
#ifndef FP_USERSTREAM_SETTINGS_H
#define FP_USERSTREAM_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/config/config.h"

struct userstream_settings {
    char *work_from;
    char *users_listen;
    char *source_dsn; /* "": the ledger's database */
    int64_t workers;
    int64_t redo_after_ms;
    int64_t audience_margin_ms;
    int64_t send_wait_ms;
    int64_t trace_every;
    int64_t bus_resolve_ms;
    char *bus_ca_file, *bus_cert_file, *bus_key_file;
};

extern const struct config_setting settings_rows[];
extern const size_t settings_n_rows;

/* What one row alone cannot say: URLs and the TLS files. */
int settings_check(void *values, struct fp_err *err) FP_MUST_CHECK;

#endif
