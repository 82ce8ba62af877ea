/* Settings of the commands that ask a database themselves. */
#ifndef FP_CLI_DATABASE_H
#define FP_CLI_DATABASE_H

#include "lib/pg/pg.h"

#define ROW_LEDGER_DSN(field)                                                                                \
    {                                                                                                        \
        "ledger-dsn", CONFIG_STRING, NULL, "", 0, 4096, NULL,                                                \
            "PostgreSQL of the ledger: a connection string or URI", field                                    \
    }
#define ROW_SOURCE_DSN(field)                                                                                \
    {                                                                                                        \
        "source-dsn", CONFIG_STRING, NULL, "", 0, 4096, NULL,                                                \
            "PostgreSQL with schema portfolio; empty: the ledger's", field                                   \
    }

/* migrate and seed take minutes at most for a statement. */
static inline struct pg_options database_options(const char *dsn)
{
    return (struct pg_options){.dsn = dsn, .application = "foliopost", .query_timeout_ms = 600000};
}

#endif
