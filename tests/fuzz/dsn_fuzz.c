/* Mails dropped into the Maildir of bounces. */
#include "services/mailer/inbound/dsn.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready;
    struct ledger_event event;
    struct fp_err err;

    if (!ready++)
        dsn_init();
    (void)!dsn_read(fuzz_keys(), (const char *)data, size, &event, &err);
    return 0;
}
