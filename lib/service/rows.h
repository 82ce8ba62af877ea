/*
 * Settings that several services have, but not all: one row for each, so that
 * name, default, bounds and help are the same in every program. What all have
 * stands in lib/service/settings.c, what one has in services/NAME/settings.c.
 * `at` is where the value lies in the program's struct.
 */
#ifndef FP_SERVICE_ROWS_H
#define FP_SERVICE_ROWS_H

#include "lib/config/config.h"

/* clang-format off */
#define SERVICE_ROW_SOURCE_DSN(at)                                                                           \
    {"source-dsn", CONFIG_STRING, NULL, "", 0, 4096, NULL,                                                   \
     "PostgreSQL with schema portfolio; empty: the ledger's database", at}

#define SERVICE_ROWS_BUS_TLS(ca_at, cert_at, key_at)                                                         \
    {"bus-ca-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,                                                  \
     "CA of the bus's certificates; empty: plain tcp", ca_at},                                               \
    {"bus-cert-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,                                                \
     "this process's certificate on the bus", cert_at},                                                      \
    {"bus-key-file", CONFIG_STRING, NULL, "", 0, 4096, NULL, "the certificate's key", key_at}

#define SERVICE_ROW_BUS_RESOLVE(at)                                                                          \
    {"bus-resolve", CONFIG_DURATION_MS, "s", "2s", 100, 600e3, NULL,                                         \
     "the names of the peers on the bus are looked up again this often", at}

/* userstream sets the first due time of a batch, the scheduler those that follow. */
#define SERVICE_ROW_REDO_AFTER(at)                                                                           \
    {"redo-after", CONFIG_DURATION_MS, "s", "25s", 1000, 3600e3, NULL,                                       \
     "a batch nobody claimed by then is sent down the pipeline again; the same for scheduler and userstream", at}

/* The scheduler ends an audience by it; userstream asks a replica to have come as far. */
#define SERVICE_ROW_AUDIENCE_MARGIN(at)                                                                      \
    {"audience-margin", CONFIG_DURATION_MS, "s", "60s", 0, 86400e3, NULL,                                    \
     "a job's audience ends this long before its submission; longer than any transaction that adds a user; " \
     "the same for scheduler and userstream", at}
/* clang-format on */

#endif
